"""The whole state of a training -> a checkpoint, and back."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kfc.errors import CheckpointError, Fault, PluginError
from kfc.training.carried import named_variables
from kfc.training.commits import Checkpoint
from kfc.training.logs import Log


@dataclass
class Progress:
    """How far a training has come.

    Args:
        epoch: Epochs done.
        step: Steps done in the epoch after them.
        stopped: Whether a callback has asked for a stop.
        history: Metric -> one value per epoch done.
        seconds: It took so far, as of the last commit or the end.
    """

    epoch: int = 0
    step: int = 0
    stopped: bool = False
    history: dict[str, list[float]] = field(default_factory=dict)
    seconds: float = field(default=0.0, compare=False)


def capture(
    model: keras.Model, callbacks: Sequence[keras.callbacks.Callback], progress: Progress
) -> Checkpoint:
    """Returns everything that decides how training goes on.

    That is every variable of the network (seeds of dropout included), of the optimizer
    and of the metrics, and the state of each callback that has `get_state`.
    """
    arrays = {name: np.asarray(variable) for name, variable in named_variables(model)}
    states: list[dict[str, Any]] = []
    for number, callback in enumerate(callbacks):
        state = callback.get_state() if hasattr(callback, "get_state") else {}
        states.append(plain_state(callback, state))
        for key, value in state.items():
            if isinstance(value, np.ndarray):
                arrays[f"callback/{number}/{key}"] = value
    kinds = [type(callback).__name__ for callback in callbacks]
    facts = {"progress": asdict(progress), "callbacks": kinds, "states": states}
    return Checkpoint(arrays, facts)


def size(model: keras.Model) -> int:
    """Returns the bytes of the variables that `capture` would take."""
    return sum(
        variable.value.dtype.size * math.prod(variable.shape)
        for _, variable in named_variables(model)
    )


def plain_state(
    callback: keras.callbacks.Callback, state: Mapping[str, Any]
) -> dict[str, Any]:
    """Returns the part of a callback's state that is no array, for JSON.

    Raises:
        PluginError: If JSON cannot hold it.
    """
    plain = {
        key: value.item() if isinstance(value, np.generic) else value
        for key, value in state.items()
        if not isinstance(value, np.ndarray)
    }
    try:
        json.dumps(plain)
    except (TypeError, ValueError) as error:
        raise PluginError(
            Fault(
                f"{type(callback).__name__}.get_state",
                "arrays, numbers and text",
                str(error),
                "Return plain values; kfc.testing.check_callback tries it.",
            )
        ) from error
    return plain


def restore(
    checkpoint: Checkpoint,
    model: keras.Model,
    callbacks: Sequence[keras.callbacks.Callback],
) -> Progress:
    """Puts a captured state back; the opposite of `capture`.

    Raises:
        CheckpointError: If the model or the callbacks are not the ones it was taken from.
    """
    kinds = [type(callback).__name__ for callback in callbacks]
    if kinds != checkpoint.facts["callbacks"]:
        raise _other("callbacks", checkpoint.facts["callbacks"], kinds)
    for name, variable in named_variables(model):
        values = checkpoint.arrays.get(name)
        if values is None or values.shape != tuple(variable.shape):
            shape = None if values is None else values.shape
            raise _other(name, f"shape {tuple(variable.shape)}", f"shape {shape}")
        variable.assign(values)
    for number, callback in enumerate(callbacks):
        if hasattr(callback, "set_state"):
            prefix = f"callback/{number}/"
            arrays = {
                key.removeprefix(prefix): value
                for key, value in checkpoint.arrays.items()
                if key.startswith(prefix)
            }
            _set_state(callback, {**checkpoint.facts["states"][number], **arrays})
    return Progress(**copy.deepcopy(checkpoint.facts["progress"]))


def begin_again(callbacks: Sequence[keras.callbacks.Callback], folder: Path) -> None:
    """Removes the logs in a run folder of a process that ended before its first commit."""
    for callback in callbacks:
        if isinstance(callback, Log):
            callback.begin_again(folder)


def for_another_folder(checkpoint: Checkpoint) -> Checkpoint:
    """Returns the checkpoint of a training that goes on elsewhere, where no logs are."""
    facts = copy.deepcopy(dict(checkpoint.facts))
    for state in facts["states"]:
        if "files" in state:
            state["files"] = {}
    return replace(checkpoint, facts=facts)


def restore_network(checkpoint: Checkpoint, network: keras.Model) -> None:
    """Puts the weights of a captured training into a network alone.

    Raises:
        CheckpointError: If it is another network's.
    """
    for number, variable in enumerate(network.weights):
        values = checkpoint.arrays.get(f"weights/{number}")
        if values is None or values.shape != tuple(variable.shape):
            raise _other(variable.path, f"shape {tuple(variable.shape)}", "another network")
        variable.assign(values)


def _set_state(callback: Any, state: Mapping[str, Any]) -> None:
    try:
        callback.set_state(state)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        what = f"the state of a {type(callback).__name__}"
        raise _other("callbacks", what, f"{type(error).__name__}: {error}") from error


def _other(where: str, expected: Any, got: Any) -> CheckpointError:
    return CheckpointError(
        Fault(where, f"{expected}", f"{got}", "Resume with the spec the run was made from.")
    )
