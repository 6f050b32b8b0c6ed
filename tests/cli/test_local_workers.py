import json
import time

import pytest

from kfc.cli import local_workers
from kfc.cli.local_workers import check_workers, run_workers
from kfc.errors import SpecError
from kfc.spec import load_spec

SCRIPT = """
import json, os, signal, sys, time
parent = {parent}
index = json.loads(os.environ["TF_CONFIG"])["task"]["index"]
for word in sys.argv[1:]:
    if int(word.partition(":")[0]) == index:
        exec(word.partition(":")[2])
"""


@pytest.fixture
def run(monkeypatch, capfd):
    """Runs workers, each with a line of Python; returns the exit code and what is printed."""

    def run_lines(*lines):
        monkeypatch.setattr(local_workers, "_START", SCRIPT)
        code = run_workers(len(lines), [f"{i}:{line}" for i, line in enumerate(lines)])
        return code, capfd.readouterr()

    return run_lines


def test_the_output_of_the_first_worker_is_printed(run):
    code, printed = run("print('first')", "print('second')")
    assert (code, printed.out, printed.err) == (0, "first\n", "")


def test_each_worker_knows_all_addresses(run):
    code, printed = run("print(os.environ['TF_CONFIG'])", "", "")
    assert code == 0
    assert len(set(json.loads(printed.out)["cluster"]["worker"])) == 3


def test_the_error_of_a_worker_is_printed_and_its_code_returned(run):
    refused = "print('why', file=sys.stderr); sys.exit(4)"
    code, printed = run("time.sleep(0.3); sys.exit(9)", refused)
    assert (code, printed.err) == (4, "why\n")


def test_a_killed_worker_is_named(run):
    code, printed = run("time.sleep(0.3); sys.exit(9)", "os.kill(os.getpid(), signal.SIGKILL)")
    assert code == 9
    assert "worker 2 of 2" in printed.err
    assert "was killed by signal 9" in printed.err


def test_workers_that_wait_for_a_dead_one_are_ended(run, monkeypatch):
    monkeypatch.setattr(local_workers, "SECONDS_TO_END", 0.2)
    began = time.monotonic()
    assert run("time.sleep(60)", "sys.exit(6)")[0] == 6
    assert time.monotonic() - began < 30


@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_stuck_worker_is_killed_some_time_after_a_signal(run, monkeypatch, name):
    monkeypatch.setattr(local_workers, "SECONDS_TO_END", 0.5)
    # The first worker waits for the second one, which is stopped, so neither obeys.
    deaf = f"signal.signal(signal.{name}, signal.SIG_IGN)"
    first = f"{deaf}; time.sleep(0.3); os.kill(parent, signal.{name}); time.sleep(60)"
    code, printed = run(first, "os.kill(os.getpid(), signal.SIGSTOP)")
    assert code == 9
    assert "worker 1 of 2" in printed.err
    said = "SIGTERM" if name == "SIGTERM" else "Ctrl-C"
    assert f"did not end within 0.5 s of {said}: killed" in printed.err


def test_workers_that_obey_a_signal_in_time_end_by_themselves(run):
    obey = "signal.signal(signal.SIGTERM, lambda *_: sys.exit(7)); "
    wait = "time.sleep(60)"
    tell = "time.sleep(0.5); os.kill(parent, signal.SIGTERM); "
    code, printed = run(obey + tell + wait, obey + wait)
    assert (code, printed.err) == (7, "")


def test_a_finished_run_is_a_success_whatever_becomes_of_the_others(run):
    assert run("", "sys.exit(9)")[0] == 0


def test_several_workers_need_a_spec_that_says_so(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    check_workers(load_spec("digits"))
    check_workers(load_spec("digits", {"training.distribute": "multi_worker"}))
    with pytest.raises(SpecError, match="--workers"):
        check_workers(load_spec("digits", {"training.distribute": "none"}))


def test_a_worker_starts_no_workers(monkeypatch):
    cluster = '{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 0}}'
    monkeypatch.setenv("TF_CONFIG", cluster)
    with pytest.raises(SpecError, match="TF_CONFIG"):
        check_workers(load_spec("digits"))
