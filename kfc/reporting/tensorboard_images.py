"""Writes the confusion matrix of a run as an image for TensorBoard."""

from __future__ import annotations

import io
import time
from pathlib import Path

import numpy as np
from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.summary.writer.record_writer import RecordWriter

from kfc.reporting.blocks import shown
from kfc.system import atomic

TAG = "confusion_matrix"
_MOST = 40
"""Classes up to which the numbers in the cells can be read."""


def write_confusion_image(
    folder: Path, counts: np.ndarray, names: tuple[str, ...], epoch: int
) -> None:
    """Writes an event file with the confusion matrix of test rows.

    Args:
        folder: Folder of the event files of test rows.
        counts: Number of rows of each class with each answer, (classes, classes).
        names: Names of the classes.
        epoch: Number of epochs trained.

    Raises:
        DiskError: If the file cannot be written.
    """
    if len(names) > _MOST:
        return
    png, width, height = _png(counts, names)
    image = summary_pb2.Summary.Image(
        height=height, width=width, colorspace=4, encoded_image_string=png
    )
    summary = summary_pb2.Summary(value=[summary_pb2.Summary.Value(tag=TAG, image=image)])
    now, data = time.time(), io.BytesIO()
    writer = RecordWriter(data)
    for event in (
        event_pb2.Event(wall_time=now, file_version="brain.Event:2"),
        event_pb2.Event(wall_time=now, step=epoch, summary=summary),
    ):
        writer.write(event.SerializeToString())
    atomic.make_folder(folder)
    atomic.write_file(folder / "events.out.tfevents.0.confusion", data.getvalue())


def _png(counts: np.ndarray, names: tuple[str, ...]) -> tuple[bytes, int, int]:
    """Returns a PNG of the matrix, in shares of each class, with its width and height."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    size = 2.2 + 0.36 * len(names)
    with matplotlib.rc_context({"text.parse_math": False, "font.size": 9}):
        figure = Figure(figsize=(size, size), layout="constrained", dpi=100)
        axes = figure.add_subplot()
        shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for i, j in np.argwhere(counts):
            color = "white" if shares[i, j] > 0.6 else "black"
            axes.text(j, i, f"{counts[i, j]}", ha="center", va="center", color=color)
        # The font lacks letters of other scripts, and would warn.
        labels = [shown(name, 14).encode("ascii", "replace").decode() for name in names]
        axes.set_xticks(range(len(names)), labels, rotation=90)
        axes.set_yticks(range(len(names)), labels)
        axes.set(xlabel="answer", ylabel="true class")
        data = io.BytesIO()
        canvas = FigureCanvasAgg(figure)
        canvas.print_png(data)
        width, height = canvas.get_width_height()
    return data.getvalue(), width, height
