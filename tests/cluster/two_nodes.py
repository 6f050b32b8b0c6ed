"""Runs a command on a Ray cluster of two nodes, in a network of its own.

    unshare --map-root-user --net --pid --fork --kill-child --mount-proc \
        python two_nodes.py EVENT GLOB -- kfc tune ...

The nodes have the addresses 127.0.0.1 and 127.0.0.2 and a processor each. When a path of the
pattern GLOB exists, the second node is killed (EVENT `kill`), stopped (`stop`), or nothing
happens (`none`). All processes end with this one, because it is the first of its namespace.
"""

import contextlib
import glob
import os
import pathlib
import secrets
import signal
import subprocess
import sys
import tempfile
import threading
import time

PORT = 6379
ADDRESS = f"127.0.0.1:{PORT}"


def start_node(*options):
    command = ["ray", "start", "--num-cpus=1", "--object-store-memory=100000000"]
    command += ["--disable-usage-stats", *options]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def start_cluster():
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    start_node(
        "--head", "--node-ip-address=127.0.0.1", f"--port={PORT}", "--include-dashboard=0"
    )
    start_node(f"--address={ADDRESS}", "--node-ip-address=127.0.0.2")


def second_node():
    """Returns the process ids of the second node's raylet and of its descendants."""
    parents, found = {}, set()
    for entry in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            place = pathlib.Path("/proc", entry)
            parents[int(entry)] = int(
                (place / "stat").read_text().rpartition(")")[2].split()[1]
            )
            words = (place / "cmdline").read_bytes().split(b"\0")
            if words[0].endswith(b"/raylet") and b"--node_ip_address=127.0.0.2" in words:
                found.add(int(entry))
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def act(event, pattern):
    while not glob.glob(pattern):
        time.sleep(0.01)
    for process in second_node():
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, {"kill": signal.SIGKILL, "stop": signal.SIGSTOP}[event])
    print(f"{event} {time.monotonic():.1f}", file=sys.stderr, flush=True)


def main():
    event, pattern, _, *command = sys.argv[1:]
    with tempfile.TemporaryDirectory() as home:
        os.environ |= {"HOME": home, "RAY_AUTH_MODE": "token", "RAY_TMPDIR": home}
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
        start_cluster()
        if event != "none":
            threading.Thread(target=act, args=(event, pattern), daemon=True).start()
        began = time.monotonic()
        code = subprocess.run(
            [each.replace("ADDRESS", ADDRESS) for each in command]
        ).returncode
        print(f"seconds {time.monotonic() - began:.1f}", file=sys.stderr, flush=True)
        sys.exit(code)


if __name__ == "__main__":
    main()
