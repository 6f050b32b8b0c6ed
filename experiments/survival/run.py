"""Kills a training at random moments, resumes it, and compares every bit; times checkpoints.

    python experiments/survival/run.py [--kills 50] [--small] [--checkpoints]

Each process is forked after TensorFlow was imported, which saves seconds per kill, and before
it has started. A moment is drawn evenly from the time that a whole training takes.
"""

import argparse
import json
import os
import random
import signal
import statistics
import tempfile
import time
from pathlib import Path

from kfc.system import tensorflow_startup

HERE = Path(__file__).parent
SMALL = {"data.rows": 2000, "training.epochs": 3, "training.checkpoint_seconds": 0.05}
WIDTHS = {"0.1M": [100, 100], "1M": [800, 450], "10M": [3000, 2500]}


def process(folder, overrides, seconds=None):
    """Trains, or goes on, in a process of its own that is killed after so many seconds.

    Returns:
        The seconds it took, or None where it was killed.
    """
    began = time.monotonic()
    child = os.fork()
    if not child:
        import kfc

        runs = list(folder.glob("0*"))
        if runs:
            kfc.resume(*runs, verbose=False)
        else:
            kfc.fit(HERE / "spec.yaml", overrides=overrides, runs=folder, verbose=False)
        os._exit(0)
    if seconds is not None:
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code not in (0, -signal.SIGKILL):
        raise SystemExit(f"a process ended with {code}")
    return time.monotonic() - began if code == 0 else None


def outcome(folder):
    """Returns what a finished run left: weights, optimizer, metrics, best epoch, stop."""
    from kfc.training.checkpoints import store

    (run,) = folder.glob("0*")
    result = json.loads((run / "result.json").read_text("utf-8"))
    state = store.newest(run / "checkpoints")
    lines = [json.loads(line) for line in (run / "metrics.jsonl").open(encoding="utf-8")]
    return {
        "state": {name: values.tobytes() for name, values in state.arrays.items()},
        "metrics": [{k: v for k, v in line.items() if k != "seconds"} for line in lines],
        "result": {k: result[k] for k in ("metrics", "history", "weights_sha256")},
    }


def measure(kills, seed=0, overrides=None):
    """Returns how many trainings ended with other bits, and where the kills fell."""
    chosen, overrides = random.Random(seed), overrides or {}
    with tempfile.TemporaryDirectory() as place:
        whole = Path(place) / "whole"
        seconds = process(whole, overrides)
        expected, done, trainings, different, resumed = outcome(whole), 0, 0, 0, []
        while done < kills:
            folder = Path(place) / str(trainings)
            while (
                done < kills and process(folder, overrides, chosen.uniform(0, seconds)) is None
            ):
                done += 1
            process(folder, overrides)
            trainings += 1
            different += outcome(folder) != expected
            (record,) = folder.glob("0*/result.json")
            resumed += json.loads(record.read_text("utf-8"))["resumed"]
    places = sorted((each["epoch"], each["step"]) for each in resumed)
    return {
        "kills": done,
        "trainings": trainings,
        "with other bits": different,
        "whole training, seconds": round(seconds, 1),
        "resumed after (epoch, step)": places,
    }


def time_checkpoints(rounds=3):
    """Returns the time of a checkpoint and its share of training, for three sizes."""
    import kfc
    from kfc.runs.trainer import Trainer

    checkpoint, spent = Trainer.save_checkpoint, []

    def timed(self, *arguments):
        began = time.monotonic()
        checkpoint(self, *arguments)
        spent.append(time.monotonic() - began)

    Trainer.save_checkpoint, found = timed, {}
    for name, widths in WIDTHS.items():
        shares = []
        took = []
        for number in range(rounds):
            spent.clear()
            overrides = {
                "network.hidden": widths,
                "training.checkpoint_seconds": 10,
                "training.early_stopping": None,
                "training.evaluate_every": None,
                "training.epochs": {"0.1M": 150, "1M": 30, "10M": 4}[name],
                "seed": number,
            }
            with tempfile.TemporaryDirectory() as runs:
                run = kfc.fit(
                    HERE / "spec.yaml", overrides=overrides, runs=runs, verbose=False
                )
            shares.append(sum(spent[:-1]) / run.seconds)  # the last one saves the result
            took += spent
        found[name] = {
            "weights": run.model.count_params(),
            "checkpoint, ms": round(1000 * statistics.median(took)),
            "share of training, %": [round(100 * share, 2) for share in shares],
        }
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--small", action="store_true", help="2,000 rows, three epochs")
    parser.add_argument(
        "--checkpoints", action="store_true", help="time checkpoints, kill nothing"
    )
    options = parser.parse_args()
    tensorflow_startup.import_tensorflow()

    if options.checkpoints:
        print(json.dumps(time_checkpoints(), indent=1))
    else:
        found = measure(options.kills, options.seed, SMALL if options.small else {})
        print(json.dumps(found, indent=1))
        raise SystemExit(found["with other bits"])
