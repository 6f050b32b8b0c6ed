import functools
import os

import pytest

import kfc
from kfc.cluster.remote_worker import (
    RemoteWorker,
    StartOrder,
    folder_contents,
    used_plugins,
)
from kfc.errors import Finding
from kfc.spec import load_spec


class Copier:
    """A runner that writes the files of its job into the job's folder."""

    def __init__(self, root):
        self.root = root

    def run(self, job):
        folder = self.root / "jobs" / "1"
        given = {path.name for path in self.root.rglob("*") if path.is_file()}
        (folder / "deep").mkdir(parents=True, exist_ok=True)
        (folder / "deep" / "new").write_bytes(job)
        (folder / ".lock").touch()
        (folder / ".partial-0123456789abcdef-x").touch()
        return given


class Refuser(Copier):
    def run(self, job):
        raise kfc.NumbersError(Finding("loss", "a finite number", "nan", "Reduce the rate."))


@pytest.fixture
def worker():
    def make(make_runner):
        worker = RemoteWorker()
        worker.load(make_runner)
        return worker

    return make


def test_a_job_finds_its_files_and_returns_those_that_it_wrote(worker):
    outcome = worker(Copier).run(b"new", "jobs/1", {"jobs/1/old": b"1", "jobs/0/parent": b"2"})
    assert outcome.error is None
    assert outcome.result == {"old", "parent"}
    assert outcome.files == {"old": b"1", "deep/new": b"new"}


def test_a_worker_leaves_no_file_between_its_jobs(worker):
    roots = []

    def make_runner(root):
        roots.append(root)
        return Copier(root)

    copier = worker(make_runner)
    assert not roots[0].exists()
    for content in (b"1", b"2"):
        assert copier.run(content, "jobs/1", {}).files == {"deep/new": content}
        assert not roots[0].exists()


def test_an_error_of_kfc_is_returned_with_its_class(worker):
    outcome = worker(Refuser).run(b"", "jobs/1", {"jobs/1/old": b"1"})
    assert isinstance(outcome.error, kfc.NumbersError)
    assert outcome.files == {"old": b"1"}


def test_a_missing_folder_has_no_contents(tmp_path):
    assert folder_contents(tmp_path / "none") == {}


def test_a_worker_starts_with_the_flags_of_the_process_that_asks(monkeypatch, tmp_path):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    monkeypatch.setenv("XLA_FLAGS", os.environ.get("XLA_FLAGS", ""))
    monkeypatch.chdir(tmp_path)
    flags = {"XLA_FLAGS": os.environ["XLA_FLAGS"]}
    spec = load_spec("digits")
    machine = RemoteWorker().start(StartOrder(spec, {}, None, flags, str(tmp_path)))
    assert "OMP_NUM_THREADS" not in os.environ
    assert machine["flags"]["XLA_FLAGS"] == flags["XLA_FLAGS"]


def test_a_plug_in_that_the_node_lacks_is_named():
    plugins = {("optimizer", "sign_sgd"): "kfc-demo-plugin", ("block", "dense"): "kfc"}
    order = StartOrder(load_spec("digits"), plugins, None, {}, "nowhere")
    error = RemoteWorker().start(order)
    assert isinstance(error, kfc.PluginError)
    (finding,) = error.findings
    assert finding.where == "optimizer sign_sgd"
    assert "kfc-demo-plugin" in finding.expected


def test_built_in_components_are_no_plug_ins():
    assert used_plugins(load_spec("digits")) == {}


def test_a_runner_is_made_by_any_picklable_callable(worker):
    assert worker(functools.partial(Copier)).run(b"", "jobs/1", {}).error is None


def test_a_checkpoint_of_a_running_job_is_returned_once(worker):
    found = []

    class Slow(Copier):
        def run(self, job):
            folder = self.root / "jobs" / "1"
            found.append(made.checkpoint("jobs/1", ""))
            for name in ("000001", ".partial-0123456789abcdef-000002"):
                (folder / "checkpoints" / name).mkdir(parents=True)
                (folder / "checkpoints" / name / "state").write_bytes(b"1")
            found.append(made.checkpoint("jobs/1", ""))
            found.append(made.checkpoint("jobs/1", "000001"))

    made = worker(Slow)
    made.run(b"", "jobs/1", {})
    assert found[0] == ("", {})
    assert found[1] == ("000001", {"checkpoints/000001/state": b"1"})
    assert found[2] == ("000001", {})
    assert made.checkpoint("jobs/1", "") == ("", {})
