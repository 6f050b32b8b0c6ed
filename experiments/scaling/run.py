"""Time of a step on 1, 2 and 4 processes of this machine, against a model of the exchange.

Strong scaling shares one batch among the processes; weak scaling gives each process a batch
of that size. Every process computes with one thread. An exchange is measured by itself, and
its two numbers are those of the smallest and the largest one:

    exchange(n) = latency(n) + 4 x parameters x 2 (n - 1) / n / bandwidth(n)

A step has two exchanges, of the outputs and of the gradients, so with c cores

    strong(n) = step(1) x max(1 / n, 1 / c) + exchange(n) + latency(n)
    weak(n)   = step(1) x max(1, n / c)     + exchange(n) + latency(n)
"""

import argparse
import itertools
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

os.environ["KFC_REPORT"] = "off"  # pages are not measured here

NETWORKS = {
    "256-128": {"hidden": [256, 128], "batch_size": 256},
    "1024-1024": {"hidden": [1024, 1024], "batch_size": 1024},
}
INPUTS, CLASSES, BYTES = 784, 10, 4
SMALLEST, LARGEST = 1_000, 2_000_000  # numbers in an exchange
THREADS = {"TF_NUM_INTRAOP_THREADS": "1", "TF_NUM_INTEROP_THREADS": "2"}


def num_parameters(hidden: list[int]) -> int:
    """Returns the number of weights and biases of a network."""
    widths = [INPUTS, *hidden, CLASSES]
    return sum((before + 1) * units for before, units in itertools.pairwise(widths))


def run_processes(count: int, *arguments: str) -> str:
    """Runs a Python program in several processes; returns what the first one prints."""
    from kfc.system import config_text

    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    addresses = tuple(f"127.0.0.1:{each.getsockname()[1]}" for each in sockets)
    for each in sockets:
        each.close()
    processes = [
        subprocess.Popen(
            [sys.executable, *arguments],
            env={**os.environ, **THREADS, "TF_CONFIG": config_text(addresses, index)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for index in range(count)
    ]
    printed = [process.communicate() for process in processes]
    if any(process.returncode for process in processes):
        raise RuntimeError("\n".join(error for _, error in printed))
    return printed[0][0]


def exchange(size: int, repeats: int) -> float:
    """Returns the seconds of one exchange of this process with the others of its cluster."""
    from kfc.spec import load_spec
    from kfc.system import import_tensorflow

    import_tensorflow()
    import tensorflow as tf

    from kfc.training.distributing import join_cluster, replicas_for

    spec = load_spec("digits", {"training.distribute": "multi_worker"})
    join_cluster(spec)
    replicas = replicas_for(spec)

    @tf.function(autograph=False)
    def exchange_many(values, count):
        return tf.while_loop(
            lambda step, values: step < count,
            lambda step, values: (step + 1, replicas.mean([values])[0]),
            (tf.constant(0), values),
        )[1]

    values = tf.zeros([size])
    exchange_many(values, tf.constant(3))
    began = time.perf_counter()
    exchange_many(values, tf.constant(repeats)).numpy()
    return (time.perf_counter() - began) / repeats


def link(count: int) -> dict[str, float]:
    """Returns latency and bandwidth of an exchange among some processes."""
    small, large = (
        float(run_processes(count, __file__, "--exchange", str(size), str(repeats)))
        for size, repeats in ((SMALLEST, 300), (LARGEST, 15))
    )
    sent = BYTES * (LARGEST - SMALLEST) * 2 * (count - 1) / count
    return {"latency": small, "bandwidth": sent / max(large - small, 1e-9)}


def step(network: dict, batch_size: int, count: int, steps: int, folder: Path) -> float:
    """Returns the median seconds of a step, over the epochs after the first."""
    generator = np.random.default_rng(0)
    rows = batch_size * steps
    rows_folder = folder / f"{rows}"
    if not rows_folder.exists():
        rows_folder.mkdir()
        np.save(rows_folder / "x.npy", generator.random((rows, INPUTS), np.float32))
        np.save(rows_folder / "y.npy", np.arange(rows) % CLASSES)
        np.save(rows_folder / "x_test.npy", generator.random((20, INPUTS), np.float32))
        np.save(rows_folder / "y_test.npy", np.arange(20) % CLASSES)
    spec = {
        "data": {"source": f"npy:{rows_folder}", "validation": 0, "scale": "none"},
        "network": {"hidden": network["hidden"]},
        "accept": ["unscaled_input"],
        "training": {
            "optimizer": {"name": "sgd", "learning_rate": 0.01},
            "batch_size": batch_size,
            "epochs": 3,
            "engine": "graph",
            "log_every": steps,  # so that each epoch is a call of its own
        },
    }
    path = folder / "spec.json"
    path.write_text(json.dumps(spec), "utf-8")
    runs = tempfile.mkdtemp(dir=folder)
    run_processes(count, "-m", "kfc", "fit", str(path), "--quiet", "--runs", runs)
    (run,) = Path(runs).iterdir()
    # The last line of an epoch is written at its end; those before it belong to steps.
    ends: dict[int, float] = {}
    for line in map(json.loads, (run / "metrics.jsonl").read_text("utf-8").splitlines()):
        ends[line["epoch"]] = line["seconds"]
    return float(statistics.median(np.diff([*ends.values()]))) / steps


def measure(counts: tuple[int, ...], rounds: int, steps: int) -> dict:
    """Measures each network on each number of processes, in rounds one after the other."""
    found: dict = {"links": {}, "steps": []}
    with tempfile.TemporaryDirectory() as folder:
        for count in counts[1:]:
            links = [link(count) for _ in range(rounds)]
            found["links"][count] = {
                name: statistics.median(each[name] for each in links) for name in links[0]
            }
        for name, network in NETWORKS.items():
            times: dict[tuple[str, int], list[float]] = {}
            for _ in range(rounds):
                for count, scaling in itertools.product(counts, ("strong", "weak")):
                    if count == 1 and scaling == "weak":
                        continue
                    rows = network["batch_size"] * (count if scaling == "weak" else 1)
                    seconds = step(network, rows, count, steps, Path(folder))
                    times.setdefault((scaling, count), []).append(seconds)
            found["steps"] += [
                {"network": name, "scaling": scaling, "workers": count, "seconds": each}
                for (scaling, count), each in times.items()
            ]
    return found


def predicted(row: dict, found: dict, alone: float, cores: int) -> float:
    """Returns the seconds of a step that the model predicts."""
    count = row["workers"]
    if count == 1:
        return alone
    latency, bandwidth = (found["links"][count][key] for key in ("latency", "bandwidth"))
    sent = BYTES * num_parameters(NETWORKS[row["network"]]["hidden"])
    sent *= 2 * (count - 1) / count
    share = max(1 / count, 1 / cores) if row["scaling"] == "strong" else max(1, count / cores)
    return alone * share + 2 * latency + sent / bandwidth


def table(found: dict, cores: int) -> str:
    """Returns the measured and the predicted times as a table in Markdown."""
    lines = [
        "| network | scaling | processes | ms a step | of one process | predicted ms |",
        "|---|---|---|---|---|---|",
    ]
    alone = {
        row["network"]: statistics.median(row["seconds"])
        for row in found["steps"]
        if row["workers"] == 1
    }
    for row in found["steps"]:
        seconds, one = statistics.median(row["seconds"]), alone[row["network"]]
        model = predicted(row, found, one, cores)
        lines.append(
            f"| {row['network']} | {row['scaling']} | {row['workers']} | {1e3 * seconds:.1f} "
            f"| {seconds / one:.2f} | {1e3 * model:.1f} |"
        )
    links = [
        f"An exchange of {count} processes: {1e3 * each['latency']:.2f} ms, "
        f"{each['bandwidth'] / 1e9:.2f} GB/s."
        for count, each in found["links"].items()
    ]
    return "\n".join([*lines, "", *links])


def predictions(machines: int = 8, sizes: tuple[int, ...] = (20_000, 2_000_000)) -> str:
    """Returns the predicted speed-up of several machines, in Markdown.

    It depends on the network, that is on the number of its parameters, the batch and the link.

    A machine makes 0.5e12 operations per second, of 6 x parameters x rows in a step, and an
    exchange has a latency of 0.2 ms.
    """
    speed, latency, links = 0.5e12, 2e-4, (1, 10, 100)
    lines = [
        "| parameters | rows of a batch | "
        + " | ".join(f"{link} Gbit/s" for link in links)
        + " |",
        "|---|---|" + "---|" * len(links),
    ]
    for parameters, rows in itertools.product(sizes, (256, 1024, 8192, 65536)):
        alone = 6 * parameters * rows / speed
        sent = BYTES * parameters * 2 * (machines - 1) / machines
        gains = [
            alone / (alone / machines + 2 * latency + sent / (link * 1e9 / 8))
            for link in links
        ]
        lines.append(
            f"| {parameters:,} | {rows:,} | "
            + " | ".join(f"{gain:.2f}" for gain in gains)
            + " |"
        )
    return "\n".join(lines)


def main() -> None:
    """Measures, prints the tables, and writes the numbers if a file is named."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--exchange", nargs=2, type=int, help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--json", type=Path, help="file for the numbers")
    options = parser.parse_args()
    if options.exchange:
        print(exchange(*options.exchange))
        return
    found = measure((1, 2, 4), options.rounds, options.steps)
    if options.json:
        options.json.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    print(table(found, len(os.sched_getaffinity(0))))
    print()
    print(predictions())


if __name__ == "__main__":
    main()
