"""Five seeds, five folds and 20 trials of digits: at once against in turn, from end to end.

Both ways train in one process, the second time with its graphs traced. Rows, checkpoints and
scores are part of the time; pages are not. The trials differ in their learning rates, ten of
them may run at once, and the best five, trained again on two seeds, are compared.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

os.environ.setdefault("KFC_REPORT", "off")  # pages are not measured here

WHAT = {"seeds": "5 seeds", "folds": "5 folds", "trials": "20 trials"}
WAYS = ("never", "always")
DIGITS = {
    "name": "digits",
    "data": {"source": "sklearn:digits", "validation": 0.1},
    "training": {"checkpoint_seconds": 1e6},
}


SEARCH = {
    "algorithm": "random",
    "trials": 20,
    "parallel": 10,
    "finalists": 5,
    "repeats": 2,
    "most_repeats": 2,
    "space": {"training.optimizer.learning_rate": {"low": 1e-4, "high": 1e-1, "log": True}},
}


def train(what: str, way: str, runs: str, overrides: dict):
    """Returns seconds of a call, and its finished runs or trials."""
    import kfc

    overrides = {**overrides, "training.at_once": way}
    began = time.perf_counter()
    if what == "seeds":
        overrides["training.members"] = 5
        found = kfc.fit(DIGITS, overrides=overrides, runs=runs, verbose=False).runs
    elif what == "trials":
        spec = {**DIGITS, "search": SEARCH}
        found = kfc.tune(spec, overrides=overrides, runs=runs, verbose=False).trials
    else:
        found = kfc.cross_validate(
            DIGITS, folds=5, overrides=overrides, runs=runs, verbose=False
        ).ensemble.runs
    return time.perf_counter() - began, found


def numbers(found):
    """Returns the weights of a run, or the metrics of a trial."""
    return found.network.weights if hasattr(found, "network") else [*found.metrics.values()]


def measure(what: str, rounds: int, overrides: dict) -> dict:
    """Returns seconds of each way, of the first call and of later ones, and differences.

    The difference is that of a weight, or of a metric of a trial, which keeps no weights.
    """
    import numpy as np

    import kfc

    with tempfile.TemporaryDirectory() as folder:
        kfc.fit(
            DIGITS, overrides={"training.epochs": 1}, runs=f"{folder}/warm", verbose=False
        )  # TensorFlow's own start
        seconds, last = {way: [] for way in WAYS}, {}
        for number in range(rounds + 1):
            for way in WAYS:
                took, last[way] = train(what, way, f"{folder}/{way}{number}", overrides)
                seconds[way].append(took)
        difference = max(
            float(np.max(np.abs(np.asarray(a) - np.asarray(b))))
            for run, other in zip(last["never"], last["always"], strict=True)
            for a, b in zip(numbers(run), numbers(other), strict=True)
        )
        scores = {
            way: statistics.mean(run.metrics["val_accuracy"] for run in last[way])
            for way in WAYS
        }
    return {"seconds": seconds, "difference": difference, "accuracy": scores}


def main(arguments: list[str] | None = None) -> None:
    """Prints a row of a table for each network and each kind of networks."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--hidden", type=int, nargs="+", default=[32, 256])
    parser.add_argument("--engine", choices=["auto", "graph", "xla"], default="auto")
    parser.add_argument("--activation", choices=["relu", "tanh"], default="relu")
    parser.add_argument("--one", nargs=2, help="kind and width, in this process")
    given = parser.parse_args(arguments)
    if given.one:
        what, units = given.one
        overrides = {
            "network.hidden": [int(units)],
            "network.activation": given.activation,
            "training.epochs": given.epochs,
            "training.engine": given.engine,
        }
        print(json.dumps(measure(what, given.rounds, overrides)))
        return
    columns = ["network", "networks", "first call in turn, at once, s"]
    columns += ["later calls in turn, at once, s", "gain", "accuracy", "largest difference"]
    print(f"| {' | '.join(columns)} |\n{'|---' * len(columns)}|")
    for units in given.hidden:
        for what in WHAT:
            command = [sys.executable, __file__, "--rounds", str(given.rounds)]
            command += ["--epochs", str(given.epochs), "--engine", given.engine]
            command += ["--activation", given.activation, "--one", what, str(units)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise SystemExit(done.stderr[-2000:])
            found = json.loads(done.stdout.splitlines()[-1])
            turn, once = (found["seconds"][way] for way in WAYS)
            gains = [a / b for a, b in zip(turn[1:], once[1:], strict=True)]
            later = [f"{statistics.median(each[1:]):.2f}" for each in (turn, once)]
            accuracy = [f"{found['accuracy'][way]:.4f}" for way in WAYS]
            print(
                f"| 64-{units}-10 | {WHAT[what]} | {turn[0]:.2f}, {once[0]:.2f} "
                f"| {', '.join(later)} | {statistics.median(gains):.2f} "
                f"| {', '.join(accuracy)} | {found['difference']:.1e} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
