from dataclasses import replace

import numpy as np
import pytest

from kfc.ensembles import member_training
from kfc.ensembles.member_training import MemberPreparer
from kfc.ensembles.plan_file import EnsemblePlan
from kfc.runs import baseline_of, scores
from kfc.runs.measuring import baseline_scores
from kfc.spec import load_spec


@pytest.fixture
def prepared_times(monkeypatch):
    """Counts how often rows are encoded."""
    calls, prepare = [], member_training.prepare
    monkeypatch.setattr(
        member_training, "prepare", lambda *a, **k: (calls.append(1), prepare(*a, **k))[1]
    )
    return calls


def test_members_of_other_seeds_share_their_rows(small, tmp_path, prepared_times):
    plan = EnsemblePlan("seeds", load_spec(small), (0, 1, 2))
    preparer = MemberPreparer(None, tmp_path)
    first, *others = (preparer(member.spec) for member in plan.members(tmp_path))
    assert all(each is first for each in others)
    assert len(prepared_times) == 1


def test_folds_have_rows_of_their_own(small, tmp_path, prepared_times):
    plan = EnsemblePlan("folds", load_spec(small), (0, 1), repeats=2)
    preparer = MemberPreparer(None, tmp_path)
    members = [*plan.members(tmp_path)]
    tests = [preparer(member.spec).test_numbers for member in members]
    assert len(prepared_times) == 4
    np.testing.assert_array_equal(np.sort(np.concatenate(tests[:2])), np.arange(150))
    np.testing.assert_array_equal(np.sort(np.concatenate(tests[2:])), np.arange(150))
    assert not np.array_equal(tests[0], tests[2])


def test_a_constant_answer_is_scored_once_for_the_same_targets(small, monkeypatch):
    prepared = MemberPreparer(None, None)(load_spec(small))
    calls = []
    monkeypatch.setattr(
        "kfc.runs.measuring.baseline_scores",
        lambda *a: (calls.append(1), baseline_scores(*a))[1],
    )
    expected = scores.baseline_scores(prepared.train, prepared.test, prepared.task)
    found = [baseline_of(prepared, "test") for _ in range(3)]
    found[0]["accuracy"] = 2.0  # a copy
    assert found[1:] == [expected] * 2
    assert baseline_of(prepared, "val", ["mcc"]).keys() >= {"mcc"}
    assert len(calls) == 2


def test_other_targets_of_the_same_data_are_scored_again(small):
    prepared = MemberPreparer(None, None)(load_spec(small))
    before = baseline_of(prepared, "test")
    train = replace(prepared.train, y=np.zeros_like(prepared.train.y))
    changed = replace(prepared, train=train)
    assert baseline_of(changed, "test")["log_loss"] > before["log_loss"]
    assert baseline_of(prepared, "test") == before
