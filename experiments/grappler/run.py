"""What TensorFlow's graph optimizer makes of kfc's graph: its first call, and later ones.

Each round takes both settings in turn, each in a process of its own: graphs as they were
traced, which is what kfc does, and rewritten by the optimizer, which is what TensorFlow does.
"""

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence

NETWORKS = {
    "64-100-50-10, mse, SGD": {
        "data": {"source": "sklearn:digits"},
        "network": {"hidden": [100, 50]},
        "training": {"loss": "mse", "batch_size": 32, "optimizer": "sgd"},
    },
    "784-256-128-10, momentum": {
        "data": {"source": "tfds:mnist", "rows": 10_000},
        "network": {"hidden": [256, 128]},
        "training": {"batch_size": 128, "optimizer": {"name": "sgd", "momentum": 0.9}},
    },
    "784-128-10, Adam": {
        "data": {"source": "tfds:mnist", "rows": 10_000},
        "network": {"hidden": [128]},
        "training": {"batch_size": 128},
    },
    "784-512-512-10, batch norm, dropout, Adam": {
        "data": {"source": "tfds:mnist", "rows": 5_000},
        "network": {"hidden": [512, 512], "normalization": "batch", "dropout": 0.2},
        "training": {"batch_size": 128},
    },
    "784-64 x 8-10, layer norm, gelu, Adam": {
        "data": {"source": "tfds:mnist", "rows": 5_000},
        "network": {"hidden": [64] * 8, "normalization": "layer", "activation": "gelu"},
        "training": {"batch_size": 64},
    },
}
LATER_CALLS = 6


def milliseconds(setting: str, network: str) -> dict[str, float]:
    """Returns what an epoch takes in the first call and, the median, in later ones."""
    import numpy as np

    from kfc.runs.plan import make_plan
    from kfc.runs.trainer import compile_trainer
    from kfc.training.engine import graph_cache
    from kfc.training.engine.engine import Engine

    if setting == "rewritten":
        graph_cache.without_graph_rewriting = contextlib.nullcontext
    plan = make_plan({"name": "grappler", **NETWORKS[network]})
    trainer = compile_trainer(plan)
    rows = plan.prepared.train
    shared = graph_cache.graph_key(plan.spec, plan.prepared.task, num_rows=len(rows))
    size = plan.spec.training.batch_size
    engine = Engine(trainer.model, rows, size, form="graph", graph_key=shared)
    engine.trace()
    engine.set_row_orders(np.arange(len(rows), dtype=np.int32)[None])
    calls = []
    for _ in range(1 + LATER_CALLS):
        began = time.perf_counter()
        engine.run(0, engine.steps_per_epoch)
        calls.append(1000 * (time.perf_counter() - began))
    return {"first": calls[0], "later": statistics.median(calls[1:])}


def measure(setting: str, networks: Sequence[str]) -> dict[str, dict[str, float]]:
    """Returns network -> milliseconds, measured in a process of its own."""
    command = [sys.executable, __file__, "--setting", setting, *networks]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    return json.loads(done.stdout.splitlines()[-1])


def main(arguments: list[str] | None = None) -> None:
    """Prints a row of a table for each network."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--setting", choices=["traced", "rewritten"], help="in this process")
    parser.add_argument("networks", nargs="*", metavar="NETWORK", help="instead of all")
    given = parser.parse_args(arguments)
    networks = given.networks or list(NETWORKS)
    if given.setting:
        print(json.dumps({name: milliseconds(given.setting, name) for name in networks}))
        return
    settings = ("traced", "rewritten")
    rounds = [[measure(each, networks) for each in settings] for _ in range(given.rounds)]
    for network in networks:
        cells = [network]
        for call in ("first", "later"):
            traced, rewritten = (
                [measured[number][network][call] for measured in rounds] for number in (0, 1)
            )
            ratios = [b / a for a, b in zip(traced, rewritten, strict=True)]
            medians = f"{statistics.median(traced):.0f} | {statistics.median(rewritten):.0f}"
            spread = f"({min(ratios):.2f} to {max(ratios):.2f})"
            cells.append(f"{medians} | {statistics.median(ratios):.2f} {spread}")
        print("|", " | ".join(cells), "|")


if __name__ == "__main__":
    main()
