"""The complete state of a training: captured for a checkpoint, and restored."""

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
"""Largest attribute that is saved for a callback without `get_state`; larger ones are data."""


@dataclass
class Progress:
    """Progress of a training.

    Args:
        epoch: Number of finished epochs.
        step: Number of finished steps of the next epoch.
        stopped: Whether a callback has stopped the training.
        history: Name -> one value per finished epoch, of metrics and of entries that
            callbacks have added.
        logs: Metrics of the last finished epoch, for `on_train_end`.
        seconds: Duration of the training, up to the last checkpoint or the end; of several
            networks at once, the share of each.
    """

    epoch: int = 0
    step: int = 0
    stopped: bool = False
    history: dict[str, list[Any]] = field(default_factory=dict)
    logs: dict[str, float] = field(default_factory=dict)
    seconds: float = field(default=0.0, compare=False)

    def end_epoch(self, metrics: Mapping[str, float], logs: Mapping[str, Any]) -> None:
        """Records a finished epoch.

        Args:
            metrics: Metrics of the epoch.
            logs: The same metrics, and the entries that callbacks have added.

        Raises:
            PluginError: If a callback has added a value that JSON cannot hold.
        """
        for name, value in logs.items():
            self.history.setdefault(name, []).append(recorded(name, value))
        self.logs = dict(metrics)
        self.epoch, self.step = self.epoch + 1, 0


def capture(
    model: keras.Model, callbacks: Sequence[keras.callbacks.Callback], progress: Progress
) -> Checkpoint:
    """Returns the complete state, with which a resumed training makes the same steps.

    It holds every variable of the network (seeds of dropout included), of the optimizer and
    of the metrics, and the state of each callback: the result of its `get_state`, the known
    attributes of a Keras callback, or the small attributes of another one.
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


def state_bytes(model: keras.Model) -> int:
    """Returns the size of the variables that a checkpoint holds."""
    return sum(
        variable.value.dtype.size * math.prod(variable.shape)
        for _, variable in named_variables(model)
    )


def plain_state(
    callback: keras.callbacks.Callback, state: Mapping[str, Any]
) -> dict[str, Any]:
    """Returns the part of a callback's state that is not an array, for JSON.

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
                "Return plain values; kfc.testing.check_callback checks it.",
            )
        ) from error
    return plain


def prepare_callbacks(
    checkpoint: Checkpoint, callbacks: Sequence[keras.callbacks.Callback]
) -> Progress:
    """Prepares callbacks for a resume, before `on_train_begin`, and returns the progress.

    Raises:
        CheckpointError: If the callbacks are not those of the checkpoint.
    """
    kinds = [type(callback).__name__ for callback in callbacks]
    if kinds != checkpoint.facts["callbacks"]:
        raise _other("callbacks", checkpoint.facts["callbacks"], kinds)
    for callback, state in zip(callbacks, checkpoint.facts["states"], strict=True):
        if keras_state.is_known(callback):
            _put(callback, keras_state.truncate_log, state)
    return Progress(**copy.deepcopy(checkpoint.facts["progress"]))


def restore(
    checkpoint: Checkpoint,
    model: keras.Model,
    callbacks: Sequence[keras.callbacks.Callback],
) -> None:
    """Restores a state that `capture` has returned.

    It is called after `on_train_begin`, so that it undoes the changes of that hook to the
    model and to the callbacks.

    Raises:
        CheckpointError: If the model or the callbacks are not those of the checkpoint.
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


def discard_logs(callbacks: Sequence[keras.callbacks.Callback], folder: Path) -> None:
    """Removes the logs in a run folder whose training begins from the start again.

    An earlier process has ended before its first checkpoint, and left them.
    """
    for callback in callbacks:
        if isinstance(callback, Log):
            callback.discard(folder)
        elif keras_state.is_known(callback):
            keras_state.discard_log(callback, folder)


def for_another_folder(checkpoint: Checkpoint) -> Checkpoint:
    """Returns a checkpoint for a resume in another folder, which has no logs yet."""
    facts = copy.deepcopy(dict(checkpoint.facts))
    for state in facts["states"]:
        if "files" in state:
            state["files"] = {}
    return replace(checkpoint, facts=facts)


def restore_network(checkpoint: Checkpoint, network: keras.Model) -> None:
    """Restores the weights of a network, and nothing else.

    Raises:
        CheckpointError: If the checkpoint belongs to another network.
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
        return keras_state.state_of(callback)
    return {
        name: copy.deepcopy(value)
        for name, value in vars(callback).items()
        if name not in _SET_BY_KERAS and _is_plain(value)
    }


def _set_state(callback: Any, state: Mapping[str, Any]) -> None:
    if hasattr(callback, "set_state"):
        callback.set_state(state)
    elif keras_state.is_known(callback):
        keras_state.restore_attributes(callback, state)
    elif not hasattr(callback, "get_state"):
        # Attributes that `on_epoch_begin` has set: within an epoch it is not called again.
        for name in state.keys() - vars(callback).keys():
            setattr(callback, name, state[name])


def _is_plain(value: Any) -> bool:
    """Returns whether a value is small and survives a checkpoint unchanged."""
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
        expected = f"the state of a {type(callback).__name__}"
        raise _other("callbacks", expected, f"{type(error).__name__}: {error}") from error


def _other(where: str, expected: Any, got: Any) -> CheckpointError:
    return CheckpointError(
        Finding(where, f"{expected}", f"{got}", "Resume with the spec the run was made from.")
    )
