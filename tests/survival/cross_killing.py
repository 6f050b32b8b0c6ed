"""Runs `kfc fit --folds 3` in processes that are killed at random points, until one finishes.

    python cross_killing.py FOLDER CASES WORKERS

A point is a change of the disk or a call of the engine. The first cross-validation is not
killed, and counts them; each of the `CASES` others is killed at one point of all, then at one
of those that are left, and then ends. With more than one worker, the points are those of the
process that waits for the others. It prints the exit codes, and what `--json` printed.
"""

import functools
import json
import math
import os
import signal
import sys
from pathlib import Path

import numpy as np

from kfc.cli import app
from kfc.system import disk, tensorflow_startup

SPEC = {
    "name": "killed",
    "data": {"source": "sklearn:digits", "rows": 200},
    "network": {"hidden": [{"units": 12, "dropout": 0.3, "normalization": "batch"}]},
    "training": {
        "optimizer": {"name": "adam", "learning_rate": 0.01},
        "epochs": 3,
        "batch_size": 64,
        "engine": "eager",  # a process starts in half the time
        "checkpoint_seconds": 1e-9,
        "early_stopping": {"monitor": "val_accuracy", "patience": 5},
    },
}
OPERATIONS = ("write_new", "append", "truncate", "rename", "mkdir", "unlink")


class Points:
    """Counts the points of a process, and kills it at one of them."""

    def __init__(self, last=None):
        from kfc.training.engine.engine import Engine

        self.passed, self.last = 0, last
        for owner, name in (*((disk, name) for name in OPERATIONS), (Engine, "run")):
            setattr(owner, name, self._counted(getattr(owner, name)))

    def _counted(self, call):
        @functools.wraps(call)
        def counted(*arguments, **options):
            self.passed += 1
            if self.passed == self.last:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*arguments, **options)

        return counted


def process(folder, workers, last=None):
    """Cross-validates in a process of its own; returns its exit code and its points."""
    child = os.fork()
    if child:
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        points = folder / "points"
        return code, int(points.read_text()) if points.exists() else 0
    points = Points(last)
    sys.stdout.flush()
    with (folder / "stdout").open("w") as out:
        os.dup2(out.fileno(), 1)
    spec = str(folder.parent / "spec.json")
    options = ["--folds", "3", "--workers", str(workers), "--json", "--quiet"]
    try:
        app.main(["fit", spec, *options, "--runs", str(folder / "runs")])
        code = 0
    except SystemExit as end:
        code = end.code or 0
    sys.stdout.flush()
    (folder / "points").write_text(str(points.passed))
    os._exit(code)


def main(folder, cases, workers):
    tensorflow_startup.import_tensorflow()
    from kfc.training import loop

    loop._CHECKPOINT_SHARE = math.inf  # a checkpoint wherever one is possible
    (folder / "spec.json").write_text(json.dumps(SPEC))
    (folder / "whole").mkdir()
    code, points = process(folder / "whole", workers)
    codes, generator = {"whole": [code]}, np.random.default_rng(0)
    for case in range(cases):
        (folder / str(case)).mkdir()
        first, second = generator.integers(1, points + 1), generator.integers(1, points + 1)
        rest = max(1, second * (points - first) // points)
        codes[case] = [
            process(folder / str(case), workers, last)[0] for last in (first, rest, None)
        ]
    print(json.dumps({"points": points, "codes": codes}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
