"""A data set larger than the memory allowed, against one that is resident: speed and memory.

MNIST's images, repeated until they outgrow the limit, lie in a folder as `x.npy`; each
training runs in a process of its own, and the streamed one may not hold more anonymous
memory than the limit. `--small` is a slice that needs no limit.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

os.environ.setdefault("KFC_REPORT", "off")  # pages are not measured here

LIMIT = 2_500_000_000  # bytes
ROWS = {"streamed": 3_300_000, "resident": 300_000}  # the first are 2.59 GB
EPOCHS = {"streamed": 2, "resident": 5}


def write_rows(folder: Path, source: str, number: int) -> None:
    """Writes `number` images, drawn from MNIST's with a seed, and its test images."""
    from kfc.data import read_source

    mnist = read_source(source)
    drawn = np.random.default_rng(0).integers(0, len(mnist.train), number)
    folder.mkdir()
    shape = (number, *mnist.train.x.shape[1:])
    images = np.lib.format.open_memmap(folder / "x.npy", "w+", np.uint8, shape)
    for first in range(0, number, 60_000):
        part = drawn[first : first + 60_000]
        images[first : first + len(part)] = mnist.train.x[part].reshape(-1, *shape[1:])
    images.flush()
    np.save(folder / "y.npy", mnist.train.y[drawn])
    np.save(folder / "x_test.npy", mnist.test.x[:1000])
    np.save(folder / "y_test.npy", mnist.test.y[:1000])


def train(folder: Path, name: str, epochs: int, limit: int | None) -> dict:
    """Trains W2 of the benchmarks; returns samples per second from the second epoch on."""
    if limit:
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    import kfc
    from kfc.system import memory

    streamed = {"streamed": "always", "resident": "never"}[name]
    spec = {
        # With the limit `auto` would come to the same.
        "data": {"source": f"npy:{folder}", "validation": 0, "stream": streamed},
        "network": {"hidden": [256, 128]},
        "training": {
            "optimizer": {"name": "sgd", "learning_rate": 0.05},
            "batch_size": 256,
            "epochs": epochs,
            "engine": "xla",
        },
    }
    with tempfile.TemporaryDirectory() as runs:
        run = kfc.fit(spec, runs=runs, verbose=False)
        text = (run.folder / "metrics.jsonl").read_text("utf-8")
        result = json.loads((run.folder / "result.json").read_text("utf-8"))
    seconds = [json.loads(line)["seconds"] for line in text.splitlines()]
    rows = len(np.load(folder / "y.npy", mmap_mode="r"))
    return {
        "form": name,
        "stream": run.spec.data.stream,
        "samples_per_second": (epochs - 1) * rows / (seconds[-1] - seconds[0]),
        "anonymous_bytes": memory.used_bytes(),
        "predicted_bytes": result["memory"]["predicted"],
        "test_accuracy": run.metrics["test_accuracy"],
    }


def measure(source: str, *, small: bool = False, rounds: int = 3) -> dict:
    """Returns medians by form, and the median of the ratios of their speeds."""
    rows = {name: number // 100 if small else number for name, number in ROWS.items()}
    rounds = 1 if small else rounds
    found: dict[str, list[dict]] = {name: [] for name in rows}
    with tempfile.TemporaryDirectory() as work:
        for name, number in rows.items():
            write_rows(Path(work) / name, source, number)
        for _ in range(rounds):
            for name in rows:
                limit = LIMIT if name == "streamed" and not small else 0
                arguments = [str(Path(work) / name), name, str(EPOCHS[name]), str(limit)]
                command = [sys.executable, __file__, "--worker", *arguments]
                printed = subprocess.run(command, check=True, capture_output=True, text=True)
                found[name].append(json.loads(printed.stdout))
    ratios = [
        streamed["samples_per_second"] / resident["samples_per_second"]
        for streamed, resident in zip(found["streamed"], found["resident"], strict=True)
    ]
    return {
        "limit_bytes": None if small else LIMIT,
        "input_bytes": {name: number * 784 for name, number in rows.items()},
        "rounds": found,
        "ratios": [round(ratio, 3) for ratio in ratios],
        "ratio": round(statistics.median(ratios), 3),
    }


if __name__ == "__main__":
    if sys.argv[1:2] == ["--worker"]:
        place, form, number, most = sys.argv[2:]
        print(json.dumps(train(Path(place), form, int(number), int(most) or None)))
        sys.exit()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="a hundredth of the rows")
    home = Path(os.environ.get("KFC_DATASETS", "datasets")).absolute() / "mnist"
    parser.add_argument("--mnist", default=f"idx:{home}", help="a source")
    options = parser.parse_args()
    print(json.dumps(measure(options.mnist, small=options.small), indent=1))
