import contextlib
import os
import socket
import struct
from pathlib import Path

import kfc
from kfc.cluster import joined_ray


def family():
    """Returns the ids of this process and of its descendants."""
    parents = {}
    for entry in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            stat = Path("/proc", entry, "stat").read_text()
            parents[int(entry)] = int(stat.rpartition(")")[2].split()[1])
    found = {os.getpid()}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def listening_addresses():
    """Returns the addresses at which this process and its descendants listen."""
    inodes = set()
    for process in family():
        for link in Path("/proc", str(process), "fd").glob("*"):
            with contextlib.suppress(OSError):
                inodes.add(os.readlink(link))
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path("/proc/net", table).read_text().splitlines()[1:]:
            words = line.split()
            if words[3] == "0A" and f"socket:[{words[9]}]" in inodes:
                raw = words[1].partition(":")[0]
                numbers = [int(raw[i : i + 8], 16) for i in range(0, len(raw), 8)]
                kind = socket.AF_INET if len(numbers) == 1 else socket.AF_INET6
                packed = struct.pack(f"={len(numbers)}I", *numbers)
                found.add(socket.inet_ntop(kind, packed))
    return found


def test_a_local_cluster_listens_on_loopback_and_gives_the_table_of_one_worker(
    iris, finished, table, tmp_path
):
    with joined_ray("local", 2):
        assert os.environ["RAY_AUTH_MODE"] == "token"
        addresses = listening_addresses()
        together = kfc.tune(iris, ray="auto", folder=tmp_path / "search", verbose=False)
        addresses |= listening_addresses()
    assert addresses
    assert addresses <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}
    assert table(together) == table(finished)
    assert "RAY_AUTH_TOKEN" not in os.environ
