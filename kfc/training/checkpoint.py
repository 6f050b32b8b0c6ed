"""The whole state of a training -> a folder that a killed process cannot spoil, and back.

Each commit is a folder `checkpoints/000001/` with `state.npz` (arrays), `facts.json` (the
rest) and `manifest.json`, which holds the sha256 of both. It appears by one rename, and
the last two are kept, so there is always a whole one to go back to.
"""

from __future__ import annotations

import copy
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kfc import files
from kfc.errors import CheckpointError, Fault, PluginError
from kfc.training.carried import named_variables

_KEPT = 2
_FILES = ("state.npz", "facts.json")


@dataclass
class Progress:
    """How far a training has come.

    Args:
        epoch: Epochs done.
        step: Steps done in the epoch after them.
        stopped: Whether a callback has asked for a stop.
        history: Metric -> one value per epoch done.
    """

    epoch: int = 0
    step: int = 0
    stopped: bool = False
    history: dict[str, list[float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Checkpoint:
    """Arrays by name, and facts that JSON can hold."""

    arrays: Mapping[str, np.ndarray]
    facts: Mapping[str, Any]


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
            callback.set_state({**checkpoint.facts["states"][number], **arrays})
    return Progress(**copy.deepcopy(checkpoint.facts["progress"]))


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


def commit(folder: Path, checkpoint: Checkpoint) -> None:
    """Writes a checkpoint to the disk and drops all but the last two.

    Raises:
        DiskError: If it cannot be written; the earlier ones stay.
    """
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **checkpoint.arrays)
    facts = json.dumps(dict(checkpoint.facts)).encode()
    contents = {"state.npz": buffer.getvalue(), "facts.json": facts}
    manifest = {name: files.sha256(data) for name, data in contents.items()}
    contents["manifest.json"] = json.dumps(manifest).encode()
    earlier = _committed(folder)
    number = int(earlier[-1].name) + 1 if earlier else 1
    files.write_folder(folder / f"{number:06d}", contents)
    for old in earlier[: 1 - _KEPT]:
        files.remove_folder(old)


def newest(folder: Path) -> Checkpoint:
    """Reads the newest checkpoint whose bytes are those that were written.

    Raises:
        CheckpointError: If there is none.
    """
    reasons = []
    for path in reversed(_committed(folder)):
        try:
            manifest = json.loads((path / "manifest.json").read_text("utf-8"))
            contents = {name: (path / name).read_bytes() for name in _FILES}
            for name, data in contents.items():
                if files.sha256(data) != manifest[name]:
                    raise ValueError(f"the sha256 of {name} differs")
            facts = json.loads(contents["facts.json"])
            with np.load(io.BytesIO(contents["state.npz"]), allow_pickle=False) as arrays:
                return Checkpoint({name: arrays[name] for name in arrays.files}, facts)
        except (OSError, ValueError, KeyError, TypeError) as error:
            reasons.append(f"{path.name}: {error}")
    raise CheckpointError(
        Fault(
            str(folder),
            "a whole checkpoint",
            "; ".join(reasons) or "none",
            "Train again with `kfc fit RUN/spec.yaml`.",
        )
    )


def _committed(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("[0-9]*") if path.name.isdigit())


def _other(where: str, expected: Any, got: Any) -> CheckpointError:
    return CheckpointError(
        Fault(where, f"{expected}", f"{got}", "Resume with the spec the run was made from.")
    )
