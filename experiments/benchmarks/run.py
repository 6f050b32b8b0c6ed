"""Samples per second of training: kfc, its peers and the bare matrix products, side by side.

    python experiments/benchmarks/run.py [--small] [--only W1,W2] [--contenders kfc,keras]

Each contender has a process of its own, and all of them stay: for each workload they take
turns, so that what is compared was measured within a minute, whatever else the machine does.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import report
from contenders import CONTENDERS, PEERS
from workloads import WORKLOADS

HERE = Path(__file__).parent

_ENVIRONMENT = {
    "KERAS_BACKEND": "tensorflow",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    # Several processes share a GPU, where there is one.
    "TF_FORCE_GPU_ALLOW_GROWTH": "true",
    "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
}


class Worker:
    """A contender's process, which measures one workload at a time.

    Args:
        name: Of the contender.
        arguments: For `worker.py`, after the name.
    """

    def __init__(self, name: str, arguments: Iterable[str]) -> None:
        self.name = name
        self._errors = tempfile.TemporaryFile("w+", errors="replace")  # noqa: SIM115
        self._process = subprocess.Popen(
            [sys.executable, "worker.py", name, *arguments],
            cwd=HERE,
            env={**os.environ, **_ENVIRONMENT, **CONTENDERS[name].environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            bufsize=1,
        )
        self._answer()  # that it is ready

    def measure(self, workload: str, *, same_work: bool = False) -> dict[str, Any]:
        """Returns what the contender says of a workload.

        Args:
            workload: Its name.
            same_work: Whether a peer shall also evaluate and count, as kfc does.

        Raises:
            RuntimeError: If its process ended instead, with what it last printed.
        """
        self._process.stdin.write(f"{workload} same\n" if same_work else f"{workload}\n")
        return json.loads(self._answer())

    def close(self) -> None:
        """Ends the process."""
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()
        self._errors.close()

    def _answer(self) -> str:
        line = self._process.stdout.readline()
        if line:
            return line
        self._process.wait()
        self._errors.seek(0)
        raise RuntimeError(f"{self.name} failed:\n{self._errors.read()[-3000:]}")


def reasons_to_skip(names: Iterable[str], machine: Mapping[str, Any]) -> dict[str, str]:
    """Returns who of `names` cannot be measured here, and why."""
    reasons = {}
    for name in names:
        contender = CONTENDERS[name]
        kernels = contender.environment.get("OPENBLAS_CORETYPE")
        if importlib.util.find_spec(contender.requires) is None:
            reasons[name] = "not installed"
        elif kernels and kernels in machine["blas"]:
            reasons[name] = f"as above: {kernels} kernels are the default"
        elif kernels and not (machine["avx512"] and "openblas" in machine["blas"]):
            reasons[name] = f"{kernels} kernels do not run here"
    return reasons


def one_round(
    names: Iterable[str], workloads: Iterable[str], arguments: Iterable[str]
) -> Iterator[dict[str, Any]]:
    """Yields every measurement of a round, in new processes."""
    with contextlib.ExitStack() as stack:
        workers = []
        for name in names:
            workers.append(Worker(name, arguments))
            stack.callback(workers[-1].close)
        for workload in workloads:
            for worker in workers:
                if worker.name == "kfc" or not WORKLOADS[workload].network:
                    yield worker.measure(workload)
                    if worker.name in PEERS:
                        yield worker.measure(workload, same_work=True)


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measures all rounds, writes the results after each, and returns them."""
    machine = json.loads(_output("machine.py"))
    skipped = reasons_to_skip(arguments.contenders, machine)
    names = [name for name in arguments.contenders if name not in skipped]
    results: dict[str, Any] = {
        "machine": machine,
        "seconds": arguments.seconds,
        "rows": arguments.rows,
        "skipped": skipped,
        "measurements": [],
    }
    with tempfile.TemporaryDirectory() as folder:
        mnist = any(WORKLOADS[name].data == "mnist" for name in arguments.only)
        _output("data.py", folder, *(["--mnist", arguments.mnist] if mnist else []))
        limits = [folder, "--seconds", str(arguments.seconds)]
        if arguments.rows:
            limits += ["--rows", str(arguments.rows)]
        for number in range(1, arguments.rounds + 1):
            for measured in one_round(names, arguments.only, limits):
                results["measurements"].append({"round": number, **measured})
                print(_line(number, measured), flush=True)
            report.write(results, arguments.out)
    return results


def _output(script: str, *arguments: str) -> str:
    """Returns what a script of this folder prints; this process stays free of TensorFlow.

    A child's peak memory begins with its parent's, so the parent must stay small.
    """
    command = [sys.executable, str(HERE / script), *arguments]
    environment = {**os.environ, **_ENVIRONMENT}
    return subprocess.run(
        command, env=environment, check=True, stdout=subprocess.PIPE, text=True
    ).stdout


def _line(number: int, measured: Mapping[str, Any]) -> str:
    rate, first = measured["samples_per_second"], measured["first_epoch_seconds"]
    return (
        f"round {number}  {measured['workload']:14}{measured['contender']:24}"
        f"{'same work' if measured.get('same_work') else '':11}"
        f"{rate:12,.0f}/s  first epoch {first:6.2f} s  {measured['settings']}"
    )


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    """Returns the command line, checked."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=None, help="by default 5")
    parser.add_argument(
        "--seconds", type=float, default=None, help="each time; by default 2.5"
    )
    parser.add_argument("--rows", type=int, help="use only so many rows of each data set")
    parser.add_argument("--small", action="store_true", help="1 round, 0.2 s, 2,000 rows")
    parser.add_argument("--only", type=_names(WORKLOADS), default=list(WORKLOADS))
    parser.add_argument("--contenders", type=_names(CONTENDERS), default=list(CONTENDERS))
    parser.add_argument("--mnist", default="tfds:mnist", help="or idx:FOLDER, kfc's sources")
    parser.add_argument("--out", type=Path, default=HERE, help="folder of the results")
    arguments = parser.parse_args(argv)
    defaults = (1, 0.2, 2000) if arguments.small else (5, 2.5, None)
    for key, value in zip(("rounds", "seconds", "rows"), defaults, strict=True):
        if getattr(arguments, key) is None:
            setattr(arguments, key, value)
    return arguments


def _names(known: Mapping[str, object]) -> Any:
    """Returns the reader of a list of names; a beginning stands for all that have it."""

    def read(text: str) -> list[str]:
        chosen = [name.strip() for name in text.split(",")]
        if unknown := [name for name in chosen if not any(k.startswith(name) for k in known)]:
            raise argparse.ArgumentTypeError(
                f"unknown {', '.join(unknown)}; known: {', '.join(known)}"
            )
        # "keras" is one contender, "matmuls" stands for three.
        return [
            k
            for k in known
            if k in chosen or any(name not in known and k.startswith(name) for name in chosen)
        ]

    return read


if __name__ == "__main__":
    measured = measure(parse())
    print(report.table(measured))
