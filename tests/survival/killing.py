"""Runs `kfc fit`, then `kfc resume`, in one process after another, each with a signal.

    python killing.py FOLDER '{"name": {"signals": [["step", 2, "SIGKILL"]], "set": []}}'

The first process trains; each later one resumes; the last gets no signal and finishes. It
prints, for each name, their exit codes. TensorFlow is imported once: a process forked before
TensorFlow has started may start it itself.
"""

import functools
import itertools
import json
import math
import os
import signal
import sys
from pathlib import Path

from kfc.cli import app
from kfc.system import tensorflow_startup

SPEC = {
    "name": "killed",
    "data": {"source": "sklearn:digits", "rows": 200},
    "network": {"hidden": [{"units": 12, "dropout": 0.3, "normalization": "batch"}]},
    "training": {
        "optimizer": {"name": "adam", "learning_rate": 0.01},
        "epochs": 3,
        "batch_size": 64,
        "log_every": 1,  # so that each step is a call
        "evaluate_every": 2,
        "checkpoint_seconds": 1e-9,
        "early_stopping": {"monitor": "val_accuracy", "patience": 5},
    },
}


def moments():
    """What is called at each moment: a class and the name of its method."""
    from kfc.data.encoded_tables import EncodedTable
    from kfc.system import SharedWork
    from kfc.training.engine.engine import Engine
    from kfc.training.engine.evaluation import Evaluator
    from kfc.training.loop import Loop

    return {
        "step": (Engine, "run"),
        "epoch edge": (Loop, "_end_of_epoch"),
        "validation": (Evaluator, "evaluate"),
        "piece": (SharedWork, "_make"),  # of a table that is larger than the memory
        "encoded part": (EncodedTable, "encode"),
    }


def signal_at(moment, number, *names):
    """Sends this process signals in the `number`th call of what a moment names."""
    owner, method = moments()[moment]
    call, numbers = getattr(owner, method), itertools.count(1)

    @functools.wraps(call)
    def counted(self, *arguments, **options):
        own = next(numbers)  # calls may overlap, of two threads or one within another
        result = call(self, *arguments, **options)
        if own == number:
            for name in names:
                os.kill(os.getpid(), signal.Signals[name])
        return result

    setattr(owner, method, counted)


def process(folder, planned, settings):
    """Trains, or goes on, in a process of its own; returns its exit code."""
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if planned:
        signal_at(*planned)
    runs = [str(run) for run in folder.glob("0*")]
    spec = str(folder.parent / "spec.json")
    command = ["resume", *runs] if runs else ["fit", spec, *settings, "--runs", str(folder)]
    try:
        app.main(command)
    except SystemExit as end:
        os._exit(end.code or 0)
    os._exit(0)


def main(folder, plans):
    tensorflow_startup.import_tensorflow()
    from kfc.training import loop

    loop._CHECKPOINT_SHARE = math.inf  # a checkpoint wherever one is possible
    (folder / "spec.json").write_text(json.dumps(SPEC))
    codes = {}
    for name, plan in plans.items():
        (folder / name).mkdir()
        codes[name] = [
            process(folder / name, planned, plan.get("set", []))
            for planned in (*plan["signals"], None)
        ]
    print(json.dumps(codes))


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(sys.argv[2]))
