"""The whole state of a training -> a checkpoint, and back."""

from __future__ import annotations

import copy
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kfc.errors import CheckpointError, Finding, PluginError
from kfc.training.callbacks import Log, keras_state
from kfc.training.checkpoints.store import Checkpoint
from kfc.training.engine import named_variables
from kfc.training.history_values import recorded

_SET_BY_KERAS = frozenset(vars(keras.callbacks.Callback()))
"""Attributes of every callback, which `set_params` and `set_model` set."""

_MOST_BYTES = 1 << 20
"""Of an attribute of a callback without `get_state`: more is data that it was given."""


@dataclass
class Progress:
    """How far a training has come.

    Args:
        epoch: Epochs done.
        step: Steps done in the epoch after them.
        stopped: Whether a callback has asked for a stop.
        history: Metric -> one value per epoch done, those that callbacks add included.
        logs: Metrics of the last epoch done, for `on_train_end`.
        seconds: It took so far, as of the last checkpoint or the end.
    """

    epoch: int = 0
    step: int = 0
    stopped: bool = False
    history: dict[str, list[Any]] = field(default_factory=dict)
    logs: dict[str, float] = field(default_factory=dict)
    seconds: float = field(default=0.0, compare=False)

    def end_epoch(self, measured: Mapping[str, float], logs: Mapping[str, Any]) -> None:
        """Records an epoch.

        Args:
            measured: What the epoch has measured.
            logs: The same, and what callbacks have added.

        Raises:
            PluginError: If a callback has added what no file can hold.
        """
        for name, value in logs.items():
            self.history.setdefault(name, []).append(recorded(name, value))
        self.logs = dict(measured)
        self.epoch, self.step = self.epoch + 1, 0


def capture(
    model: keras.Model, callbacks: Sequence[keras.callbacks.Callback], progress: Progress
) -> Checkpoint:
    """Returns everything that decides how training goes on.

    That is every variable of the network (seeds of dropout included), of the optimizer
    and of the metrics, and the state of each callback: what its `get_state` returns, for
    Keras's own what `keras_callbacks` knows of it, and else the attributes that it has.
    """
    arrays = {name: np.asarray(variable) for name, variable in named_variables(model)}
    states: list[dict[str, Any]] = []
    for number, callback in enumerate(callbacks):
        state = _state(callback)
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
            Finding(
                f"{type(callback).__name__}.get_state",
                "arrays, numbers and text",
                str(error),
                "Return plain values; kfc.testing.check_callback tries it.",
            )
        ) from error
    return plain


def prepare(checkpoint: Checkpoint, callbacks: Sequence[keras.callbacks.Callback]) -> Progress:
    """Gets callbacks ready to go on, before `on_train_begin`, and returns the progress.

    Raises:
        CheckpointError: If the callbacks are not the ones that the state was taken of.
    """
    kinds = [type(callback).__name__ for callback in callbacks]
    if kinds != checkpoint.facts["callbacks"]:
        raise _other("callbacks", checkpoint.facts["callbacks"], kinds)
    for callback, state in zip(callbacks, checkpoint.facts["states"], strict=True):
        if keras_state.is_known(callback):
            _put(callback, keras_state.prepare, state)
    return Progress(**copy.deepcopy(checkpoint.facts["progress"]))


def restore(
    checkpoint: Checkpoint,
    model: keras.Model,
    callbacks: Sequence[keras.callbacks.Callback],
) -> None:
    """Puts a captured state back; the opposite of `capture`.

    It comes after `on_train_begin`, so that nothing remains of what that hook has changed
    in the model or in a callback.

    Raises:
        CheckpointError: If the model or the callbacks are not the ones it was taken from.
    """
    for name, variable in named_variables(model):
        values = checkpoint.arrays.get(name)
        if values is None or values.shape != tuple(variable.shape):
            shape = None if values is None else values.shape
            raise _other(name, f"shape {tuple(variable.shape)}", f"shape {shape}")
        variable.assign(values)
    for number, callback in enumerate(callbacks):
        prefix = f"callback/{number}/"
        arrays = {
            key.removeprefix(prefix): value
            for key, value in checkpoint.arrays.items()
            if key.startswith(prefix)
        }
        _put(callback, _set_state, {**checkpoint.facts["states"][number], **arrays})


def begin_again(callbacks: Sequence[keras.callbacks.Callback], folder: Path) -> None:
    """Removes the logs in a run folder of a process that ended before its first checkpoint."""
    for callback in callbacks:
        if isinstance(callback, Log):
            callback.begin_again(folder)
        elif keras_state.is_known(callback):
            keras_state.begin_again(callback, folder)


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


def _state(callback: Any) -> dict[str, Any]:
    if hasattr(callback, "get_state"):
        return dict(callback.get_state())
    if keras_state.is_known(callback):
        return keras_state.state(callback)
    return {
        name: copy.deepcopy(value)
        for name, value in vars(callback).items()
        if name not in _SET_BY_KERAS and _is_plain(value)
    }


def _set_state(callback: Any, state: Mapping[str, Any]) -> None:
    if hasattr(callback, "set_state"):
        callback.set_state(state)
    elif keras_state.is_known(callback):
        keras_state.put_back(callback, state)
    elif not hasattr(callback, "get_state"):
        # What `on_epoch_begin` has set, which is not called again within an epoch.
        for name in state.keys() - vars(callback).keys():
            setattr(callback, name, state[name])


def _is_plain(value: Any) -> bool:
    """Returns whether a checkpoint gives a small value back as it is."""
    if isinstance(value, np.ndarray):
        return value.dtype.kind in "biufc" and value.nbytes <= _MOST_BYTES
    try:
        text = json.dumps(value)
        return len(text) <= _MOST_BYTES and bool(json.loads(text) == value)
    except (TypeError, ValueError, RecursionError):
        return False


def _put(callback: Any, put: Callable[[Any, Mapping[str, Any]], None], state: Any) -> None:
    try:
        put(callback, state)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError) as error:
        what = f"the state of a {type(callback).__name__}"
        raise _other("callbacks", what, f"{type(error).__name__}: {error}") from error


def _other(where: str, expected: Any, got: Any) -> CheckpointError:
    return CheckpointError(
        Finding(where, f"{expected}", f"{got}", "Resume with the spec the run was made from.")
    )
