"""Logs of the metrics of epochs and steps: JSON lines, CSV and TensorBoard.

These are Keras callbacks for any model; they work in Keras's `fit` too.
"""

from __future__ import annotations

import csv
import io
import json
import os
import platform
import secrets
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
from tensorboard.compat.proto import event_pb2, summary_pb2

from kfc.system import atomic
from kfc.training.checkpoints import LogFiles
from kfc.training.history_values import for_json, numbers, recorded

Logs = Mapping[str, float] | None


class Log(keras.callbacks.Callback):
    """Base class of the logs. It counts the steps of the training, and its seconds.

    Args:
        path: File, or folder of files, to which the log appends.
    """

    only_reads = True
    called_every: int | str | None = None

    def __init__(self, path: Path | None = None) -> None:
        super().__init__()
        self._files = LogFiles(path) if path else None
        self._epoch = self._begin = self._last = 0
        self._began = time.monotonic()
        self._lines: dict[Path, list[str]] = {}

    def on_train_begin(self, logs: Logs = None) -> None:
        """Restarts the count of steps and seconds."""
        self._last = 0
        self._began = time.monotonic()

    def on_train_end(self, logs: Logs = None) -> None:
        """Writes the lines that were collected."""
        self.flush()

    def flush(self) -> None:
        """Writes the lines that were collected since the last call."""
        for path, lines in self._lines.items():
            atomic.append_text(path, "".join(lines))
        self._lines = {}

    def get_state(self) -> dict[str, Any]:
        """Returns the epoch, its first step, and the lengths of the files."""
        self.flush()
        lengths = self._files.state() if self._files else {}
        return {**lengths, "epoch": self._epoch, "begin": self._begin}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Restores the epoch, and truncates the files to their lengths at the checkpoint.

        Raises:
            CheckpointError: If a file does not begin with the bytes of the checkpoint.
        """
        self._epoch, self._begin = int(state["epoch"]), int(state["begin"])
        if self._files:
            self._files.truncate_to(state)

    def discard(self, folder: Path) -> None:
        """Removes the files in a run folder whose training begins from the start again."""
        if self._files:
            self._files.remove_in(folder)

    def on_epoch_begin(self, epoch: int, logs: Logs = None) -> None:
        """Records the epoch and its first step."""
        # In Keras's `fit` on a dataset of unknown length, `steps` is None.
        steps = self.params.get("steps")
        self._epoch, self._begin = epoch, epoch * steps if steps else self._last

    def _step(self, batch: int) -> int:
        """Returns the number of a step in the training, from 1."""
        self._last = self._begin + batch + 1
        return self._last

    def _steps_done(self) -> int:
        """Returns the number of steps of the training at the end of the epoch."""
        return self._begin + self.params["steps"] if self.params.get("steps") else self._last

    def _seconds(self) -> float:
        """Returns the seconds from the start of the training to the end of the epoch."""
        # kfc's loop calls the hooks of several short epochs after the last one.
        return float(self.params.get("seconds", self._now()))

    def _now(self) -> float:
        """Returns the seconds since the training began, those before a resume included."""
        return time.monotonic() - float(self.params.get("began", self._began))

    def _append(self, path: Path, line: str) -> None:
        """Collects a line; in kfc's loop, `flush` writes many lines at once."""
        self._lines.setdefault(path, []).append(line + "\n")
        if not (self.params or {}).get("flushed"):
            self.flush()


class MetricsLog(Log):
    """Writes a JSON line for each epoch, for every N steps, and for each evaluation.

    A line has `epoch` (from 1), `step` (of the training, from 1), `seconds` since the start,
    and the metrics: means over the epoch so far. Several short epochs in one execution share
    its seconds evenly. Lines within an epoch also have `batch_loss`, the loss of that batch
    alone. A number that is not finite is written as text, since JSON has no such number.

    Args:
        filename: File to append to.
        every: Number of steps between lines, at least 1; None for epochs only.
    """

    called_every: int | None

    def __init__(
        self, filename: str | Path = "metrics.jsonl", every: int | None = None
    ) -> None:
        super().__init__(Path(filename))
        self.path = Path(filename)
        self.called_every = every

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Writes a line if one is due."""
        step = self._step(batch)
        evaluated = any(key.startswith(("val_", "test_")) for key in logs or {})
        if evaluated or (self.called_every and step % self.called_every == 0):
            self._write(step, logs, self._now())

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Writes the epoch's line."""
        self._write(self._steps_done(), logs, self._seconds())

    def _write(self, step: int, logs: Logs, seconds: float) -> None:
        values = {name: for_json(recorded(name, v)) for name, v in (logs or {}).items()}
        place = {"epoch": self._epoch + 1, "step": step, "seconds": round(seconds, 4)}
        self._append(self.path, json.dumps({**place, **values}, allow_nan=False))


class CSVLog(Log):
    """Writes a CSV table with a row for each epoch.

    The columns are the metrics of the first epoch; a later epoch without one of them leaves
    its cell empty.

    Args:
        filename: File to append to.
    """

    def __init__(self, filename: str | Path = "epochs.csv") -> None:
        super().__init__(Path(filename))
        self.path = Path(filename)
        self._columns: list[str] = []

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Appends the epoch's row, in a new file after a header."""
        row = {"epoch": epoch + 1, **(logs or {})}
        text = io.StringIO()
        known = self._columns or self._head()
        self._columns = known or list(row)
        writer = csv.DictWriter(
            text, self._columns, extrasaction="ignore", lineterminator="\n"
        )
        if not known:
            writer.writeheader()
        writer.writerow(row)
        self._append(self.path, text.getvalue().removesuffix("\n"))

    def _head(self) -> list[str]:
        """Returns the header of the file, which an earlier training may have written."""
        if not self.path.exists():
            return []
        with io.TextIOWrapper(atomic.open_to_read(self.path), "utf-8", newline="") as file:
            return next(csv.reader(file), [])


class TensorBoardLog(Log):
    """Writes scalars for TensorBoard, under the tags Keras uses.

    Args:
        log_dir: Folder of the event files, in its subfolders `train` and `validation`.
        every: Number of steps between scalars of `batch_loss`, at least 1; None for epochs
            only.
    """

    called_every: int | None

    def __init__(self, log_dir: str | Path = "tensorboard", every: int | None = None) -> None:
        super().__init__(Path(log_dir))
        self.folder = Path(log_dir)
        self.called_every = every
        self._writers: dict[str, Any] = {}

    def on_train_batch_end(self, batch: int, logs: Logs = None) -> None:
        """Writes the loss of one batch if it is due."""
        step = self._step(batch)
        if (
            self.called_every
            and step % self.called_every == 0
            and logs
            and "batch_loss" in logs
        ):
            self._event("train", step, {"batch_loss": logs["batch_loss"]})

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Writes the epoch's metrics."""
        folders: dict[str, dict[str, float]] = {}
        for name, value in numbers(logs).items():
            part, _, metric = name.partition("_")
            folder = {"val": "validation", "test": "test"}.get(part, "train")
            tag = metric if folder != "train" else name
            folders.setdefault(folder, {})[f"epoch_{tag}"] = value
        for folder, scalars in folders.items():
            self._event(folder, epoch, scalars)

    def on_train_end(self, logs: Logs = None) -> None:
        """Closes the event files and writes them through to the disk."""
        self.close()

    def flush(self) -> None:
        """Writes the events that were collected since the last call."""
        for writer in self._writers.values():
            writer.flush()

    def close(self) -> None:
        """Closes the event files, also when training ends with an error."""
        for writer in self._writers.values():
            writer.close()
        if self._writers:
            atomic.flush_to_disk(self.folder)
        self._writers = {}

    def _event(self, folder: str, step: int, scalars: Mapping[str, float]) -> None:
        # An event file is a TFRecord file. `tf.summary` is not used: its eager operations
        # take longer than an epoch of a small network.
        if folder not in self._writers:
            path = self.folder / folder
            atomic.make_folder(path)
            name = f"events.out.tfevents.{time.time_ns()}.{platform.node()}.{os.getpid()}"
            name += f".{secrets.token_hex(8)}"  # unique, as TensorFlow's are
            atomic.create_file(path / name)
            self._writers[folder] = tf.io.TFRecordWriter(str(path / name))
            head = event_pb2.Event(wall_time=time.time(), file_version="brain.Event:2")
            self._writers[folder].write(head.SerializeToString())
        values = [
            summary_pb2.Summary.Value(tag=tag, simple_value=value)
            for tag, value in scalars.items()
        ]
        event = event_pb2.Event(
            wall_time=time.time(), step=step, summary=summary_pb2.Summary(value=values)
        )
        self._writers[folder].write(event.SerializeToString())
        if not (self.params or {}).get("flushed"):
            self.flush()
