"""Several workers train on one Parquet folder that is larger than the memory of them all.

`kfc fit SPEC --workers N` encodes a synthetic table in parts and trains on it for one epoch.
The same network then trains in one process. Prints the bytes of the encoded rows, the largest
anonymous memory of each worker and of all at a moment, and the difference of the weights.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from run import write_parts

ROWS = 2_000_000
NUMBERS = 220  # columns of numbers, beside two categories
PART = 250_000  # rows of a part
WORKERS = 2
_START = "import sys; from kfc.cli import main; main(sys.argv[1:])"
_SECONDS = 0.01  # between two looks at the memory


def settings(folder: Path, cache: Path) -> dict[str, str]:
    """Returns the keys of the spec of both trainings."""
    return {
        "name": "joint",
        "data.source": f"parquet:{folder}",
        "data.target": "target",
        "data.test": "none",
        "data.stream": "always",
        "data.cache": str(cache),
        "network.hidden": "[128, 64]",
        "network.activation": "tanh",  # relu's kink amplifies differences of rounding
        "training.batch_size": "4096",
        "training.epochs": "1",
    }


def anonymous_bytes(process: int) -> int:
    """Returns the anonymous memory of a process; 0 after its end."""
    try:
        lines = Path(f"/proc/{process}/status").read_text("ascii").splitlines()
    except OSError:
        return 0
    return next((int(x.split()[1]) * 1024 for x in lines if x.startswith("RssAnon:")), 0)


def children(process: int) -> list[int]:
    """Returns the processes that a process has started."""
    try:
        return [
            *map(int, Path(f"/proc/{process}/task/{process}/children").read_text().split())
        ]
    except OSError:
        return []


def fit(place: Path, name: str, keys: dict[str, str], *, workers: int) -> dict:
    """Runs `kfc fit`; returns its result, seconds, and the memory of each worker."""
    spec = place / f"{name}.json"
    spec.write_text("{}")
    command = ["fit", str(spec), *(f"{key}={value}" for key, value in keys.items())]
    command += ["--runs", str(place / name), "--json", "--quiet"]
    if workers > 1:
        command += ["--workers", str(workers)]

    began, peaks, together = time.perf_counter(), {}, 0
    with subprocess.Popen(
        [sys.executable, "-c", _START, *command],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "KFC_REPORT": "off"},
    ) as process:
        while process.poll() is None:
            watched = children(process.pid) if workers > 1 else [process.pid]
            sizes = {each: anonymous_bytes(each) for each in watched}
            together = max(together, sum(sizes.values()))
            peaks |= {each: max(peaks.get(each, 0), size) for each, size in sizes.items()}
            time.sleep(_SECONDS)
        printed = process.stdout.read()
    if process.returncode:
        raise RuntimeError(f"{name}: kfc fit ended with exit code {process.returncode}")
    run = json.loads(printed)
    return {
        "folder": run["folder"],
        "seconds": round(time.perf_counter() - began, 1),
        "anonymous_peaks": [*peaks.values()],
        "anonymous_peak_together": together,
        "val_accuracy": run["metrics"]["val_accuracy"],
    }


def measure(
    rows: int,
    numbers: int,
    *,
    part: int,
    workers: int,
    work: Path | None,
) -> dict:
    """Returns sizes, memory and results of the workers and of one process."""
    import kfc

    with tempfile.TemporaryDirectory(dir=work) as folder:
        place = Path(folder)
        cache = place / "cache"
        write_parts(place / "parts", rows, part, numbers)
        keys = settings(place / "parts", cache)
        joint = fit(place, "joint", keys, workers=workers)
        encoded = sum(path.stat().st_size for path in cache.glob("*/table/*_x.npy"))
        alone = {**keys, "training.engine": "graph"}
        one = fit(place, "one", alone, workers=1)
        weights = [
            kfc.load(place / name / Path(each.pop("folder")).name).network.get_weights()
            for name, each in (("joint", joint), ("one", one))
        ]
        parts = [*(place / "parts").iterdir()]
        parquet_bytes = sum(path.stat().st_size for path in parts)
    largest = max(np.abs(weight).max() for weight in weights[0])
    difference = max(np.abs(a - b).max() for a, b in zip(*weights, strict=True)) / largest
    return {
        "rows": rows,
        "parts": len(parts),
        "parquet_bytes": parquet_bytes,
        "encoded_bytes": encoded,
        "joint": joint,
        "one process": one,
        "difference of weights": float(difference),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--numbers", type=int, default=NUMBERS, help="columns of numbers")
    parser.add_argument("--part", type=int, default=PART, help="rows of a part")
    parser.add_argument("--workers", type=int, default=WORKERS)
    parser.add_argument("--work", type=Path, help="folder for the files, by default /tmp")
    options = vars(parser.parse_args())
    print(
        json.dumps(measure(options.pop("rows"), options.pop("numbers"), **options), indent=1)
    )
