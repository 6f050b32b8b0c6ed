"""One contender in its own process: names of workloads in, a line of JSON for each out.

A name may be followed by `same`: the peer shall do the same work as kfc.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib
import json
import os
import resource
import sys
from pathlib import Path

import data
from contenders import CONTENDERS, PEERS
from workloads import WORKLOADS


def main() -> None:
    """Says `ready`, then answers until the input ends."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("contender", choices=CONTENDERS)
    parser.add_argument("folder", type=Path, help="where data.py wrote the rows")
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--rows", type=int)
    arguments = parser.parse_args()
    # What a library prints must not come between the answers.
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    contender = importlib.import_module(CONTENDERS[arguments.contender].module)
    print("ready", file=answers)
    for line in sys.stdin:
        name, *same = line.split()
        workload = WORKLOADS[name]
        rows = data.read(arguments.folder, workload, arguments.rows)
        work = {"same_work": bool(same)} if arguments.contender in PEERS else {}
        measurement = contender.train(workload, rows, arguments.seconds, **work)
        measurement.check()
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # KiB on Linux
        answer = {
            "contender": arguments.contender,
            "workload": workload.name,
            **work,
            **dataclasses.asdict(measurement),
            "peak_memory_mb": round(peak),
        }
        print(json.dumps(answer), file=answers)


if __name__ == "__main__":
    main()
