"""Runs `kfc` as several workers, one cluster after another, and kills a worker of some.

    python worker_processes.py FOLDER '[{"workers": 2, "command": ["fit", ...], "kill": 1}]'

`others` is the command of all workers but the first, where it is another one.

It prints for each cluster the exit codes of its workers and, where one was killed, the
seconds until the last one had ended. `kill` is the number of a worker, from 0; it dies once
the run, a pattern of its folder, has a checkpoint, and `seconds` later.

TensorFlow is imported once: a process forked before TensorFlow has started may start it.
"""

import json
import os
import signal
import socket
import sys
import time
from contextlib import ExitStack
from pathlib import Path

from kfc.cli import main
from kfc.system import config_text, tensorflow_startup


def free_addresses(count):
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return tuple(f"127.0.0.1:{each.getsockname()[1]}" for each in sockets)


def worker(addresses, index, command, log):
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        os.environ["TF_CONFIG"] = config_text(addresses, index)
        output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(output, 1)
        os.dup2(output, 2)
        main(command)
        code = 0
    except SystemExit as end:
        code = end.code or 0
    finally:
        os._exit(code)


def run_cluster(folder, number, cluster):
    addresses = free_addresses(cluster["workers"])
    logs = [folder / f"{number}-{index}.log" for index in range(len(addresses))]
    command, others = cluster["command"], cluster.get("others", cluster["command"])
    children = [
        worker(addresses, index, others if index else command, log)
        for index, log in enumerate(logs)
    ]
    found = {}
    victim = cluster.get("kill")
    if victim is not None:
        wait_for_checkpoint(folder, cluster.get("run", "*"), children[0])
        time.sleep(cluster.get("seconds", 0.0))
        os.kill(children[victim], signal.SIGKILL)
        killed = time.monotonic()
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    if victim is not None:
        found["seconds"] = time.monotonic() - killed
    return {"codes": codes, "logs": [log.read_text() for log in logs], **found}


def wait_for_checkpoint(folder, run, child):
    """Waits until a run has written a checkpoint, or the process has ended."""
    for _ in range(1200):
        if list(folder.glob(f"runs/{run}/checkpoints/0*")):
            return
        if os.waitpid(child, os.WNOHANG)[0]:
            raise RuntimeError("the first worker has ended")
        time.sleep(0.05)
    raise TimeoutError("no checkpoint in a minute")


if __name__ == "__main__":
    place = Path(sys.argv[1])
    tensorflow_startup.import_tensorflow()
    clusters = json.loads(sys.argv[2])
    print(json.dumps([run_cluster(place, *each) for each in enumerate(clusters)]))
