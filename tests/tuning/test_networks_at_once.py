"""Trials that train at once are those in turn, but for rounding."""

import os
import signal
import time

import pytest

from kfc.errors import SpecError
from kfc.runs import fitting
from kfc.training.engine import memory_estimate
from kfc.training.engine.joint_calls import JointCalls
from kfc.tuning import networks_at_once
from kfc.tuning.search_records import SearchRecords
from kfc.tuning.trial_runner import TrialRunner

RATE = "training.optimizer.learning_rate"
RATES = {
    "network.activation": "tanh",
    "network.dropout": 0.1,
    "training.epochs": 3,
    "search.trials": 5,
    "search.parallel": 3,
    "search.repeats": 2,
    "search.most_repeats": 2,
    "search.space": {
        RATE: {"low": 0.01, "high": 0.3, "log": True},
        "network.init.stddev": {"low": 0.05, "high": 0.3},
    },
}
ALWAYS = {**RATES, "training.at_once": "always"}
SENTENCE = "networks trained at once (training.at_once)"


def scores(search):
    trials = [*search.trials, *(each for f in search.finalists for each in f.repeats)]
    return {(trial.number, trial.seed): trial.score for trial in trials}


def assert_same_scores(got, want):
    assert scores(got) == pytest.approx(scores(want), rel=1e-4)
    assert [trial.values for trial in got.trials] == [trial.values for trial in want.trials]
    assert got.best.number == want.best.number


@pytest.fixture
def groups(monkeypatch):
    """The number of networks in each joint call."""
    sizes, call = [], JointCalls._call

    def counted(self, form, requests):
        sizes.append(len(requests))
        return call(self, form, requests)

    monkeypatch.setattr(JointCalls, "_call", counted)
    return sizes


def test_trials_of_one_shape_are_those_in_turn(search, tmp_path, groups):
    in_turn = search(RATES, folder=tmp_path / "turn")
    assert groups == []
    at_once = search(ALWAYS, folder=tmp_path / "once")
    assert_same_scores(at_once, in_turn)
    assert groups[0] == max(groups) == 3  # as many as `search.parallel` allows
    repeats = [each for finalist in at_once.finalists for each in finalist.repeats]
    assert {trial.at_once for trial in [*at_once.trials[:3], *repeats]} == {3}
    assert {trial.at_once for trial in in_turn.trials} == {1}
    (sentence,) = [each for each in at_once.sentences if SENTENCE in each]
    assert sentence.startswith("Up to 3 networks")
    assert not any("not exactly repeatable" in each for each in at_once.sentences)
    assert not any(SENTENCE in each for each in in_turn.sentences)


def test_trials_of_other_widths_train_beside_them(search, tmp_path, groups):
    space = {
        RATE: {"low": 0.01, "high": 0.3},
        "network.hidden": {"depth": [1, 1], "width": [5, 6]},
    }
    widths = {"search.space": space, "search.repeats": 0, "search.trials": 8}
    in_turn = search({**RATES, **widths}, folder=tmp_path / "turn")
    at_once = search({**ALWAYS, **widths}, folder=tmp_path / "once")
    assert_same_scores(at_once, in_turn)
    assert min(groups) == 2  # the third trial has another width


def test_networks_of_no_common_shape_are_those_in_turn_to_the_bit(search, tmp_path):
    space = {"network.hidden": {"depth": [1, 1], "width": [5, 9]}}
    widths = {"search.algorithm": "grid", "search.space": space, "search.repeats": 0}
    in_turn = search({**RATES, **widths}, folder=tmp_path / "turn")
    at_once = search({**ALWAYS, **widths}, folder=tmp_path / "once")
    hashes = [[t.weights_sha256 for t in each.trials] for each in (in_turn, at_once)]
    assert hashes[0] == hashes[1]


@pytest.mark.parametrize("algorithm", ["bayesian", "hyperband"])
def test_other_algorithms_propose_the_same_trials(algorithm, search, tmp_path):
    other = {"search.algorithm": algorithm, "search.repeats": 0, "training.epochs": 4}
    in_turn = search({**RATES, **other}, folder=tmp_path / "turn")
    at_once = search({**ALWAYS, **other}, folder=tmp_path / "once")
    # The model of the results amplifies their rounding a little.
    for got, want in zip(at_once.trials, in_turn.trials, strict=True):
        assert got.values == pytest.approx(want.values, rel=1e-2)
        assert got.score == pytest.approx(want.score, rel=1e-2)


def test_a_trial_that_diverges_leaves_the_others(search, tmp_path):
    wild = {"search.space": {RATE: {"low": 1e-3, "high": 1e30, "log": True}}}
    wild |= {"network.activation": "relu", "search.repeats": 0, "network.dropout": 0}
    in_turn = search({**RATES, **wild}, folder=tmp_path / "turn")
    at_once = search({**ALWAYS, **wild}, folder=tmp_path / "once")
    assert [t.status for t in at_once.trials] == [t.status for t in in_turn.trials]
    assert {t.status for t in at_once.trials} == {"diverged", "completed"}


def test_an_interrupted_search_continues(search, tmp_path, monkeypatch):
    whole = search(ALWAYS, folder=tmp_path / "whole")
    run = TrialRunner.run

    def interrupted(self, job):
        trial = run(self, job)
        if job.proposal.number == 2:
            raise KeyboardInterrupt
        return trial

    with monkeypatch.context() as patch:
        patch.setattr(TrialRunner, "run", interrupted)
        with pytest.raises(KeyboardInterrupt):
            search(ALWAYS, folder=tmp_path / "search")
    assert_same_scores(search(ALWAYS, folder=tmp_path / "search"), whole)


def test_a_finished_search_trains_nothing_more(search, tmp_path, monkeypatch):
    whole = search(ALWAYS)
    monkeypatch.setattr(networks_at_once, "in_lockstep", None)
    monkeypatch.setattr(fitting, "fit_run", None)
    again = search(ALWAYS)
    assert (scores(again), again.sentences) == (scores(whole), whole.sentences)


def test_auto_trains_at_once_where_there_is_a_gpu(search, tmp_path, groups, monkeypatch):
    monkeypatch.setattr("kfc.runs.at_once.sees_gpu", lambda: True)
    search({**RATES, "search.repeats": 0})
    assert groups[0] == 3


def test_seconds_are_shares_of_the_time_of_all(search):
    began = time.monotonic()
    found = search({**ALWAYS, "search.repeats": 0})
    assert 0 < sum(trial.seconds for trial in found.trials) < time.monotonic() - began


@pytest.mark.parametrize("last", [2, 3], ids=["after the last of three", "before others"])
def test_ctrl_c_between_results_is_obeyed(last, search, tmp_path, monkeypatch):
    whole = search(ALWAYS, folder=tmp_path / "whole")
    add_trial = SearchRecords.add_trial

    def interrupted(self, kind, trial, seconds):
        add_trial(self, kind, trial, seconds)
        if trial.number == last and kind == "trial":
            os.kill(os.getpid(), signal.SIGINT)

    with monkeypatch.context() as patch:
        patch.setattr(SearchRecords, "add_trial", interrupted)
        with pytest.raises(KeyboardInterrupt):
            search(ALWAYS)
    assert_same_scores(search(ALWAYS), whole)


def test_the_memory_of_all_is_counted_before_the_first_trial(search, monkeypatch):
    networks = []

    def needed(spec, prepared, **options):
        networks.append(options["networks"])
        return 0

    monkeypatch.setattr(memory_estimate, "predicted_memory", needed)
    search({**ALWAYS, "search.repeats": 0})
    assert networks[:2] == [1, 3]  # while the rule is asked, then of the largest network


@pytest.mark.parametrize("options", [{"workers": 2}, {"ray": "local"}])
def test_always_is_refused_with_other_processes(options, search):
    with pytest.raises(SpecError, match=r"training\.at_once: expected auto or never"):
        search(ALWAYS, **options)


def test_always_is_refused_with_an_optimizer_that_assigns_its_variables(search):
    with pytest.raises(SpecError, match=r"training\.at_once.*nadam"):
        search({**ALWAYS, "training.optimizer": {"name": "nadam", "learning_rate": 0.01}})
