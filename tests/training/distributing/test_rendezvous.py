"""Workers meet before TensorFlow starts, and name the one that is missing or wrong."""

import json
import socket
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from kfc.errors import WorkerError
from kfc.system import Cluster
from kfc.training.distributing import rendezvous


def free_addresses(count):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    addresses = [f"127.0.0.1:{each.getsockname()[1]}" for each in sockets]
    for each in sockets:
        each.close()
    return tuple(addresses)


def met(addresses, index, seconds=30.0):
    """Meets the others; returns the error, or the lines that were printed."""
    lines = []
    try:
        rendezvous.meet(Cluster(tuple(addresses), index), seconds=seconds, say=lines.append)
    except WorkerError as error:
        return str(error)
    return lines


def together(*arguments):
    with ThreadPoolExecutor(len(arguments)) as pool:
        return list(pool.map(lambda each: met(*each), arguments))


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0)])
def test_workers_meet_in_any_order_and_leave_the_port_free(order):
    addresses = free_addresses(3)
    assert together(*((addresses, index) for index in order)) == [[], [], []]
    _, port = addresses[0].split(":")
    socket.create_server(("", int(port))).close()


@pytest.mark.parametrize("index", [0, 1])
def test_a_worker_that_is_missing_is_named(index):
    addresses = free_addresses(2)
    missing = f"worker {2 - index} ({addresses[1 - index]}) within 0.3 seconds"
    error = met(addresses, index, 0.3)
    assert error.startswith(f"worker {index + 1} of 2: expected {missing}, got")


@pytest.mark.parametrize("index", [0, 1])
def test_a_worker_says_for_whom_it_waits(index, monkeypatch):
    monkeypatch.setattr(rendezvous, "SECONDS_IN_SILENCE", 0.1)
    addresses, lines, spoken = free_addresses(2), [], threading.Event()

    def say(line):
        lines.append(line)
        spoken.set()

    cluster = Cluster(addresses, index)
    waiting = threading.Thread(
        target=lambda: rendezvous.meet(cluster, seconds=30, say=say), daemon=True
    )
    waiting.start()
    assert spoken.wait(30)
    assert isinstance(met(addresses, 1 - index), list)
    waiting.join(30)
    assert not waiting.is_alive()
    other = f"worker {2 - index} ({addresses[1 - index]})"
    (line,) = lines
    assert line.startswith(f"worker {index + 1} of 2 waits up to 30 s for {other}: ")


def test_all_workers_end_where_one_has_other_addresses():
    addresses = free_addresses(3)
    other = (*addresses[:2], "10.0.0.9:1")
    errors = together((addresses, 0), (addresses, 1), (other, 2))
    told = f"TF_CONFIG of worker 3: expected the addresses of worker 1: {', '.join(addresses)}"
    told += f", got {', '.join(other)}. Set TF_CONFIG"
    assert [told in each for each in errors] == [True] * 3


def test_two_workers_of_one_number_are_refused():
    addresses = free_addresses(3)
    errors = together((addresses, 0), (addresses, 1), (addresses, 1))
    told = "TF_CONFIG of worker 2: expected an index for each worker, got 1 twice"
    assert [told in each for each in errors] == [True] * 3


def test_a_port_that_another_program_has_is_named():
    with socket.create_server(("", 0)) as other:
        port = other.getsockname()[1]
        error = met((f"127.0.0.1:{port}", "127.0.0.1:1"), 0)
    assert error.startswith(f"worker 1 of 2: expected a free port {port} for")
    assert "in use" in error


def test_a_worker_that_was_killed_while_it_waited_may_come_again():
    addresses = free_addresses(3)
    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(met, addresses, 0)
        killed = connected(addresses[0])
        hello = {"index": 1, "addresses": addresses}
        killed.sendall(json.dumps(hello).encode() + b"\n")
        killed.close()
        assert not first.done()
        others = [pool.submit(met, addresses, index) for index in (1, 2)]
        assert [each.result(60) for each in (first, *others)] == [[], [], []]


def test_a_worker_that_has_gone_again_is_missing():
    addresses = free_addresses(2)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(met, addresses, 0, 2.0)
        gone = connected(addresses[0])
        gone.sendall(json.dumps({"index": 1, "addresses": addresses}).encode())
        gone.close()  # before the end of the line
        assert "worker 2" in first.result(60)


@pytest.mark.parametrize(
    "sent", [b"GET / HTTP/1.1\r\n\r\n", b"\x00\xff\n", b"[1]\n", b'{"index": "1"}\n', b""]
)
def test_a_program_that_looks_at_the_port_is_no_worker(sent):
    addresses = free_addresses(2)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(met, addresses, 0)
        visitor = connected(addresses[0])
        visitor.sendall(sent)
        visitor.close()
        assert met(addresses, 1) == first.result(60) == []


@pytest.mark.parametrize("answer", [b"SSH-2.0\n", b'{"go": 1', b"{}\n"])
def test_another_program_at_the_first_address_is_no_worker(answer):
    with socket.create_server(("127.0.0.1", 0)) as other:
        address = f"127.0.0.1:{other.getsockname()[1]}"

        def serve():
            while True:
                connection, _ = other.accept()
                connection.sendall(answer)
                connection.close()

        threading.Thread(target=serve, daemon=True).start()
        error = met((address, "127.0.0.1:1"), 1, 0.5)
    assert f"expected worker 1 ({address}) within 0.5 seconds" in error


def connected(address):
    """Returns a connection to a server that may not listen yet."""
    host, port = address.split(":")
    while True:
        try:
            return socket.create_connection((host, int(port)), 10)
        except ConnectionRefusedError:
            continue
