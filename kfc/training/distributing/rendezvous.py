"""Lets the workers of a cluster meet before TensorFlow starts, which waits without a word.

    worker 2, 3, ...    connect to the first worker, and send their number and the cluster
    worker 1            listens at its address until all have come, then answers each

So a worker that is missing, an address at which nobody answers and a `TF_CONFIG` that differs
are named, and Ctrl-C ends the wait. TensorFlow then listens at the same address.
"""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import Any

from kfc.errors import Finding, WorkerError
from kfc.system import VARIABLE, Cluster

SECONDS_IN_SILENCE = 10.0
"""Seconds after which a worker says for whom it waits."""

_SECONDS_BETWEEN_LOOKS = 0.2
_SECONDS_TO_ANSWER = 5.0
_LONGEST_LINE = 1 << 20  # bytes of a message
_GO = {"go": True}


def meet(cluster: Cluster, *, seconds: float, say: Callable[[str], None]) -> None:
    """Returns when all workers of a cluster have called this function.

    Args:
        cluster: The workers, of which this process is one.
        seconds: Seconds to wait.
        say: Function that prints for whom this worker waits, once.

    Raises:
        WorkerError: If a worker is missing after so many seconds, if its `TF_CONFIG` differs,
            or if the first worker cannot listen at its address.
    """
    wait = _Wait(cluster, seconds, say)
    if cluster.is_chief:
        _gather(wait)
    else:
        _report(wait)


class _Wait:
    """Time that is left for the others.

    Args:
        cluster: The workers.
        seconds: Seconds to wait.
        say: Function that prints a line.
    """

    def __init__(self, cluster: Cluster, seconds: float, say: Callable[[str], None]) -> None:
        self.cluster, self._seconds, self._say = cluster, seconds, say
        self._began, self._said = time.monotonic(), False

    def go_on(self, missing: list[int], got: str) -> None:
        """Raises an error if the time is over, or else says for whom this worker waits."""
        waited = time.monotonic() - self._began
        addresses = self.cluster.addresses
        names = ", ".join(f"worker {number + 1} ({addresses[number]})" for number in missing)
        if waited > self._seconds:
            raise WorkerError(
                Finding(
                    self.cluster.name,
                    f"{names} within {self._seconds:g} seconds",
                    got,
                    f"Start each worker of {VARIABLE}, on the machine that has its address.",
                )
            )
        if waited > SECONDS_IN_SILENCE and not self._said:
            self._said = True
            self._say(
                f"{self.cluster.name} waits up to {self._seconds:g} s for {names}: {got}"
            )


# --- the first worker -----------------------------------------------------------------------


def _gather(wait: _Wait) -> None:
    """Waits until each other worker has connected, then answers all.

    Raises:
        WorkerError: If one of them does not fit, which all are told.
    """
    cluster, count = wait.cluster, len(wait.cluster.addresses) - 1
    arrived: dict[int, socket.socket] = {}
    with ExitStack() as held:
        server = held.enter_context(_listening(cluster))
        while missing := _missing(arrived, count):
            wait.go_on(missing, "no connection")
            if not (come := _next_worker(server, held)):
                continue
            connection, number, addresses = come
            if wrong := _difference(cluster, number, addresses, arrived):
                told = [connection, *arrived.values()]
                told += _latecomers(server, held, count - len(told))
                refusal = [wrong.where, wrong.expected, wrong.got, wrong.remedy]
                for each in told:
                    _send(each, {"error": refusal})
                raise WorkerError(wrong)
            arrived[number] = connection
        for connection in arrived.values():
            _send(connection, _GO)
        for connection in arrived.values():
            _received(connection)  # the other end closes first, which leaves the port free


def _missing(arrived: dict[int, socket.socket], count: int) -> list[int]:
    """Returns the numbers of the workers that have not come, or have gone again."""
    for number in [number for number, each in arrived.items() if _closed(each)]:
        del arrived[number]
    return [number for number in range(1, count + 1) if number not in arrived]


def _next_worker(
    server: socket.socket, held: ExitStack
) -> tuple[socket.socket, int, list[str]] | None:
    """Returns the connection, number and addresses of a worker, if one comes soon."""
    try:
        connection, _ = server.accept()
    except TimeoutError:
        return None
    held.callback(connection.close)
    hello = _received(connection)
    number, addresses = hello.get("index"), hello.get("addresses")
    if not isinstance(number, int) or number < 1 or not isinstance(addresses, list):
        return None  # another program has looked at the port
    return connection, number, [*map(str, addresses)]


def _latecomers(server: socket.socket, held: ExitStack, count: int) -> list[socket.socket]:
    """Returns the connections of workers that come within some seconds."""
    found: list[socket.socket] = []
    end = time.monotonic() + _SECONDS_TO_ANSWER
    while len(found) < count and time.monotonic() < end:
        if come := _next_worker(server, held):
            found.append(come[0])
    return found


def _listening(cluster: Cluster) -> socket.socket:
    """Returns a socket that listens where TensorFlow will: on every interface."""
    address = cluster.addresses[0]
    family = socket.AF_INET6 if address.startswith("[") else socket.AF_INET
    try:
        server = socket.create_server(("", _place(address)[1]), family=family)
    except OSError as error:
        raise WorkerError(
            Finding(
                cluster.name,
                f"a free port {_place(address)[1]} for {address}",
                str(error.strerror or error),
                f"End the process that has it, or choose another port in {VARIABLE}.",
            )
        ) from error
    server.settimeout(_SECONDS_BETWEEN_LOOKS)
    return server


def _difference(
    cluster: Cluster, number: int, addresses: list[str], arrived: dict[int, socket.socket]
) -> Finding | None:
    """Returns the finding about a worker that does not fit into the cluster."""
    remedy = f"Set {VARIABLE} as docs/scale.md shows, the same but for the index."
    where = f"{VARIABLE} of worker {number + 1}"
    if addresses != list(cluster.addresses) or number >= len(addresses):
        expected = f"the addresses of worker 1: {', '.join(cluster.addresses)}"
        return Finding(where, expected, ", ".join(addresses), remedy)
    if number in arrived and not _closed(arrived[number]):
        return Finding(where, "an index for each worker", f"{number} twice", remedy)
    return None


def _closed(connection: socket.socket) -> bool:
    """Returns whether the other end has closed a connection, as a killed worker does."""
    connection.settimeout(0)
    try:
        return not connection.recv(1, socket.MSG_PEEK)
    except BlockingIOError:
        return False
    except OSError:
        return True


# --- the other workers ----------------------------------------------------------------------


def _report(wait: _Wait) -> None:
    """Connects to the first worker, again and again, until it answers."""
    cluster = wait.cluster
    hello = {"index": cluster.index, "addresses": cluster.addresses}
    while True:
        got = "no answer"
        try:
            place = _place(cluster.addresses[0])
            with socket.create_connection(place, _SECONDS_TO_ANSWER) as connection:
                if _send(connection, hello) and _answered(connection, wait):
                    return
        except WorkerError:  # which is an OSError, too
            raise
        except OSError as error:
            got = error.strerror or str(error)
        wait.go_on([0], got)
        time.sleep(_SECONDS_BETWEEN_LOOKS)


def _answered(connection: socket.socket, wait: _Wait) -> bool:
    """Waits for the answer of the first worker; returns whether there was one.

    Raises:
        WorkerError: If it refuses this worker or another one.
    """
    connection.settimeout(_SECONDS_BETWEEN_LOOKS)
    content = b""
    while not content.endswith(b"\n"):
        try:
            part = connection.recv(_LONGEST_LINE)
        except TimeoutError:
            wait.go_on([0], "it waits for other workers")
            continue
        if not part or len(content) > _LONGEST_LINE:
            return False
        content += part
    answer = _read(content)
    if refusal := answer.get("error"):
        raise WorkerError(Finding(*map(str, refusal)))
    return answer == _GO


# --- messages -------------------------------------------------------------------------------


def _send(connection: socket.socket, message: dict[str, Any]) -> bool:
    """Sends a message, a line of JSON; returns whether the other end was there."""
    connection.settimeout(_SECONDS_TO_ANSWER)
    with suppress(OSError):
        connection.sendall(json.dumps(message).encode() + b"\n")
        return True
    return False


def _received(connection: socket.socket) -> dict[str, Any]:
    """Returns the message of another worker; an empty one where another program has called."""
    connection.settimeout(_SECONDS_TO_ANSWER)
    content = b""
    with suppress(OSError):
        while not content.endswith(b"\n") and len(content) < _LONGEST_LINE:
            if not (part := connection.recv(_LONGEST_LINE)):
                break
            content += part
    return _read(content)


def _read(content: bytes) -> dict[str, Any]:
    with suppress(ValueError, RecursionError):
        message = json.loads(content)
        if isinstance(message, dict):
            return message
    return {}


def _place(address: str) -> tuple[str, int]:
    """Returns host and port of an address such as `10.0.0.1:2222` or `[::1]:2222`."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)
