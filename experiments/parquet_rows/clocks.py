"""The seconds of a streamed epoch: the graph, waiting for rows, their order, the evaluation.

Encodes a synthetic table in parts and trains on it for one epoch, with a clock around each
part of the work. Prints its seconds, and those of the processor in its thread.
"""

import argparse
import json
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from run import train, write_parts

ROWS = 6_000_000
PART = 250_000  # rows of a part


class Clocks:
    """Adds up the seconds of functions by name."""

    def __init__(self) -> None:
        self.wall: Counter[str] = Counter()
        self.processor: Counter[str] = Counter()

    def watch(self, owner: Any, function: str, name: str) -> None:
        """Replaces a function by one that is measured."""
        plain: Callable[..., Any] = getattr(owner, function)

        def measured(*given: Any, **named: Any) -> Any:
            began, processor = time.perf_counter(), time.thread_time()
            try:
                return plain(*given, **named)
            finally:
                self.wall[name] += time.perf_counter() - began
                self.processor[name] += time.thread_time() - processor

        setattr(owner, function, measured)

    def seconds(self) -> dict[str, list[float]]:
        """Returns the seconds of the clock and of the processor by name."""
        return {
            name: [round(wall, 6), round(self.processor[name], 6)]
            for name, wall in self.wall.items()
        }


def measure(rows: int, *, part: int, work: Path | None) -> dict:
    """Returns the speed of an epoch and the seconds of its parts."""
    from kfc.training import loop
    from kfc.training.engine import batches, engine, evaluation

    clocks = Clocks()
    clocks.watch(loop, "epoch_order", "order of the rows")
    clocks.watch(engine.Engine, "_call", "calls of the graph")
    clocks.watch(batches.StreamedRows, "window", "waiting for a window")
    clocks.watch(batches.StreamedRows, "_read_window", "reading windows, in a thread")
    clocks.watch(evaluation.Evaluator, "evaluate", "evaluation")
    with tempfile.TemporaryDirectory(dir=work) as place:
        write_parts(Path(place) / "parts", rows, part)
        epoch = train(Path(place) / "parts", "streamed", Path(place) / "cache")
    return {**epoch, "seconds": clocks.seconds()}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--part", type=int, default=PART, help="rows of a part")
    parser.add_argument("--work", type=Path, help="folder for the files, by default /tmp")
    options = vars(parser.parse_args())
    print(json.dumps(measure(options.pop("rows"), **options), indent=1, default=float))
