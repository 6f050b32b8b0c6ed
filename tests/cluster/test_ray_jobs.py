"""The hand-out of jobs, by a Ray whose actors run in this process when they are awaited."""

import sys
from types import SimpleNamespace

import pytest

import kfc
from kfc.cluster.ray_jobs import ClusterOptions, RayJobs, RemoteJob
from kfc.cluster.remote_worker import Outcome
from kfc.errors import Finding
from kfc.spec import load_spec

ray_jobs = sys.modules[RayJobs.__module__]


class RayError(Exception):
    pass


class RayActorError(RayError):
    pass


class ActorDiedError(RayActorError):
    pass


class Call:
    def __init__(self, actor, method, arguments):
        self.actor, self.method, self.arguments = actor, method, arguments

    def run(self):
        return self.actor.answers(self.method, *self.arguments)


class Actor:
    """An actor on the node with most room; `script` says what its calls do."""

    def __init__(self, ray):
        self.ray = ray
        self.node = max(ray.room, key=ray.room.get)
        ray.room[self.node] -= 1

    def __getattr__(self, method):
        def remote(*arguments):
            call = Call(self, method, arguments)
            self.ray.calls.append(call)
            return call

        options = SimpleNamespace(remote=remote)
        return SimpleNamespace(remote=remote, options=lambda concurrency_group: options)

    def answers(self, method, *arguments):
        if method == "describe":
            versions = self.ray.versions
            return {"address": self.node, "node_id": self.node, "versions": versions}
        if method == "run":
            return self.ray.script(self, *arguments)
        if method == "checkpoint":
            return self.ray.checkpoint(*arguments)
        return self.ray.start(self, method)


class Ray:
    """As much of the module ray as `RayJobs` uses."""

    def __init__(self, script, **nodes):
        self.script, self.room = script, dict(nodes)
        self.alive = dict.fromkeys(nodes, True)
        self.processors = dict(nodes)
        self.calls, self.killed = [], []
        self.versions = kfc.runs.running_process.running_process()["versions"]
        self.exceptions = SimpleNamespace(
            RayError=RayError, RayActorError=RayActorError, ActorDiedError=ActorDiedError
        )
        self.experimental = SimpleNamespace(get_local_object_locations=lambda refs: {})

    def start(self, actor, method):
        return kfc.runs.running_process.running_process() if method == "start" else None

    def remote(self, concurrency_groups):
        made = SimpleNamespace(remote=lambda: Actor(self))
        return lambda kind: SimpleNamespace(options=lambda num_cpus: made)

    def put(self, value):
        return value

    def wait(self, calls, timeout):
        return calls[:1], calls[1:]

    def get(self, call):
        return call.run()

    def kill(self, actor):
        self.killed.append(actor)
        self.room[actor.node] += 1

    def nodes(self):
        return [
            {"NodeID": name, "Alive": self.alive[name], "Resources": {"CPU": count}}
            for name, count in self.processors.items()
        ]

    def cluster_resources(self):
        alive = [n for name, n in self.processors.items() if self.alive[name]]
        return {"CPU": sum(alive)}


def finished(actor, job, folder, files):
    return Outcome((job, sorted(files)), {"result": job.encode(), "deep/file": b"2"})


@pytest.fixture
def hand_out(tmp_path):
    """Makes `RayJobs` on a false Ray; the lines that it says are in `said`."""

    def make(script, count=None, threads=None, **nodes):
        ray, said = Ray(script, **nodes), []
        spec = load_spec("digits")
        options = ClusterOptions(spec, threads, count, 8, tmp_path, said.append)
        jobs = RayJobs(ray, lambda root: None, options)
        return SimpleNamespace(jobs=jobs, ray=ray, said=said)

    return make


def job(number, *inputs):
    return RemoteJob(number, f"job {number}", f"jobs/{number}", inputs)


def results(jobs, count):
    return dict(
        (done.number, result) for done, result in (jobs.next_result() for _ in range(count))
    )


def test_jobs_return_with_their_files(hand_out, tmp_path):
    made = hand_out(finished, a=1, b=1)
    for number in range(5):
        made.jobs.submit(job(number))
    assert sorted(results(made.jobs, 5)) == [0, 1, 2, 3, 4]
    assert (tmp_path / "jobs" / "3" / "result").read_bytes() == b"job 3"
    assert (tmp_path / "jobs" / "3" / "deep" / "file").read_bytes() == b"2"
    made.jobs.close()
    assert len(made.ray.killed) == 2


def test_a_job_is_sent_the_files_of_its_folders(hand_out, tmp_path):
    for name in ("jobs/0/checkpoints", "jobs/1"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "x").touch()
    made = hand_out(finished, a=1)
    made.jobs.submit(job(1, "jobs/0/checkpoints", "jobs/9"))
    assert results(made.jobs, 1) == {1: ("job 1", ["jobs/0/checkpoints/x", "jobs/1/x"])}


@pytest.mark.parametrize(("count", "limit"), [(None, 3), (2, 2), (20, 8)])
def test_there_are_as_many_workers_as_have_room_or_are_of_use(count, limit, hand_out):
    made = hand_out(finished, count=count, a=1, b=2)
    assert made.jobs.limit() == limit


def test_a_job_whose_node_dies_runs_on_another_one(hand_out):
    def script(actor, *arguments):
        if actor.node == "a":
            actor.ray.alive["a"] = False
            actor.ray.room["a"] = -9
            raise ActorDiedError("its node has died")
        return finished(actor, *arguments)

    made = hand_out(script, a=2, b=1)
    for number in range(4):
        made.jobs.submit(job(number))
    assert sorted(results(made.jobs, 4)) == [0, 1, 2, 3]
    assert "lost node a: jobs/0 continues elsewhere" in made.said


@pytest.mark.parametrize(("deaths", "fatal"), [(2, False), (3, True)])
def test_a_job_that_kills_three_processes_of_living_nodes_is_the_cause(
    deaths, fatal, hand_out
):
    died = []

    def script(actor, name, *arguments):
        if name == "job 1" and len(died) < deaths:
            died.append(actor)
            raise ActorDiedError("out of memory")
        return finished(actor, name, *arguments)

    made = hand_out(script, a=1)
    made.jobs.submit(job(1))
    made.jobs.submit(job(2))
    found = results(made.jobs, 2)
    assert (found[1] is None) == fatal
    assert found[2] is not None
    assert len(died) == deaths


def test_a_node_that_cannot_be_reached_is_no_fault_of_the_job(hand_out):
    lost = []

    def script(actor, *arguments):
        if len(lost) < 5:
            lost.append(actor)
            raise RayActorError("unavailable")
        return finished(actor, *arguments)

    made = hand_out(script, a=1, b=1)
    made.jobs.submit(job(1))
    assert results(made.jobs, 1)[1] is not None
    assert set(lost) <= set(made.ray.killed)


def test_a_job_continues_from_its_last_checkpoint_on_another_node(
    hand_out, monkeypatch, tmp_path
):
    monkeypatch.setattr(ray_jobs, "SAVE_SECONDS", 0.0)
    asked, inputs = [], []

    def checkpoint(folder, known):
        asked.append(known)
        monkeypatch.setattr(ray_jobs, "SAVE_SECONDS", 1e9)
        return "000003", {"checkpoints/000003/state.npz": b"3"}

    def script(actor, name, folder, files):
        inputs.append(files)
        if len(inputs) == 1:
            raise ActorDiedError("killed")
        return finished(actor, name, folder, files)

    made = hand_out(script, a=1)
    made.ray.checkpoint = checkpoint
    made.jobs.submit(job(1))
    results(made.jobs, 1)
    assert asked == [""]
    assert inputs == [{}, {"jobs/1/checkpoints/000003/state.npz": b"3"}]
    assert not (tmp_path / "jobs" / "1" / "checkpoints").exists()  # those of its end alone


def test_an_error_of_a_job_is_raised_with_its_files_written(hand_out, tmp_path):
    error = kfc.NumbersError(Finding("loss", "a finite number", "nan", "Reduce the rate."))
    made = hand_out(lambda *_: Outcome(None, {"log": b"1"}, error), a=1)
    made.jobs.submit(job(1))
    with pytest.raises(kfc.NumbersError, match="loss: expected a finite number"):
        made.jobs.next_result()
    assert (tmp_path / "jobs" / "1" / "log").read_bytes() == b"1"


def refused(made, error, only_finding):
    made.jobs.submit(job(1))
    return only_finding(error, made.jobs.next_result)


def test_a_plug_in_that_a_node_lacks_is_named_with_the_node(hand_out, only_finding):
    made = hand_out(finished, a=1)
    error = kfc.PluginError(Finding("optimizer x", "the package y", "none"))
    made.ray.start = lambda actor, method: error
    assert refused(made, kfc.PluginError, only_finding).where == "node a, optimizer x"


def test_a_node_with_another_version_is_refused(hand_out, only_finding):
    made = hand_out(finished, a=1)
    made.ray.versions = {"keras-fully-connected": "0.0.1"}
    finding = refused(made, kfc.SpecError, only_finding)
    assert (finding.where, finding.got) == ("node a", "0.0.1")


def test_workers_that_die_while_they_start_are_no_fault_of_a_job(hand_out, only_finding):
    def start(actor, method):
        raise ActorDiedError("first line\nno memory.")

    made = hand_out(finished, a=1)
    made.ray.start = start
    finding = refused(made, kfc.SpecError, only_finding)
    assert (finding.where, finding.got) == ("node a", "no memory")


def test_a_module_that_a_node_lacks_is_named(hand_out, only_finding):
    def start(actor, method):
        raise RayError("ModuleNotFoundError: No module named 'my_source'")

    made = hand_out(finished, a=1)
    made.ray.start = start
    assert refused(made, kfc.SpecError, only_finding).got == "no my_source"


def test_a_node_with_another_processor_is_said_once(hand_out):
    def start(actor, method):
        machine = kfc.runs.running_process.running_process()
        return machine | {"processor": "Z80"} if method == "start" else None

    made = hand_out(finished, a=2)
    made.ray.start = start
    for number in range(4):
        made.jobs.submit(job(number))
    results(made.jobs, 4)
    (remark,) = made.jobs.remarks
    assert remark.startswith("Node a has other values, so other bits are possible: processor:")
    assert remark in made.said


def test_more_threads_than_any_node_has_processors_are_refused(hand_out, only_finding):
    finding = only_finding(kfc.SpecError, lambda: hand_out(finished, threads=4, a=2, b=3))
    assert finding.got == "at most 3 on 2 nodes"
