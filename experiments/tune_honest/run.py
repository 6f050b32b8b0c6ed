"""Does a search over exploding values stay honest, and does it survive?

Digits with a standard deviation of the first weights from 0.01 to 10 and a learning rate
from 0.001 to 1, mean squared error and plain gradient descent: about half of the space
explodes. Every algorithm runs 20 trials, twice; then one search is killed again and again.
"""

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ALGORITHMS = ("random", "bayesian", "hyperband", "grid")
TRIALS = 20


def spec(algorithm: str, epochs: int = 9) -> dict:
    """Returns the spec of the search; a grid takes 5 and 4 values."""
    spread, rate = ({"step": 5.6}, {"step": 10.0}) if algorithm == "grid" else ({}, {})
    return {
        "name": f"honest_{algorithm}",
        "data": {"source": "sklearn:digits"},
        "network": {
            "hidden": [64, 32],
            "init": {"name": "truncated_normal", "stddev": 0.1},
        },
        "training": {
            "loss": "mse",
            "optimizer": {"name": "sgd", "learning_rate": 0.1},
            "epochs": epochs,
        },
        "search": {
            "algorithm": algorithm,
            "trials": TRIALS,
            "repeats": 2,
            "space": {
                "network.init.stddev": {"low": 0.01, "high": 10.0, "log": True, **spread},
                "training.optimizer.learning_rate": {
                    "low": 1e-3, "high": 1.0, "log": True, **rate
                },
            },
        },
    }  # fmt: skip


def search(folder: Path, spec: dict) -> dict:
    """Runs a search in this process, and returns its summary."""
    import kfc

    return kfc.tune(spec, folder=folder, verbose=False).summary()


def table(summary: dict) -> list:
    """Returns what must be equal: all but seconds."""
    keys = ("number", "values", "score", "status", "epochs", "weights_sha256", "cause")
    return [[trial[key] for key in keys] for trial in summary["trials"]]


def check_honest(root: Path) -> list[str]:
    """Prints a line for each algorithm, and returns what is wrong."""
    wrong = []
    for algorithm in ALGORITHMS:
        first, second = (
            search(root / f"{algorithm}{number}", spec(algorithm)) for number in (1, 2)
        )
        trials, best = first["trials"][1:], first["best"]  # trial 0 is the spec itself
        diverged = [trial["number"] for trial in trials if trial["diverged"]]
        late = [number for number in diverged if number > len(trials) - 12]
        print(
            f"{algorithm:10} {len(trials)} trials, {len(diverged)} diverged, {len(late)} of "
            f"the last 12; best {best['score']:.4f} with {best['values']}; "
            f"twice the same: {table(first) == table(second)}"
        )
        if algorithm != "grid" and len(trials) != TRIALS:
            wrong.append(f"{algorithm}: {len(trials)} trials")
        if best["diverged"]:
            wrong.append(f"{algorithm}: a diverged trial won")
        if algorithm == "bayesian" and len(late) > 3:
            wrong.append(f"bayesian: {len(late)} of the last 12 trials diverged")
        if table(first) != table(second):
            wrong.append(f"{algorithm}: the same seed gave another table")
    return wrong


def check_survival(root: Path, kills: int, workers: int) -> list[str]:
    """Kills one search at random moments, until it ends; its table must be whole."""
    slow = spec("bayesian", epochs=500)  # so long that there is time to be killed
    whole = search(root / "whole", slow)
    path = root / "spec.json"
    path.write_text(json.dumps(slow))
    command = [sys.executable, "-m", "kfc", "tune", str(path), "--json", "--quiet"]
    command += ["--folder", str(root / "killed"), "--workers", str(workers)]
    rng, died = random.Random(0), 0
    while True:
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
        )
        try:
            # From the start of Python to the middle of a trial.
            seconds = rng.uniform(2, 9) if died < kills else None
            output, errors = process.communicate(timeout=seconds)
            break
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            died += 1
    if process.returncode:
        return [f"after {died} kills: {errors.decode()[-500:]}"]
    same = table(json.loads(output)) == table(whole)
    if died < kills:
        return [f"it ended after {died} of {kills} kills: let it train for longer"]
    print(f"{died} kills, {workers} workers: the table of the uninterrupted search: {same}")
    return [] if same else [f"{died} kills with {workers} workers changed the table"]


def main(arguments: list[str] | None = None) -> list[str]:
    """Runs both parts; returns what is wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=30)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--only", choices=("honest", "survival"))
    given = parser.parse_args(arguments)
    began, wrong = time.monotonic(), []
    with tempfile.TemporaryDirectory() as folder:
        if given.only != "survival":
            wrong += check_honest(Path(folder))
        if given.only != "honest":
            wrong += check_survival(Path(folder), given.kills, given.workers)
    print(f"{time.monotonic() - began:.0f} s")
    return wrong


if __name__ == "__main__":
    sys.exit("; ".join(main()) or None)
