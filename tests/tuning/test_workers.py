import contextlib
import functools
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_iris

import kfc
from kfc.spec import dump_spec, load_spec
from kfc.tuning.search import tune
from kfc.tuning.trial import Proposal, worst_score
from kfc.tuning.trial_runner import Job
from kfc.tuning.workers import WorkerProcesses

REPEATED = {"search.repeats": 2, "search.most_repeats": 2}
SLOWLY = {"training.epochs": 60, "search.trials": 6, **REPEATED}
# Of such a search: a header, trials, repeats, the winner, the verdict.
EVENTS = 1 + 2 * 7 + 3 * 2 + 2


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory, iris):
    folder = tmp_path_factory.mktemp("uninterrupted") / "search"
    return tune(iris, overrides=SLOWLY, folder=folder, verbose=False)


@contextlib.contextmanager
def command(spec, folder, *arguments, overrides=SLOWLY):
    """Runs `kfc tune` in `folder`, in a session of its own that does not outlive the block."""
    (folder / "iris.yaml").write_text(dump_spec(load_spec(spec, overrides)))
    process = subprocess.Popen(
        [sys.executable, "-m", "kfc", "tune", "iris.yaml", "--folder", "search", *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def wait_for(condition, seconds=120, *, process=None):
    end = time.monotonic() + seconds
    while not condition():
        assert process is None or process.poll() is None, process.communicate()
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.002)


def events_in(folder):
    path = folder / "search" / "journal.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def alive_in(session):
    """The processes of a session that have not ended."""
    found = set()
    for entry in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            if os.getsid(int(entry)) == session:
                state = Path("/proc", entry, "stat").read_text().rpartition(")")[2].split()[0]
                found |= {int(entry)} if state not in "ZX" else set()
    return found


def in_the_middle_of_trial(number, folder):
    return (folder / "search" / "trials" / f"{number:04d}").exists()


def numbered_once(events):
    found = [(event["kind"], event.get("number"), event.get("seed")) for event in events]
    return len(found) == len(set(found))


# The command is killed


@pytest.mark.slow
def test_a_search_that_was_killed_goes_on(
    iris, search, table, journal, uninterrupted, tmp_path
):
    with command(iris, tmp_path) as process:
        wait_for(lambda: in_the_middle_of_trial(3, tmp_path), process=process)
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
    assert events_in(tmp_path) < EVENTS
    with command(iris, tmp_path, "--json", "--quiet") as process:
        stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, stderr) == (0, "")
    assert table(json.loads(stdout)) == table(uninterrupted)
    assert numbered_once(journal(tmp_path / "search"))


@pytest.mark.slow
def test_workers_end_with_their_parent_and_the_search_goes_on(
    iris, search, table, journal, uninterrupted, tmp_path
):
    with command(iris, tmp_path, "--workers", "2") as process:
        wait_for(lambda: in_the_middle_of_trial(2, tmp_path), process=process)
        assert len(alive_in(process.pid)) > 2
        process.kill()  # it alone
        process.communicate()
        wait_for(lambda: not alive_in(process.pid), seconds=5)
    assert events_in(tmp_path) < EVENTS
    assert table(search(SLOWLY)) == table(uninterrupted)
    assert numbered_once(journal(tmp_path / "search"))


def test_an_interrupt_ends_every_process_with_one_line_and_the_search_goes_on(
    iris, search, table, repeated, tmp_path
):
    with command(iris, tmp_path, "--workers", "2", overrides=REPEATED) as process:
        wait_for(lambda: events_in(tmp_path) >= 3, process=process)  # two proposals
        wait_for(lambda: len(alive_in(process.pid)) > 2)  # whose workers begin
        os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C does
        _, stderr = process.communicate(timeout=30)
        said = [line for line in stderr.splitlines() if not line.startswith("trial ")]
        assert process.returncode == 130
        assert said == ["Interrupted: the same command continues in search."]
        wait_for(lambda: not alive_in(process.pid), seconds=5)
    assert table(search(REPEATED)) == table(repeated)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["INT", "TERM"])
@pytest.mark.parametrize("seconds", np.arange(0.5, 9.5, 1.5))
def test_a_signal_at_any_moment_leaves_no_traceback_and_no_process(
    number, seconds, iris, tmp_path
):
    with command(iris, tmp_path, "--workers", "2") as process:
        time.sleep(seconds)
        os.killpg(process.pid, number)
        _, stderr = process.communicate(timeout=30)
        assert process.returncode in (128 + number, -number, 0)
        assert "Traceback" not in stderr
        wait_for(lambda: not alive_in(process.pid), seconds=5)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_a_search_that_is_killed_again_and_again_goes_on(
    seed, iris, search, table, journal, uninterrupted, tmp_path
):
    rng = np.random.default_rng(seed)
    for _ in range(5):
        before = events_in(tmp_path)
        with command(iris, tmp_path, "--workers", str(1 + seed % 2)) as process:
            while process.poll() is None and events_in(tmp_path) == before:
                time.sleep(0.002)
            time.sleep(rng.uniform(0, 1))
            os.killpg(process.pid, signal.SIGKILL)
    assert table(search(SLOWLY)) == table(uninterrupted)
    assert numbered_once(journal(tmp_path / "search"))


# A worker is killed


@pytest.mark.slow
def test_two_workers_of_which_one_is_killed_give_the_table_of_one(search, table, tmp_path):
    overrides = {**SLOWLY, "search.algorithm": "bayesian", "search.repeats": 0}
    alone = search(overrides, folder=tmp_path / "alone")
    killed = []

    def kill_one():
        wait_for(lambda: in_the_middle_of_trial(2, tmp_path))
        worker = multiprocessing.active_children()[0]
        worker.kill()
        killed.append(worker)

    killer = threading.Thread(target=kill_one)
    killer.start()
    together = search(overrides, workers=2)
    killer.join()
    assert killed[0].exitcode == -signal.SIGKILL
    assert table(together) == table(alone)
    assert not multiprocessing.active_children()


FATAL = '''
import os, pathlib, signal
from kfc.tuning.trial import Trial

class Runner:
    """Dies of trial 1 as often as the file says, and does what else it is told."""

    def __init__(self, deaths):
        self.deaths = pathlib.Path(deaths)

    def run(self, job):
        number = job.proposal.number
        left = int(self.deaths.read_text())
        if number == 1 and left:
            self.deaths.write_text(str(left - 1))
            os.kill(os.getpid(), signal.SIGKILL)
        return Trial(number, {}, {}, 0, "completed", 0.5, 1, 0.1, 10, job.folder)

def refuses():
    from kfc import DataError
    from kfc.errors import Finding
    raise DataError(Finding("rows", "some", "none", "Find them."))
'''


@pytest.fixture
def fatal(tmp_path, monkeypatch):
    """A module that a worker process can import."""
    (tmp_path / "fatal.py").write_text(FATAL)
    monkeypatch.syspath_prepend(tmp_path)
    import fatal

    yield fatal
    del sys.modules["fatal"]


def job(number):
    return Job(Proposal(number, {}, {}, 1), seed=0, folder=f"trials/{number:04d}")


@contextlib.contextmanager
def processes(count, make_runner):
    options = {"threads": None, "objective": "val_loss", "root": Path("nowhere")}
    crew = WorkerProcesses(count, make_runner, **options)
    try:
        yield crew
    finally:
        crew.close()
        assert not multiprocessing.active_children()


@pytest.mark.slow
@pytest.mark.parametrize(("deaths", "status"), [(2, "completed"), (3, "diverged")])
def test_an_order_that_kills_three_processes_diverges(deaths, status, fatal, tmp_path):
    (tmp_path / "deaths").write_text(str(deaths))
    make_runner = functools.partial(fatal.Runner, str(tmp_path / "deaths"))
    with processes(2, make_runner) as crew:
        for number in (1, 2, 3):
            crew.submit(job(number))
        done = {}
        for _ in range(3):
            its_job, trial = crew.next_result()
            assert its_job == job(trial.number)
            done[trial.number] = trial
    assert done[1].status == status
    assert {done[2].status, done[3].status} == {"completed"}
    if status == "diverged":
        assert done[1].cause.startswith("3 processes died while they ran it")
        assert done[1].score == worst_score("val_loss")


@pytest.mark.slow
def test_an_idle_worker_that_is_killed_is_replaced(fatal, tmp_path):
    (tmp_path / "deaths").write_text("0")
    with processes(1, functools.partial(fatal.Runner, str(tmp_path / "deaths"))) as crew:
        crew.submit(job(1))
        crew.next_result()
        worker = multiprocessing.active_children()[0]
        worker.kill()
        worker.join()
        crew.submit(job(2))
        assert crew.next_result()[1].status == "completed"


@pytest.mark.slow
def test_what_the_start_of_a_worker_raises_is_raised(fatal):
    with processes(2, fatal.refuses) as crew:
        crew.submit(job(1))
        with pytest.raises(kfc.DataError, match="rows: expected some"):
            crew.next_result()


def test_workers_that_cannot_start_are_no_failure_of_a_trial(fatal, monkeypatch):
    # As in a script without `if __name__ == "__main__":`, a worker ends as it imports it.
    main = sys.modules["__main__"]
    monkeypatch.setattr(main, "__spec__", None, raising=False)
    monkeypatch.setattr(main, "__file__", "/no/such/script.py", raising=False)
    with processes(2, fatal.refuses) as crew:
        for number in (1, 2, 3):
            crew.submit(job(number))
        with pytest.raises(kfc.SpecError, match="3 that died before their first trial"):
            crew.next_result()


@pytest.mark.slow
@pytest.mark.parametrize("stream", ["never", "always"])
def test_workers_share_rows_in_memory_and_on_the_disk(stream, search, table, tmp_path):
    x, y = load_iris(return_X_y=True)
    np.save(tmp_path / "x.npy", x.astype(np.float32))
    rows = np.load(tmp_path / "x.npy", mmap_mode="r"), y
    found = [
        search(
            {"data.source": None, "data.stream": stream},
            data=rows,
            workers=workers,
            folder=tmp_path / str(workers),
        )
        for workers in (1, 2)
    ]
    assert table(found[0]) == table(found[1])


@pytest.mark.slow
@pytest.mark.parametrize("algorithm", ["random", "hyperband", "grid"])
@pytest.mark.parametrize("workers", [2, 5])
def test_any_number_of_workers_gives_the_same_table(
    algorithm, workers, search, table, tmp_path
):
    rate = {"training.optimizer.learning_rate": {"choice": [0.01, 0.03, 0.1, 0.3, 1.0]}}
    overrides = {
        "search.algorithm": algorithm,
        "search.space": rate,
        "search.trials": 12,
        "search.parallel": 4,
        "search.repeats": 2,
        "training.epochs": 9,
    }
    found = [
        search(overrides, workers=count, folder=tmp_path / str(count))
        for count in (1, workers)
    ]
    assert table(found[0]) == table(found[1])
    weights = [
        sorted(p.parent.name for p in s.folder.glob("trials/*/checkpoints")) for s in found
    ]
    assert weights[0] == weights[1]
