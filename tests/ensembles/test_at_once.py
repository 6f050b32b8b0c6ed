"""Members and folds that train at once are those in turn, but for rounding."""

import json
import signal
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import kfc
from kfc.ensembles import member_training
from kfc.errors import NumbersError, SpecError
from kfc.system import lockstep
from kfc.training.engine.joint_calls import JointCalls

BOUND = {"rtol": 1e-5, "atol": 1e-5}
"""Of weights, logged numbers and scores: rounding of another order of sums."""

SMALL = {
    "name": "small",
    "data": {"source": "sklearn:iris", "validation": 0.2},
    "network": {"hidden": [8], "activation": "tanh", "dropout": 0.1},
    "training": {"epochs": 4, "log_every": 1, "batch_size": 16},
}
ALWAYS = {"training.at_once": "always"}
SEEDS = {"training.members": 3}


def seeds(runs, overrides=None, spec=SMALL, **options):
    return kfc.fit(
        spec, overrides={**SEEDS, **(overrides or {})}, runs=runs, verbose=False, **options
    )


def folds(runs, overrides=None, folds=3, spec=SMALL, **options):
    return kfc.cross_validate(
        spec, folds=folds, overrides=overrides, runs=runs, verbose=False, **options
    )


def number_at_once(run):
    return json.loads((run.folder / "environment.json").read_text("utf-8"))["at_once"]


def assert_equal(got, wanted):
    assert len(got) == len(wanted)
    for run, other in zip(got, wanted, strict=True):
        assert set(run.history) == set(other.history)
        for name, values in run.history.items():
            np.testing.assert_allclose(values, other.history[name], **BOUND, err_msg=name)
        assert run.metrics == pytest.approx(other.metrics, rel=1e-4, abs=1e-5)
        weights = zip(run.network.weights, other.network.weights, strict=True)
        for a, b in weights:
            np.testing.assert_allclose(a, b, **BOUND, err_msg=a.path)


@pytest.fixture(scope="module")
def in_turn(tmp_path_factory):
    return seeds(tmp_path_factory.mktemp("in_turn"))


@pytest.fixture(scope="module")
def together(tmp_path_factory):
    return seeds(tmp_path_factory.mktemp("at_once"), ALWAYS)


def test_seeds_at_once_are_those_in_turn(in_turn, together):
    assert_equal(together.runs, in_turn.runs)
    assert [number_at_once(run) for run in together.runs] == [3, 3, 3]
    assert [number_at_once(run) for run in in_turn.runs] == [1, 1, 1]


def test_seeds_at_once_have_the_same_rows(together):
    assert len({run.data_sha256 for run in together.runs}) == 1
    assert [run.spec.seed for run in together.runs] == [0, 1, 2]


def test_they_repeat_to_the_same_bits(together, tmp_path):
    assert seeds(tmp_path, ALWAYS).weights_sha256 == together.weights_sha256


@pytest.mark.parametrize("at_once", ["auto", "never"])
def test_without_a_gpu_auto_trains_in_turn(in_turn, at_once, tmp_path, monkeypatch):
    monkeypatch.setattr(member_training, "in_lockstep", None)
    found = seeds(tmp_path, {"training.at_once": at_once})
    assert found.weights_sha256 == in_turn.weights_sha256


def test_with_a_gpu_auto_trains_at_once(together, tmp_path, monkeypatch):
    monkeypatch.setattr("kfc.runs.at_once.sees_gpu", lambda: True)
    found = seeds(tmp_path)
    assert [number_at_once(run) for run in found.runs] == [3, 3, 3]
    assert found.weights_sha256 == together.weights_sha256


def test_with_a_gpu_large_networks_train_in_turn(in_turn, tmp_path, monkeypatch):
    monkeypatch.setattr("kfc.runs.at_once.sees_gpu", lambda: True)
    monkeypatch.setattr("kfc.training.engine.choice._MOST_AT_ONCE", 100)
    found = seeds(tmp_path)
    assert [number_at_once(run) for run in found.runs] == [1, 1, 1]
    assert found.weights_sha256 == in_turn.weights_sha256


def test_a_network_too_large_for_it_has_its_rows_prepared_once(tmp_path, monkeypatch):
    monkeypatch.setattr("kfc.runs.at_once.sees_gpu", lambda: True)
    monkeypatch.setattr("kfc.training.engine.choice._MOST_AT_ONCE", 100)
    prepare, prepared = member_training.prepare, []

    def counted(spec, *arguments, **options):
        prepared.append(spec.data.fold.number)
        return prepare(spec, *arguments, **options)

    monkeypatch.setattr(member_training, "prepare", counted)
    folds(tmp_path, {"training.epochs": 1})
    assert prepared == [0, 1, 2]


def test_folds_at_once_are_those_in_turn(tmp_path):
    got, wanted = folds(tmp_path / "a", ALWAYS), folds(tmp_path / "b")
    assert_equal(got.ensemble.runs, wanted.ensemble.runs)
    assert got.pooled == pytest.approx(wanted.pooled, rel=1e-4, abs=1e-5)
    assert [number_at_once(run) for run in got.ensemble.runs] == [3, 3, 3]


def test_folds_of_two_sizes_train_in_two_groups(tmp_path, monkeypatch):
    served = []
    call = JointCalls.__call__

    def counted(self, requests):
        answers = call(self, requests)
        served.append([answer is not None for answer in answers])
        return answers

    monkeypatch.setattr(JointCalls, "__call__", counted)
    got, wanted = folds(tmp_path / "a", ALWAYS, 4), folds(tmp_path / "b", folds=4)
    assert_equal(got.ensemble.runs, wanted.ensemble.runs)
    assert served
    assert all(all(each) for each in served)


def test_a_regression_trains_at_once(tmp_path):
    generator = np.random.default_rng(0)
    x = generator.normal(size=(90, 4))
    y = 50 * x @ [1.0, 2.0, -1.0, 0.5] + 1000
    got, wanted = (
        folds(tmp_path / name, {"training.at_once": name}, data=(x, y))
        for name in ("always", "never")
    )
    assert_equal(got.ensemble.runs, wanted.ensemble.runs)


def test_members_stop_at_epochs_of_their_own(tmp_path):
    overrides = {
        "training.epochs": 60,
        "training.early_stopping.patience": 1,
        "training.early_stopping.min_delta": 0.01,
    }
    got, wanted = (
        seeds(tmp_path / name, {**overrides, "training.at_once": name})
        for name in ("always", "never")
    )
    assert len({run.epochs for run in wanted.runs}) > 1
    assert [run.epochs for run in got.runs] == [run.epochs for run in wanted.runs]
    assert_equal(got.runs, wanted.runs)


def test_a_fold_that_fails_leaves_those_before_it(tmp_path):
    generator = np.random.default_rng(0)
    x, y = generator.normal(size=(60, 3)).astype(np.float32), np.zeros(60, np.float32)
    y[:] = x[:, 0]
    x[0] = 1e15  # held out by the first fold alone: the others overflow
    data = {"source": None, "validation": 0, "scale": "none"}
    spec = {**SMALL, "data": data, "network": {"hidden": [4], "activation": "linear"}}
    spec |= {"training": {"epochs": 3, "optimizer": "sgd"}, "accept": ["unscaled_input"]}
    fold_of = np.arange(60) % 3
    errors, finished = [], []
    for name in ("always", "never"):
        with pytest.raises(NumbersError) as error:
            folds(
                *(tmp_path / name, {"training.at_once": name}, fold_of, spec),
                data=(x, y),
                checks="none",
            )
        errors.append(str(error.value))
        places = sorted((tmp_path / name / "small-cv3").glob("000*"))
        finished.append([(place / "result.json").is_file() for place in places])
    assert errors[0] == errors[1]
    assert finished[0][:2] == finished[1][:2] == [True, False]


def interrupt_at(number, monkeypatch, how):
    """Calls `how` when all ask for the call with a number."""
    call, calls = JointCalls.__call__, []

    def interrupted(self, requests):
        calls.append(1)
        if len(calls) == number:
            how()
        return call(self, requests)

    monkeypatch.setattr(JointCalls, "__call__", interrupted)


def test_ctrl_c_ends_all_after_a_checkpoint_and_resume_continues_at_once(
    together, tmp_path, monkeypatch
):
    interrupt_at(3, monkeypatch, lambda: signal.raise_signal(signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        seeds(tmp_path, {**ALWAYS, "training.checkpoint_seconds": 1e6})
    folder = tmp_path / "0001-small"
    steps = set()
    for place in sorted(folder.glob("000*")):
        (checkpoint,) = sorted((place / "checkpoints").iterdir())
        steps.add(checkpoint.name)
    assert len(steps) == 1
    resumed = kfc.resume(folder, verbose=False)
    assert resumed.weights_sha256 == together.weights_sha256
    assert [run.history for run in resumed.runs] == [run.history for run in together.runs]


def test_the_seconds_of_networks_at_once_add_up(tmp_path, monkeypatch):
    """Each call takes 6 seconds, and nothing else any, before and after a pause."""
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(lockstep, "time", SimpleNamespace(monotonic=lambda: clock.now))
    call, served = JointCalls.__call__, []

    def timed(self, requests):
        clock.now += 6
        served.append(len(requests))
        if len(served) == 2:
            signal.raise_signal(signal.SIGINT)
        return call(self, requests)

    monkeypatch.setattr(JointCalls, "__call__", timed)
    stopping = {"patience": 1, "min_delta": 0.01}
    overrides = {**ALWAYS, "training.epochs": 60, "training.early_stopping": stopping}
    with pytest.raises(KeyboardInterrupt):
        seeds(tmp_path, overrides)
    resumed = kfc.resume(tmp_path / "0001-small", verbose=False)
    assert len(set(served)) > 1  # they stop at epochs of their own
    assert resumed.seconds == pytest.approx(6 * len(served))


def test_a_crash_loses_what_is_after_the_checkpoints(in_turn, tmp_path, monkeypatch):
    def crash():
        raise MemoryError

    interrupt_at(20, monkeypatch, crash)
    with pytest.raises(MemoryError):
        seeds(tmp_path, {**ALWAYS, "training.checkpoint_seconds": 1e-9})
    resumed = kfc.resume(tmp_path / "0001-small", verbose=False)
    assert_equal(resumed.runs, in_turn.runs)


KILLED = """
import json, os, signal, sys
import kfc
from kfc.training.engine.joint_calls import JointCalls

call, calls = JointCalls.__call__, []

def killed(self, requests):
    calls.append(1)
    if len(calls) == 20:
        os.kill(os.getpid(), signal.SIGKILL)
    return call(self, requests)

JointCalls.__call__ = killed
kfc.fit(json.loads(sys.argv[1]), overrides=json.loads(sys.argv[2]), runs=sys.argv[3])
"""


def test_killed_members_continue(in_turn, tmp_path):
    overrides = {**SEEDS, **ALWAYS, "training.checkpoint_seconds": 1e-9}
    command = [sys.executable, "-c", KILLED, json.dumps(SMALL), json.dumps(overrides)]
    ended = subprocess.run([*command, tmp_path], capture_output=True, check=False)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    resumed = kfc.resume(tmp_path / "0001-small", verbose=False)
    assert_equal(resumed.runs, in_turn.runs)
    for run in resumed.runs:
        result = json.loads((run.folder / "result.json").read_text("utf-8"))
        assert len(result["resumed"]) == 1


def test_members_at_different_epochs_continue_alone(in_turn, tmp_path, monkeypatch):
    interrupt_at(20, monkeypatch, lambda: signal.raise_signal(signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):
        seeds(tmp_path, {**ALWAYS, "training.checkpoint_seconds": 1e6})
    folder = tmp_path / "0001-small"
    monkeypatch.undo()
    kfc.resume(folder / "0002-small", verbose=False)  # alone, to its end
    resumed = kfc.resume(folder, verbose=False)
    assert_equal(resumed.runs, in_turn.runs)
    result = json.loads((folder / "0002-small" / "result.json").read_text("utf-8"))
    assert result["resumed"][0]["differences"] == ["at_once: 3 then, 1 now"]


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ({"training.optimizer": "nadam"}, "nadam"),
        ({"training.engine": "eager"}, "eager"),
    ],
)
def test_always_is_refused_where_it_cannot_be_done(overrides, said, tmp_path):
    for train in (seeds, folds):
        with pytest.raises(SpecError, match=said):
            train(tmp_path, {**ALWAYS, **overrides})
    assert not list(tmp_path.iterdir())  # no folder that a better spec would not continue


def test_always_is_refused_for_streamed_rows(tmp_path):
    x = np.memmap(tmp_path / "x", np.float32, "w+", shape=(60, 3))
    x[:] = np.random.default_rng(0).normal(size=x.shape)
    spec = {**SMALL, "data": {"stream": "always", "validation": 0.2}}
    with pytest.raises(SpecError, match="streamed"):
        seeds(tmp_path, ALWAYS, spec, data=(x, np.arange(60) % 3))


@pytest.mark.parametrize("options", [{"workers": 2}, {"ray": "auto"}])
def test_always_is_refused_with_workers(options, tmp_path, monkeypatch):
    monkeypatch.setattr("kfc.ensembles.cross_validating.check_ray", lambda address: None)
    with pytest.raises(SpecError, match="at_once"):
        folds(tmp_path, ALWAYS, **options)


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ([5], "5 networks train at once"),
        ([2, 3], "3 and 2 networks train at once"),
        ([1, 4], "4 networks train at once, 1 alone"),
        ([1, 1], "2 networks of different shapes train one after the other"),
    ],
)
def test_a_line_says_which_networks_train_at_once(counts, said):
    assert member_training._groups(counts) == said


def test_folds_of_different_shapes_train_one_after_the_other(tmp_path, capfd):
    """The last category is in one fold alone, so that the others do not train on it."""
    fold_of = np.arange(60) % 2
    frame = pd.DataFrame({"kind": [*"abc"] * 20, "number": np.arange(60.0)})
    frame.loc[fold_of == 1, "kind"] = [*"abcd"] * 7 + ["a", "b"]
    spec = {**SMALL, "data": {"target": "number", "validation": 0.2}}
    got, wanted = (
        kfc.cross_validate(
            spec,
            overrides={"training.at_once": name, "training.epochs": 1},
            data=frame,
            folds=fold_of,
            runs=tmp_path / name,
        )
        for name in ("always", "never")
    )
    assert "2 networks of different shapes" in capfd.readouterr().err
    assert got.pooled == wanted.pooled


def test_a_line_says_so(tmp_path, capfd):
    kfc.fit(SMALL, overrides={**SEEDS, **ALWAYS, "training.epochs": 1}, runs=tmp_path)
    assert "3 networks train at once" in capfd.readouterr().err


def test_members_without_a_folder_train_at_once(tmp_path):
    x, y = np.random.default_rng(0).normal(size=(60, 3)), np.arange(60) % 3
    network = {"hidden": [8], "activation": "tanh"}
    got, wanted = (
        kfc.Classifier(
            {"network": network, "training": {"at_once": name}},
            **{"preset": None, "epochs": 3, "members": 2, "random_state": 0},
        ).fit(x, y)
        for name in ("always", "never")
    )
    np.testing.assert_allclose(got.predict_proba(x), wanted.predict_proba(x), atol=1e-5)
