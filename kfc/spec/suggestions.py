"""A name that a spec does not know -> the one that its author probably meant."""

from __future__ import annotations

import functools
import typing
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from kfc.errors import nearest, nearest_name
from kfc.spec.keras_signatures import signatures

# Name in Keras, PyTorch or scikit-learn -> path in a spec.
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
# Word in Keras, PyTorch or scikit-learn -> word in a spec.
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
    """Returns `Did you mean 'silu'? ` for a word that is not known, or nothing.

    Args:
        word: Word that the spec holds, such as `swish`.
        known: Words that may stand there.
    """
    known = list(known)
    meant = _WORDS.get(word.lower().replace("-", "_"), "")
    return f"Did you mean {meant!r}? " if meant in known else nearest(word, known)


def suggested_key(key: str, known: Iterable[str], paths: Mapping[str, str]) -> str:
    """Returns `Did you mean 'training.epochs'? ` for a key that is not known, or nothing.

    Args:
        key: Key that the spec holds, such as `epochs`.
        known: Keys that may stand there.
        paths: Last key -> path, of the whole spec; those of other levels are looked at too.
    """
    known = list(known)
    meant = _PATHS.get(key.lower(), "")
    if meant.rpartition(".")[2] in known:
        return _question(meant.rpartition(".")[2])
    if meant not in paths.values():
        meant = paths.get(key.lower(), "")
    near = nearest_name(key, known)
    return _question(meant or near or paths.get(nearest_name(key, paths), ""))


def suggested_file(path: Path, suffixes: tuple[str, ...]) -> str:
    """Returns `Did you mean 'my.yaml'? ` for a file that is not there, or nothing.

    Args:
        path: Path as the user gave it, such as `my.ymal`.
        suffixes: Endings of the files that are looked at, in the same folder.
    """
    try:
        files = [f.name for f in path.parent.iterdir() if f.name.lower().endswith(suffixes)]
    except (OSError, ValueError):  # no folder, or a path with a null character
        return ""
    name = nearest_name(path.name, files)
    return _question(str(path.with_name(name))) if name else ""


@functools.cache
def paths_by_key(model: type[BaseModel], above: str = "") -> dict[str, str]:
    """Returns last key -> path of every key of a spec; of several paths the shortest.

    Args:
        model: Model of the spec, or of a part of it.
        above: Path of that part, which ends in a dot; empty for the spec itself.
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
    """Returns last key -> path within a part; a component has the options of all names."""
    if not hasattr(part, "kind"):
        return paths_by_key(part, inside)
    tables = signatures(part.kind).values()
    return {option: inside + option for table in tables for option in table}


def models_in(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yields the models an annotation mentions, inside unions and lists too.

    Args:
        annotation: Annotation of a field of a model.
    """
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for argument in typing.get_args(annotation):
        yield from models_in(argument)


def _question(name: str) -> str:
    return f"Did you mean {name!r}? " if name else ""
