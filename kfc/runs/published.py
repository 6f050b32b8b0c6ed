"""Places a result beside published ones, for data that kfc knows."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from importlib import resources
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from ruamel.yaml import YAML

if TYPE_CHECKING:
    from kfc.runs.run import Run

_MOST = 3
_FACTOR = 4.0
"""Published networks with up to four times more or fewer weights count as of this size."""

_SHARE = 0.8
"""Share of the training rows that a comparable run has used, its validation rows included."""


@dataclass(frozen=True)
class PublishedResult:
    """A published result of a dense network.

    Args:
        data: Name of the data.
        accuracy: Accuracy on the test rows of the data, in [0, 1].
        hidden: Units of the hidden layers.
        source: Authors, title, year and link.
        short: Authors and year.
        spread: Standard deviation over seeds; None where none was published.
    """

    data: str
    accuracy: float
    hidden: tuple[int, ...]
    source: str
    short: str
    spread: float | None = None

    @property
    def percent(self) -> str:
        """The accuracy, with its spread where it was published."""
        spread = "" if self.spread is None else f" +- {100 * self.spread:.2f}"
        return f"{100 * self.accuracy:.2f}{spread} %"

    @property
    def text(self) -> str:
        """The result in a few words, such as `98.40 % with hidden 800 (...)`."""
        units = "-".join(map(str, self.hidden))
        return f"{self.percent} with hidden {units} ({self.short})"

    def weights(self, inputs: int, classes: int) -> int:
        """Returns the number of weights and biases of the network.

        Args:
            inputs: Numbers in a row.
            classes: Number of classes.
        """
        sizes = (inputs, *self.hidden, classes)
        return sum((a + 1) * b for a, b in pairwise(sizes))


def placed(run: Run) -> str:
    """Returns a sentence that places the test accuracy of a run beside published ones.

    Args:
        run: Finished run.

    Returns:
        Such as `96.83 %; networks of about this size reach 95.30 to 97.05 %`; empty for data
        that kfc does not know.
    """
    found, accuracy = published_beside(run), run.metrics.get("test_accuracy")
    if not found or accuracy is None:
        return ""
    low, high = found[0], found[-1]
    reach = (
        low.percent if low.accuracy == high.accuracy else f"{low.percent} to {high.percent}"
    )
    reach = reach.replace(" % to", " to")
    return f"{100 * accuracy:.2f} %; networks of about this size reach {reach}"


def published_beside(run: Run) -> list[PublishedResult]:
    """Returns published results for the data of a run, of networks of its size.

    The data are known by the sha256 of all their rows. A run on a part of the training rows,
    or on other test rows, has none.

    Args:
        run: Finished run.

    Returns:
        At most three results, of the networks whose numbers of weights are nearest; empty for
        data that kfc does not know.
    """
    found = next(
        (each for each in _published() if run.data_sha256 in each["data_sha256"]), None
    )
    used = run.num_rows.get("train", 0) + run.num_rows.get("val", 0)
    if found is None or used < _SHARE * found["train"] or run.spec.data.fold is not None:
        return []
    inputs, classes = math.prod(run.task.input_shape), len(run.task.class_names)
    results = [
        PublishedResult(
            found["name"],
            float(each["accuracy"]),
            tuple(each["hidden"]),
            each["source"],
            each["short"],
            each.get("spread"),
        )
        for each in found["results"]
    ]

    def distance(each: PublishedResult) -> float:
        return abs(math.log(each.weights(inputs, classes) / run.network.count_params()))

    near = sorted((e for e in results if distance(e) <= math.log(_FACTOR)), key=distance)
    return sorted(near[:_MOST], key=lambda each: each.accuracy)


@functools.cache
def _published() -> list[dict[str, Any]]:
    text = (resources.files("kfc.runs") / "published.yaml").read_text("utf-8")
    return list(YAML(typ="safe", pure=True).load(text))
