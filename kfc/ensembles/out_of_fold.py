"""Predictions for each row by a network that was not trained on it; `out_of_fold.npz`."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import NamedTuple

import numpy as np

from kfc.data import Prepared, Task
from kfc.data.sources import arrays_in
from kfc.ensembles.averaging import averaged_outputs
from kfc.ensembles.plan_file import Member
from kfc.errors import CheckpointError, Finding, reason
from kfc.runs import Labelled, Run, decode_targets, from_outputs, scores, with_fitted
from kfc.system import atomic

CSV_FILE, NPZ_FILE = "out_of_fold.csv", "out_of_fold.npz"


class OutOfFold(NamedTuple):
    """Predictions of held-out rows, in the order of their repeat and their number.

    Args:
        row: Number of the row in the source, from 0, (rows,).
        repeat: Number of the repeat, (rows,).
        fold: Number of the fold that held the row out, (rows,).
        target: Class name, (rows,), or value, (rows, outputs).
        probabilities: Probability of each class, (rows, classes); empty for numbers.
        value: Predicted values, (rows, outputs); empty for classes.
    """

    row: np.ndarray
    repeat: np.ndarray
    fold: np.ndarray
    target: np.ndarray
    probabilities: np.ndarray
    value: np.ndarray


class HeldOutRows:
    """Collects the predictions of each fold's run on the rows of its fold."""

    def __init__(self) -> None:
        self._parts: list[tuple[Member, np.ndarray, np.ndarray, np.ndarray]] = []
        self._task: Task | None = None

    def add(self, member: Member, run: Run, prepared: Prepared) -> None:
        """Adds the held-out rows of a fold.

        Args:
            member: Fold and repeat.
            run: Run that was not trained on these rows.
            prepared: Its data, whose test rows they are.
        """
        rows, numbers = prepared.test, prepared.test_numbers
        if rows is None or numbers is None:
            raise TypeError("prepared.test: expected the rows of a fold, got None")
        outputs = scores.compute_outputs(run.network, rows.x)
        self._parts.append((member, numbers, rows.y, outputs))
        self._task = run.task

    def pooled_scores(self) -> dict[str, float]:
        """Returns the scores of all held-out rows together, averaged over repeats."""
        found = []
        for repeat in sorted({member.repeat for member, *_ in self._parts}):
            parts = [part for part in self._parts if part[0].repeat == repeat]
            y, outputs = (np.concatenate([part[i] for part in parts]) for i in (2, 3))
            found.append(scores.scores(outputs, y, self._known_task))
        return {name: float(np.mean([each[name] for each in found])) for name in found[0]}

    def labelled(self) -> Labelled:
        """Returns the outputs for each held-out row, averaged over repeats, and its target.

        The outputs of classes are logarithms of probabilities, (rows, classes).
        """
        outputs, y = [], np.empty(0)
        for repeat in sorted({member.repeat for member, *_ in self._parts}):
            parts = [part for part in self._parts if part[0].repeat == repeat]
            numbers, y, found = (
                np.concatenate([part[i] for part in parts]) for i in (1, 2, 3)
            )
            order = np.argsort(numbers)
            outputs.append(found[order])
            y = y[order]
        return averaged_outputs(outputs, with_fitted(self._known_task, {})), y

    def table(self) -> OutOfFold:
        """Returns the predictions of all rows."""
        task = self._known_task
        numbers, y = (np.concatenate([part[i] for part in self._parts]) for i in (1, 2))
        repeat, fold = (
            np.concatenate(
                [np.full(len(part[1]), getattr(part[0], name)) for part in self._parts]
            )
            for name in ("repeat", "number")
        )
        order = np.lexsort((numbers, repeat))
        # Fold by fold, since the last bit of a softmax depends on the number of rows.
        each = [from_outputs(part[3], task) for part in self._parts]
        probabilities = np.concatenate([found.probabilities for found in each])
        value = np.concatenate([found.value for found in each])
        return OutOfFold(
            numbers[order],
            repeat[order],
            fold[order],
            decode_targets(y[order], task),
            probabilities[order] if task.classification else probabilities,
            value if task.classification else value[order],
        )

    @property
    def _known_task(self) -> Task:
        if self._task is None:
            raise TypeError("expected the rows of a fold, got none")
        return self._task

    def write(self, folder: Path) -> str:
        """Writes both files, and returns the SHA-256 of the `.npz` file.

        Raises:
            DiskError: If a file cannot be written.
        """
        rows, task = self.table(), self._known_task
        buffer = io.BytesIO()
        arrays = {name: values for name, values in rows._asdict().items() if values.size}
        np.savez(buffer, allow_pickle=False, **arrays)
        atomic.write_file(folder / NPZ_FILE, buffer.getvalue())
        atomic.write_file(folder / CSV_FILE, _csv_text(rows, task))
        return atomic.sha256(buffer.getvalue())


def read_out_of_fold(folder: Path) -> OutOfFold:
    """Reads the predictions of a cross-validation.

    Raises:
        CheckpointError: If the file is missing or damaged.
    """
    path, none = folder / NPZ_FILE, np.empty(0)
    try:
        arrays = arrays_in(atomic.read_bytes(path))
        return OutOfFold(**{name: arrays.get(name, none) for name in OutOfFold._fields})
    except (OSError, ValueError) as error:
        remedy = f"Remove {path}, and run `kfc resume` on its folder."
        finding = Finding(str(path), "predictions of held-out rows", reason(error), remedy)
        raise CheckpointError(finding) from error


def _csv_text(rows: OutOfFold, task: Task) -> str:
    """Returns a line for each row: its numbers, its target and its prediction."""
    values = rows.probabilities if task.classification else rows.value
    numbered = [f"value_{i}" for i in range(values.shape[1])] if values.shape[1] > 1 else []
    names = [*task.class_names] if task.classification else numbered or ["value"]
    targets = rows.target.reshape(len(rows.row), -1)
    wide = targets.shape[1] > 1
    target_names = [f"target_{i}" for i in range(targets.shape[1])] if wide else ["target"]
    labels = ["label"] if task.classification else []
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["row", "repeat", "fold", *target_names, *labels, *names])
    for place, given in enumerate(values.tolist()):
        label = [task.class_names[int(np.argmax(given))]] if labels else []
        places = rows.row[place], rows.repeat[place], rows.fold[place]
        writer.writerow([*places, *targets[place].tolist(), *label, *given])
    return text.getvalue()
