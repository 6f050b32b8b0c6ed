"""A CSV file that is streamed, against one that is resident: speed and memory.

A synthetic table, half of its columns text, is encoded and trained on in processes of their
own, resident and streamed in turn. `--rows` and `--columns` choose its size, and `--limit` is
the anonymous memory that the streamed processes may hold.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv

os.environ.setdefault("KFC_REPORT", "off")  # pages are not measured here

CHUNK = 100_000  # rows that are written at a time
EPOCHS = 3


def write_table(path: Path, rows: int, columns: int) -> None:
    """Writes a table of numbers with gaps, words of 3 to 3,000 kinds, and a target."""
    rng = np.random.default_rng(0)
    kinds = np.geomspace(3, 3000, columns // 2).astype(int)
    words = [np.array([f"value {i} of {kind}" for i in range(kind)]) for kind in kinds]
    with path.open("wb") as file:
        for first in range(0, rows, CHUNK):
            count = min(CHUNK, rows - first)
            numbers = rng.normal(size=(columns - len(words), count)).round(4)
            codes = [rng.integers(0, kind, count) for kind in kinds]
            part = {f"number {i}": pa.array(v, mask=v > 2) for i, v in enumerate(numbers)}
            part |= {
                f"word {i}": w[c] for i, (w, c) in enumerate(zip(words, codes, strict=True))
            }
            part["target"] = np.where(numbers[0] + (codes[0] == 1) > 0.5, "yes", "no")
            options = pyarrow.csv.WriteOptions(include_header=not first)
            pyarrow.csv.write_csv(pa.table(part), file, options)


class AnonymousPeak:
    """Samples the anonymous memory of this process until `bytes` is called."""

    def __init__(self) -> None:
        self._largest, self._ended = 0, threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)
        self._thread.start()

    def _sample(self) -> None:
        from kfc.system import memory

        while not self._ended.wait(0.005):
            self._largest = max(self._largest, memory.used_bytes())

    def bytes(self) -> int:
        """Returns the largest sample."""
        self._ended.set()
        self._thread.join()
        return self._largest


def spec_of(path: Path, form: str, cache: Path) -> dict:
    """Returns the spec of one form of the training."""
    stream = {"streamed": "always", "resident": "never"}[form]
    return {
        "data": {
            "source": f"csv:{path}",
            "target": "target",
            "scale": "standard",
            "stream": stream,
            "cache": str(cache),
        },
        "network": {"hidden": [256, 128]},
        "training": {"batch_size": 256, "epochs": EPOCHS, "engine": "xla"},
    }


def encode(path: Path, form: str, cache: Path) -> dict:
    """Prepares the table; returns seconds, and the memory that this took."""
    import kfc.data
    from kfc.spec import load_spec
    from kfc.system import memory

    before, peak, began = memory.used_bytes(), AnonymousPeak(), time.perf_counter()
    prepared = kfc.data.prepare(load_spec(spec_of(path, form, cache)))
    return {
        "seconds": round(time.perf_counter() - began, 2),
        "anonymous_before": before,
        "anonymous_peak": peak.bytes(),
        "resident_peak": memory.peak_bytes(),
        "encoded_bytes": sum(
            rows.x.nbytes for rows in (prepared.train, prepared.validation, prepared.test)
        ),
    }


def train(path: Path, form: str, cache: Path) -> dict:
    """Trains; returns rows per second from the second epoch on."""
    import kfc
    from kfc.system import memory

    with tempfile.TemporaryDirectory() as runs:
        run = kfc.fit(spec_of(path, form, cache), runs=runs, verbose=False)
        text = (run.folder / "metrics.jsonl").read_text("utf-8")
        result = json.loads((run.folder / "result.json").read_text("utf-8"))
    seconds = [json.loads(line)["seconds"] for line in text.splitlines()]
    rows = run.num_rows["train"]
    return {
        "rows_per_second": (EPOCHS - 1) * rows / (seconds[-1] - seconds[0]),
        "anonymous_bytes": memory.used_bytes(),
        "predicted_bytes": result["memory"]["predicted"],
        "phases": result.get("phases"),
        "test_accuracy": run.metrics["test_accuracy"],
    }


def measure(rows: int, columns: int, *, rounds: int = 3, limit: int = 0) -> dict:
    """Returns the measurements by form, and the median of the ratios of the speeds."""
    found: dict[str, dict[str, list]] = {}
    with tempfile.TemporaryDirectory() as work:
        path = Path(work) / "table.csv"
        write_table(path, rows, columns)
        for number in range(rounds):
            for form in ("streamed", "resident"):
                for what in ("encode", "train"):
                    cache = str(Path(work) / str(number))
                    most = str(limit if form == "streamed" else 0)
                    arguments = ["--worker", what, str(path), form, cache, most]
                    command = [sys.executable, __file__, *arguments]
                    printed = subprocess.run(
                        command, check=True, stdout=subprocess.PIPE, text=True
                    )
                    of_form = found.setdefault(form, {"encode": [], "train": []})
                    of_form[what].append(json.loads(printed.stdout))
        size = path.stat().st_size
    ratios = [
        streamed["rows_per_second"] / resident["rows_per_second"]
        for streamed, resident in zip(
            found["streamed"]["train"], found["resident"]["train"], strict=True
        )
    ]
    return {
        "rows": rows,
        "columns": columns,
        "file_bytes": size,
        "limit_bytes": limit or None,
        "rounds": found,
        "ratios": [round(ratio, 3) for ratio in ratios],
        "ratio": round(statistics.median(ratios), 3),
    }


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        what, place, form, cache, most = sys.argv[2:]
        if int(most):
            resource.setrlimit(resource.RLIMIT_DATA, (int(most), int(most)))
        function = {"encode": encode, "train": train}[what]
        print(json.dumps(function(Path(place), form, Path(cache))))
        sys.exit()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--columns", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--limit", type=int, default=0, help="bytes; 0 for no limit")
    options = parser.parse_args()
    found = measure(options.rows, options.columns, rounds=options.rounds, limit=options.limit)
    print(json.dumps(found, indent=1))
