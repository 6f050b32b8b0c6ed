"""Suggests the name that the author of a spec probably meant instead of an unknown one."""

from __future__ import annotations

import functools
import shlex
import typing
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from kfc.errors import nearest, nearest_name
from kfc.spec.keras_signatures import signatures

# Path in a spec of names in Keras, PyTorch and scikit-learn.
_PATHS = {
    **dict.fromkeys(("lr", "learning_rate_init", "eta"), "training.optimizer.learning_rate"),
    **dict.fromkeys(("wd", "decay"), "training.optimizer.weight_decay"),
    **dict.fromkeys(("max_iter", "num_epochs", "n_epochs", "nb_epoch"), "training.epochs"),
    **dict.fromkeys(("batch", "minibatch_size", "bs"), "training.batch_size"),
    **dict.fromkeys(("solver", "optim"), "training.optimizer"),
    **dict.fromkeys(("criterion", "loss_fn", "objective_function"), "training.loss"),
    **dict.fromkeys(("n_iter_no_change",), "training.early_stopping.patience"),
    **dict.fromkeys(("hidden_layer_sizes", "hidden_units", "layers"), "network.hidden"),
    **dict.fromkeys(("dropout_rate", "drop"), "network.dropout"),
    **dict.fromkeys(("alpha", "weight_regularization", "kernel_regularizer"), "network.l2"),
    **dict.fromkeys(("kernel_initializer", "initializer", "weight_init"), "network.init"),
    **dict.fromkeys(("batch_norm", "batch_normalization", "norm"), "network.normalization"),
    **dict.fromkeys(("bias",), "network.use_bias"),
    **dict.fromkeys(("random_state", "random_seed"), "seed"),
    **dict.fromkeys(
        ("validation_split", "validation_fraction", "val_split"), "data.validation"
    ),
    **dict.fromkeys(("dataset", "path", "file"), "data.source"),
    **dict.fromkeys(("scaler", "scaling", "normalize"), "data.scale"),
    **dict.fromkeys(("n_trials", "max_trials"), "search.trials"),
}
# Value in a spec of words in Keras, PyTorch and scikit-learn.
_WORDS = {
    **{"swish": "silu", "logistic": "sigmoid", "identity": "linear", "hardtanh": "hard_tanh"},
    **{"xavier": "glorot_uniform", "xavier_uniform": "glorot_uniform"},
    **{"xavier_normal": "glorot_normal", "kaiming_uniform": "he_uniform"},
    **{"kaiming": "he_normal", "kaiming_normal": "he_normal", "normal": "random_normal"},
    **{"minmax": "unit", "min_max": "unit", "zscore": "standard", "standardize": "standard"},
    **{"cross_entropy_loss": "cross_entropy", "log_loss": "cross_entropy"},
    **{"nll_loss": "cross_entropy", "bce": "binary_cross_entropy", "l1_loss": "mae"},
    **{"squared_error": "mse", "mse_loss": "mse", "kld": "kl_divergence"},
    **{"batchnorm": "batch", "layernorm": "layer", "jit": "xla", "skip": "residual"},
    **{"tpe": "bayesian", "bf16": "bfloat16", "fp32": "float32"},
}


def suggested_word(word: str, known: Iterable[str]) -> str:
    """Returns a suggestion such as `Did you mean 'silu'? ` for an unknown word, or nothing.

    Args:
        word: Unknown word of the spec, such as `swish`.
        known: Words that are valid there.
    """
    known = list(known)
    meant = _WORDS.get(word.lower().replace("-", "_"), "")
    return f"Did you mean {meant!r}? " if meant in known else nearest(word, known)


def suggested_key(key: str, known: Iterable[str], paths: Mapping[str, str]) -> str:
    """Returns a suggestion such as `Did you mean 'training.epochs'? ` for an unknown key.

    Args:
        key: Unknown key of the spec, such as `epochs`.
        known: Keys that are valid there.
        paths: Dotted path of each key of the complete spec by its last key.

    Returns:
        The suggestion, or nothing if no key is similar.
    """
    known = list(known)
    meant = _PATHS.get(key.lower(), "")
    if meant.rpartition(".")[2] in known:
        return _question(meant.rpartition(".")[2])
    if meant not in paths.values():
        meant = paths.get(key.lower(), "")
    near = nearest_name(key, known)
    suggested = meant or near or paths.get(nearest_name(key, paths), "")
    if suggested in paths.values() and "." not in suggested and suggested not in known:
        return f"Did you mean the key {suggested!r} of the spec itself? "
    return _question(suggested)


def suggested_file(path: Path, suffixes: tuple[str, ...]) -> str:
    """Returns a suggestion such as `Did you mean 'my.yaml'? ` for what is no spec, or nothing.

    Args:
        path: Path as the user gave it, such as `my.ymal`, a table or the folder of a run.
        suffixes: Endings of the files of the same folder that may be meant.
    """
    try:
        if (of_run := path / "spec.yaml").is_file():
            return _question(str(of_run))
        files = [f.name for f in path.parent.iterdir() if f.name.lower().endswith(suffixes)]
        is_there = path.exists()
    except (OSError, ValueError):  # no folder, a name that is too long or has a null character
        return ""
    if name := nearest_name(path.name, files):
        return _question(str(path.with_name(name)))
    return f"For a table, `kfc new {shlex.quote(str(path))}` writes one. " if is_there else ""


@functools.cache
def paths_by_key(model: type[BaseModel], above: str = "") -> dict[str, str]:
    """Returns the dotted path of each key of a spec by its last key; the shortest of several.

    Args:
        model: Model of the spec, or of a part of it.
        above: Path of that part, with a dot at its end; empty for the spec itself.
    """
    paths: dict[str, str] = {}
    for key, field in model.model_fields.items():
        origin = typing.get_origin(field.annotation)
        below = {key: above + key}
        for part in models_in(field.annotation) if origin is not dict else ():
            inside = f"{above}{key}[0]." if origin is tuple else f"{above}{key}."
            below |= _paths_of(part, inside)
        for name, path in below.items():
            if name not in paths or path.count(".") < paths[name].count("."):
                paths[name] = path
    return paths


def _paths_of(part: type[BaseModel], inside: str) -> dict[str, str]:
    """Returns the paths of the keys of a part; a component has the options of every name."""
    if not hasattr(part, "kind"):
        return paths_by_key(part, inside)
    tables = signatures(part.kind).values()
    return {option: inside + option for table in tables for option in table}


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yields the models in an annotation, also inside unions and lists.

    Args:
        annotation: Annotation of a field of a model.
    """
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in typing.get_args(annotation):
        yield from models_in(argument)


def _question(name: str) -> str:
    return f"Did you mean {name!r}? " if name else ""
