"""A Parquet folder that is larger than the memory allowed, against one that is resident.

A synthetic table in parts is encoded and trained on for one epoch in processes that may hold
`--limit` bytes of data; the same network trains on some of the parts in memory before and
after it, so that other work on the machine slows both. Prints seconds, rows per second and
peaks of memory, and `--rounds` repeats the trainings. With `--workers 1 2 4` so many
processes encode the table together, in caches of their own, and nothing is trained.
"""

import argparse
import itertools
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "streaming"))
from tables import AnonymousPeak

os.environ.setdefault("KFC_REPORT", "off")  # pages are not measured here

ROWS = 50_000_000
RESIDENT = 2_000_000  # rows of the same table that fit into the limit
PART = 1_000_000  # rows of a part
LIMIT = 4_000_000_000  # bytes
NUMBERS = 18
KINDS = {"region": 12, "product": 300}
EPOCHS = {"streamed": 1, "resident": 3}


def write_parts(folder: Path, rows: int, part: int, count_numbers: int = NUMBERS) -> None:
    """Writes parts with numbers, some with gaps, two categories, and a target."""
    folder.mkdir(parents=True)
    weights = np.random.default_rng(0).normal(size=count_numbers).astype(np.float32)
    words = {name: np.array([f"{name} {i}" for i in range(n)]) for name, n in KINDS.items()}
    for number, first in enumerate(range(0, rows, part)):
        rng = np.random.default_rng([1, number])
        count = min(part, rows - first)
        numbers = rng.standard_normal((count, count_numbers), np.float32)
        codes = {name: rng.integers(0, kinds, count) for name, kinds in KINDS.items()}
        signal = numbers @ weights + 3 * (codes["region"] == 1) + rng.normal(size=count)
        columns = {
            f"number_{i}": pa.array(values, mask=values > 2.5 if i < 4 else None)
            for i, values in enumerate(numbers.T)
        }
        columns |= {
            name: pa.DictionaryArray.from_arrays(pa.array(code, pa.int32()), words[name])
            for name, code in codes.items()
        }
        columns["target"] = pa.array((signal > 0).astype(np.int8))
        # Random numbers do not compress, and reading them is not what is measured.
        pq.write_table(pa.table(columns), folder / f"part-{number:05}.parquet", **_NONE)


_NONE = {"compression": "none", "use_dictionary": [*KINDS]}


def spec_of(folder: Path, form: str, cache: Path) -> dict:
    """Returns the spec of one form of the training."""
    return {
        "data": {
            "source": f"parquet:{folder}",
            "target": "target",
            "test": "none",
            "stream": {"streamed": "always", "resident": "never"}[form],
            "cache": str(cache),
        },
        "network": {"hidden": [256, 128]},
        "training": {"batch_size": 1024, "epochs": EPOCHS[form], "engine": "xla"},
    }


def encode(folder: Path, form: str, cache: Path) -> dict:
    """Prepares the table; returns seconds, and the memory that this took."""
    import sklearn.model_selection

    import kfc.data
    from kfc.spec import load_spec
    from kfc.system import memory

    print(f"ready with scikit-learn {sklearn.__version__}", flush=True)
    sys.stdin.readline()  # until the other processes are
    began, peak, processor = time.perf_counter(), AnonymousPeak(), time.process_time()
    prepared = kfc.data.prepare(load_spec(spec_of(folder, form, cache)))
    return {
        "seconds": round(time.perf_counter() - began, 1),
        "cpu_seconds": round(time.process_time() - processor, 1),
        "anonymous_peak": peak.bytes(),
        "resident_peak": memory.peak_bytes(),
        "encoded_bytes": prepared.train.x.nbytes,
    }


def train(folder: Path, form: str, cache: Path) -> dict:
    """Trains; returns rows per second of the epochs, of the clock and of the processor."""
    import keras

    import kfc

    class Clock(keras.callbacks.Callback):
        """Reads both clocks at the ends of each epoch."""

        def __init__(self) -> None:
            super().__init__()
            self.times: list[tuple[float, float]] = []

        def on_epoch_begin(self, epoch: int, logs: dict | None = None) -> None:
            self.times.append((time.perf_counter(), time.process_time()))

        on_epoch_end = on_epoch_begin

    clock, peak = Clock(), AnonymousPeak()
    with tempfile.TemporaryDirectory(dir=cache.parent) as runs:
        spec = spec_of(folder, form, cache)
        run = kfc.fit(spec, runs=runs, callbacks=[clock], verbose=False)
    ends = np.array(clock.times).reshape(-1, 2, 2)  # (epochs, begin and end, clocks)
    wall, processor = np.median(ends[:, 1] - ends[:, 0], axis=0)
    rows = run.num_rows["train"]
    return {
        "rows": rows,
        "epoch_seconds": round(wall, 2),
        "rows_per_second": round(rows / wall),
        "rows_per_cpu_second": round(rows / processor),
        "anonymous_peak": peak.bytes(),
        "val_accuracy": run.metrics["val_accuracy"],
    }


def in_processes(
    what: str, folder: Path, form: str, cache: Path, limit: int, count: int = 1
) -> list[dict]:
    """Returns the results of `encode` or `train` in so many processes at the same time."""
    arguments = [what, str(folder), form, str(cache), str(limit)]
    command = [sys.executable, __file__, "--worker", *arguments]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    processes = [subprocess.Popen(command, text=True, **pipes) for _ in range(count)]
    if what == "encode":
        for process in processes:
            process.stdout.readline()
        for process in processes:
            process.stdin.write("\n")
            process.stdin.flush()
    found = [json.loads(process.communicate()[0]) for process in processes]
    print(what, form, *found, file=sys.stderr)
    return found


def measure(
    rows: int, resident: int, *, part: int, limit: int, work: Path | None, rounds: int = 1
) -> dict:
    """Returns the measurements by form, and the ratios of the speeds within each round."""
    found: dict = {"rows": rows, "limit_bytes": limit}
    with tempfile.TemporaryDirectory(dir=work) as place:
        folders, cache = {form: Path(place) / form for form in EPOCHS}, Path(place) / "cache"
        write_parts(folders["streamed"], rows, part)
        folders["resident"].mkdir()
        parts = sorted(folders["streamed"].iterdir())
        for path in parts[: max(1, resident // part)]:
            os.link(path, folders["resident"] / path.name)
        found["parts"] = len(parts)
        found["parquet_bytes"] = sum(path.stat().st_size for path in parts)

        def in_process(what: str, form: str) -> dict:
            (result,) = in_processes(what, folders[form], form, cache, limit)
            return result

        found["encoding"] = in_process("encode", "streamed")
        found |= {"streamed": [], "resident": [in_process("train", "resident")]}
        for _ in range(rounds):
            found["streamed"].append(in_process("train", "streamed"))
            found["resident"].append(in_process("train", "resident"))
    for speed in ("rows_per_second", "rows_per_cpu_second"):
        streamed, in_memory = ([x[speed] for x in found[form]] for form in EPOCHS)
        around = [statistics.mean(pair) for pair in itertools.pairwise(in_memory)]
        ratios = [round(a / b, 3) for a, b in zip(streamed, around, strict=True)]
        found[f"ratios of {speed}"] = ratios
        found[f"ratio of {speed}"] = round(statistics.median(ratios), 3)
    return found


def share(rows: int, counts: list[int], *, part: int, limit: int, work: Path | None) -> dict:
    """Returns the seconds of the processor that each of some processes takes to encode."""
    found: dict = {"rows": rows}
    with tempfile.TemporaryDirectory(dir=work) as place:
        folder = Path(place) / "parts"
        write_parts(folder, rows, part)
        for turn, count in enumerate(counts):
            cache = Path(place) / f"cache {turn}"
            done = in_processes("encode", folder, "streamed", cache, limit, count)
            seconds = found.setdefault("cpu_seconds", {}).setdefault(str(count), [])
            seconds.append([each["cpu_seconds"] for each in done])
            shutil.rmtree(cache)
    return found


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        what, folder, form, cache, most = sys.argv[2:]
        if int(most):
            resource.setrlimit(resource.RLIMIT_DATA, (int(most), int(most)))
        function = {"encode": encode, "train": train}[what]
        print(json.dumps(function(Path(folder), form, Path(cache))))
        sys.exit()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS)
    parser.add_argument("--resident", type=int, default=RESIDENT, help="rows in memory")
    parser.add_argument("--part", type=int, default=PART, help="rows of a part")
    parser.add_argument("--limit", type=int, default=LIMIT, help="bytes; 0 for no limit")
    parser.add_argument("--work", type=Path, help="folder for the files, by default /tmp")
    parser.add_argument("--rounds", type=int, default=1, help="of the trainings")
    parser.add_argument("--workers", type=int, nargs="+", help="numbers of processes")
    options = parser.parse_args()
    sizes = {"part": options.part, "limit": options.limit, "work": options.work}
    if options.workers:
        found = share(options.rows, options.workers, **sizes)
    else:
        found = measure(options.rows, options.resident, rounds=options.rounds, **sizes)
    print(json.dumps(found, indent=1))
