"""The installed Keras and kfc's own components -> the table in `kfc/spec/signatures.json`.

`python tests/spec/installed_signatures.py` writes the table anew.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import keras
from keras.src import activations, initializers, losses, optimizers
from keras.src.utils.naming import to_snake_case

import kfc.spec
from kfc.network.numeric_embeddings import NUMERIC_EMBEDDINGS
from kfc.registry import BLOCKS, CALLBACKS, OPTIMIZERS
from kfc.spec import BiasInitializerSpec, InitializerSpec
from kfc.spec.keras_signatures import REQUIRED

TABLE = Path(kfc.spec.__file__).with_name("signatures.json")

# Options that kfc sets itself, so a spec may not: networks return logits, seeds follow
# the spec's seed, layers have kfc's names, axes are (rows, classes).
_OURS = {"self", "x", "name", "dtype", "seed", "from_logits", "kwargs"}
_OURS |= {"tensor", "hidden", "log", "console", "axis", "input_axes", "output_axes"}
_OURS |= {"seed_of", "number_bins"}
# Lists and foreign files, which a spec cannot say.
_OURS |= {"exclude_layers", "embeddings_metadata"}
# Not components of a network trained on rows: wrappers, sequence and similarity losses.
_LEFT_OUT = {
    "optimizer": {"LossScaleOptimizer", "MultiOptimizer", "OptimizerMap", "Optimizer"},
    "loss": {"Loss", "LossFunctionWrapper", "CTC", "Circle"},
    "initializer": {"Initializer", "STFT"},
    "bias_initializer": {"identity", "orthogonal"},  # of matrices alone
    "activation": {"glu"},
    # kfc keeps history, progress and checkpoints itself; the others need Python
    # functions, or open a connection.
    "callback": {
        *("BackupAndRestore", "Callback", "CallbackList", "History", "LambdaCallback"),
        *("LearningRateScheduler", "OrbaxCheckpoint", "ProgbarLogger", "RemoteMonitor"),
    },
}


def read_installed() -> dict[str, dict[str, dict[str, Any]]]:
    """Returns the same table, read from the installed Keras and from kfc itself."""
    callbacks = [getattr(keras.callbacks, name) for name in dir(keras.callbacks)]
    functions = [f for f in activations.ALL_OBJECTS if inspect.isfunction(f)]
    table = {
        "optimizer": _options("optimizer", optimizers.ALL_OBJECTS, str.lower),
        "loss": _options("loss", losses.ALL_OBJECTS, to_snake_case),
        "initializer": _options("initializer", initializers.ALL_OBJECTS, to_snake_case),
        "activation": _options("activation", functions, str),
        "callback": _options("callback", callbacks, str),
    }
    of_vectors = {
        name: options
        for name, options in table["initializer"].items()
        if name not in _LEFT_OUT["bias_initializer"]
    }
    own = (BiasInitializerSpec.of_rows, BiasInitializerSpec.of_inputs)
    table["bias_initializer"] = {**of_vectors, **{name: {} for name in own}}
    table["initializer"][InitializerSpec.of_rows] = {}
    base = table["optimizer"]["sgd"]
    base = {k: v for k, v in base.items() if k not in ("momentum", "nesterov")}
    table["numeric_embedding"] = {
        name: _parameters(function) for name, function in NUMERIC_EMBEDDINGS.items()
    }
    for registry in (BLOCKS, CALLBACKS, OPTIMIZERS):
        for name in registry.builtins:
            own = _parameters(registry.get(name))
            if registry is OPTIMIZERS:  # its **kwargs are the base class's options
                own = {**base, **own}
            table.setdefault(registry.kind, {})[name] = own
    return {kind: dict(sorted(names.items())) for kind, names in table.items()}


def _options(
    kind: str, objects: Iterable[Any], rename: Callable[[str], str]
) -> dict[str, dict[str, Any]]:
    wanted = {}
    for item in objects:
        name = getattr(item, "__name__", "")
        functions_only = kind == "activation"
        if name in _LEFT_OUT[kind] or inspect.isclass(item) == functions_only:
            continue
        wanted[rename(name)] = _parameters(item)
    return wanted


def _parameters(item: Any) -> dict[str, Any]:
    """Returns option -> default for what a file can say: text, numbers, yes or no."""
    options: dict[str, Any] = {}
    for name, parameter in inspect.signature(item).parameters.items():
        default = parameter.default
        takes_a_value = parameter.kind in (
            parameter.POSITIONAL_OR_KEYWORD,
            parameter.KEYWORD_ONLY,
        )
        if name in _OURS or not takes_a_value:
            continue
        if default is parameter.empty:
            options[name] = REQUIRED
        elif isinstance(default, (bool, int, float, str, type(None))):
            options[name] = default
    return options


if __name__ == "__main__":
    text = json.dumps(read_installed(), indent=1, sort_keys=True)
    TABLE.write_text(text + "\n", "utf-8")
