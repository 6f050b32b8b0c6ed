"""Real processes, killed for real; what they leave running is looked for by its id."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from kfc.system import parent_process

CHILD = f"""
import runpy, sys, time
runpy.run_path({parent_process.__file__!r})["end_with"](int(sys.argv[1]))
print("watching", flush=True); time.sleep(600)
"""
PARENT = f"""
import os, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", {CHILD!r}, str(os.getpid())])
print(child.pid, flush=True); child.wait()
"""


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until(condition):
    for _ in range(3000):
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError("it never came true")


@pytest.mark.parametrize("has_prctl", [True, False], ids=["prctl", "no prctl"])
def test_a_process_ends_when_its_parent_is_killed(has_prctl):
    code = PARENT
    if not has_prctl:  # as on other systems
        replacement = "import ctypes; ctypes.CDLL = lambda _: 0; import runpy"
        code = PARENT.replace("import runpy", replacement)
    command = [sys.executable, "-c", code]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        lines = {parent.stdout.readline().strip(), parent.stdout.readline().strip()}
        (child,) = map(int, lines - {"watching"})
        assert is_running(child)
        parent.kill()
    wait_until(lambda: not is_running(child))


def test_a_process_whose_parent_is_gone_already_ends_at_once():
    command = [sys.executable, "-c", CHILD, "1" if os.getpid() != 1 else "2"]
    ended = subprocess.run(command, capture_output=True, check=False)
    assert ended.returncode == 1
    assert ended.stdout == b""


def children_of(pid):
    """Returns the processes that a process has started, and those that they have started."""
    found = [int(c) for c in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return found + [inner for child in found for inner in children_of(child)]


WORKERS = """
import time
if __name__ == "__main__":
    from kfc.tuning.workers import _Process
    worker = _Process(b"", None)
    worker._executor.submit(time.sleep, 0)
    print("started", flush=True)
    time.sleep(600)
"""


def test_a_worker_that_has_not_begun_ends_when_its_parent_is_killed(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(WORKERS)
    command = [sys.executable, str(script)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout.readline() == "started\n"
        children = children_of(parent.pid)
        parent.kill()
    assert children
    wait_until(lambda: not any(map(is_running, children)))


EXPORTS = """
import os, subprocess, sys
probe, runtime = sys.argv[1:]
subprocess.run([sys.executable, "-P", probe, str(os.getpid()), runtime, *"fqa"], check=False)
"""


def test_a_probe_ends_when_the_export_that_asks_it_is_killed(tmp_path):
    runtime = tmp_path / "runtime.py"
    runtime.write_text(
        "import time\ndef load(folder):\n    print('loading', flush=True); time.sleep(600)\n"
    )
    command = [sys.executable, "-c", EXPORTS, certificate_probe(), str(runtime)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout.readline() == "loading\n"
        (probe,) = children_of(parent.pid)
        parent.kill()
    wait_until(lambda: not is_running(probe))


def certificate_probe():
    """Returns the path of the script, which nobody may import: it forbids kfc."""
    return str(Path(parent_process.__file__).parents[1] / "exporting" / "probe.py")
