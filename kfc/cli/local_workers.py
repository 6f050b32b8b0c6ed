"""Runs a command as several workers on this machine, each a process with `TF_CONFIG`."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import IO, TYPE_CHECKING

from kfc.errors import Finding, SpecError, WorkerError
from kfc.system import VARIABLE, config_text, num_cores, read_cluster

if TYPE_CHECKING:
    from kfc.spec import Spec

SECONDS_TO_END = 30.0
"""Seconds that workers have to end by themselves after a failure, Ctrl-C or SIGTERM."""

_SECONDS_BETWEEN_LOOKS = 0.05
_START = (
    "import sys; from kfc.system import parent_process; parent_process.end_with({parent}); "
    "from kfc.cli import main; main(sys.argv[1:])"
)


def check_workers(spec: Spec) -> None:
    """Checks that a spec can be trained by `--workers`.

    Raises:
        SpecError: If the spec says that it is not, or this process is a worker already.
    """
    how, remedy = spec.training.distribute, "Leave one of them out."
    if how not in ("auto", "multi_worker"):
        finding = Finding("--workers", "training.distribute auto", repr(how), remedy)
        raise SpecError(finding)
    if cluster := read_cluster():
        raise SpecError(Finding("--workers", f"no {VARIABLE}", cluster.name, remedy))


def run_workers(count: int, arguments: Sequence[str]) -> int:
    """Runs a command in several processes on this machine, and waits for them.

    The first worker's output is that of this process. If a worker ends with an error or is
    killed, the others end too: by themselves, or after 30 seconds. So do all of them after
    Ctrl-C or SIGTERM.

    Args:
        count: Number of processes.
        arguments: Arguments of the command, such as `["fit", "my.yaml"]`.

    Returns:
        The exit code: 0, that of the first worker with an error, or 9 if one was killed.
    """
    addresses = tuple(f"127.0.0.1:{port}" for port in _free_ports(count))
    command = [sys.executable, "-c", _START.format(parent=os.getpid()), *arguments]
    with ExitStack() as stack:
        logs = [stack.enter_context(tempfile.TemporaryFile()) for _ in addresses[1:]]
        outputs: list[IO[bytes] | None] = [None, *logs]
        processes = [
            subprocess.Popen(
                command,
                env={**os.environ, **_threads(count), VARIABLE: config_text(addresses, index)},
                stdout=None if index == 0 else subprocess.DEVNULL,
                stderr=output,
            )
            for index, output in enumerate(outputs)
        ]
        stack.callback(_kill, processes)
        with _signals_for(processes) as deadline:
            first = _wait(processes, deadline)
        if first is None or processes[0].returncode == 0:  # the run is complete
            return 0
        code = processes[first].returncode
        if code < 0:
            name = f"worker {first + 1} of {count} (process {processes[first].pid})"
            how = f"was killed by signal {-code}"
            if first in deadline.missed:
                how = f"did not end within {SECONDS_TO_END:g} s of {deadline.name}: killed"
            print(f"error: {name} {how}", file=sys.stderr)
            return WorkerError.exit_code
        if first > 0:  # the output of the first worker is on the terminal
            logs[first - 1].seek(0)
            sys.stderr.write(logs[first - 1].read().decode("utf-8", "replace"))
        return code


@dataclass
class _Deadline:
    """The time at which workers that still run are killed.

    Attributes:
        end: Monotonic time; infinite while nothing has happened.
        name: Name of the signal that has set the time, if one has.
        missed: Numbers of the workers that were killed.
    """

    end: float = float("inf")
    name: str = ""
    missed: list[int] = field(default_factory=list)

    def set(self, name: str = "") -> None:
        """Gives the workers some seconds, unless they have a deadline already."""
        if self.end == float("inf"):
            self.end, self.name = time.monotonic() + SECONDS_TO_END, name


def _wait(processes: Sequence[subprocess.Popen[bytes]], deadline: _Deadline) -> int | None:
    """Waits until all have ended; returns the number of the one to blame, if any failed."""
    to_blame: int | None = None
    while None in [process.poll() for process in processes]:
        if to_blame is None and any(process.returncode for process in processes):
            to_blame = _to_blame(processes)
            deadline.set()
        if time.monotonic() > deadline.end:
            running = [n for n, process in enumerate(processes) if process.poll() is None]
            deadline.missed += running
            _kill(processes)
        time.sleep(_SECONDS_BETWEEN_LOOKS)
    if to_blame is None or not deadline.missed:
        return _to_blame(processes)
    return to_blame


def _to_blame(processes: Sequence[subprocess.Popen[bytes]]) -> int | None:
    """Returns the number of a process that was killed, or else failed by itself, or else."""

    def rank(number: int) -> tuple[bool, bool]:
        code = processes[number].returncode
        return code >= 0, code == WorkerError.exit_code

    failed = [number for number, process in enumerate(processes) if process.returncode]
    return min(failed, key=rank, default=None)


def _kill(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        if process.poll() is None:
            process.kill()
            process.wait()


@contextmanager
def _signals_for(processes: Sequence[subprocess.Popen[bytes]]) -> Iterator[_Deadline]:
    """Passes SIGTERM on; Ctrl-C reaches the workers without this process.

    Both begin the time that workers have to end, which is yielded: one that is stuck, or that
    waits for a stuck one within an exchange, obeys no signal.
    """
    deadline = _Deadline()

    def note(number: int, frame: FrameType | None) -> None:
        deadline.set("Ctrl-C")

    def pass_on(number: int, frame: FrameType | None) -> None:
        deadline.set("SIGTERM")
        for process in processes:
            process.send_signal(number)

    before = {
        signal.SIGINT: signal.signal(signal.SIGINT, note),
        signal.SIGTERM: signal.signal(signal.SIGTERM, pass_on),
    }
    try:
        yield deadline
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _threads(count: int) -> dict[str, str]:
    """Returns variables that share the cores of this machine among the workers."""
    names = ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
    each = str(max(1, num_cores() // count))
    # Two operations at once at least: one computes while another waits for a worker.
    values = dict(zip(names, (each, str(max(2, int(each)))), strict=True))
    return {name: value for name, value in values.items() if name not in os.environ}


def _free_ports(count: int) -> list[int]:
    """Returns free ports of the loopback interface, which another process might still take."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
