import builtins
import dataclasses
import functools
import math
import random
import time
from statistics import NormalDist

import numpy as np
import pytest

import kfc.system.tensorflow_startup

kfc.system.tensorflow_startup.import_tensorflow()

from kfc.errors import CheckpointError  # noqa: E402
from kfc.spec import load_spec  # noqa: E402
from kfc.tuning.hyperparameters import levels_of  # noqa: E402
from kfc.tuning.oracle import Oracle, _quantiles  # noqa: E402
from kfc.tuning.space import Hyperparameter, Space  # noqa: E402

RATE = "training.optimizer.learning_rate"
STDDEV = "network.init.stddev"
HIDDEN = "network.hidden"
DEPTH = f"{HIDDEN}.depth"
BATCH = "training.batch_size"

NUMBERS = {
    RATE: {"low": 1e-3, "high": 1.0, "log": True},
    STDDEV: {"low": 1e-2, "high": 10.0, "log": True},
}
LAYERS = {HIDDEN: {"depth": [1, 3], "width": [16, 256]}, **NUMBERS}
STEPS = {
    BATCH: {"choice": [16, 32, 64]},
    HIDDEN: {"depth": [0, 2], "width": [2, 3]},
}  # 3 * (1 + 2 + 4) = 21 points
ALGORITHMS = ["random", "bayesian", "hyperband", "grid"]


def oracle_of(algorithm, space=None, *, seed=0, epochs=9, direction="min", **search):
    space = space or (STEPS if algorithm == "grid" else LAYERS)
    init = {"name": "truncated_normal", "stddev": 0.1}
    settings = {"algorithm": algorithm, "trials": 20, **search, "space": space}
    built = Space.of(load_spec("digits", {"network.init": init, "search": settings}))
    return Oracle(built, built.spec.search, seed=seed, epochs=epochs, direction=direction)


def loss(proposal):
    """A bowl in decades; from some product of its two numbers on, training diverges."""
    rate, stddev = (math.log10(proposal.point.get(name, 0.1)) for name in (RATE, STDDEV))
    widths = [v for name, v in proposal.point.items() if ".width_" in name]
    bowl = (rate + 1.3) ** 2 + (stddev + 1.2) ** 2
    return bowl + 0.2 * sum((math.log10(w) - 2) ** 2 for w in widths), rate + stddev > -2


def drive(oracle, *, parallel=4, recorded=(), score=loss, num_ended=None):
    """Creates and ends trials as a search does; returns the proposals with their results."""
    rows, done = [], 0
    while num_ended is None or done < num_ended:
        while len(rows) - done < parallel:
            proposal = oracle.create_trial(
                recorded[len(rows)] if len(rows) < len(recorded) else None
            )
            if proposal is None:
                break
            rows.append((proposal, *score(proposal)))
        if done == len(rows):
            break
        proposal, value, diverged = rows[done]
        oracle.end_trial(proposal.number, value, diverged=diverged)
        done += 1
    return rows


@functools.cache
def table(algorithm, seed=0):
    """All proposals of a search with their results; tests must not change them."""
    return drive(oracle_of(algorithm, seed=seed))


def proposals(rows):
    return [proposal for proposal, *_ in rows]


def points(rows):
    return [dict(proposal.point) for proposal, *_ in rows]


def different(rows):
    return {tuple(sorted(point.items())) for point in points(rows)}


# --- every algorithm ----------------------------------------------------------------------


@pytest.mark.parametrize("seed", [0, 7])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_the_same_seed_gives_the_same_table(algorithm, seed):
    rows = drive(oracle_of(algorithm, seed=seed))
    assert rows == table(algorithm, seed)
    assert [p.number for p in proposals(rows)] == list(range(1, 21))


@pytest.mark.parametrize("algorithm", ["random", "bayesian", "hyperband"])
def test_other_seeds_give_other_tables(algorithm):
    tables = [points(table(algorithm, seed)) for seed in (0, 1, 7)]
    assert tables[0] != tables[1] != tables[2] != tables[0]


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("num_ended", [pytest.param(0, marks=pytest.mark.slow), 1, 13])
def test_an_oracle_built_again_goes_on_as_the_first(algorithm, num_ended):
    begun = proposals(drive(oracle_of(algorithm), num_ended=num_ended))
    assert drive(oracle_of(algorithm), recorded=begun) == table(algorithm)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_it_ends_with_the_number_of_trials(algorithm):
    oracle = oracle_of(algorithm, trials=6)
    assert not oracle.finished
    assert len(drive(oracle)) == 6
    assert oracle.finished
    assert oracle.create_trial() is None


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_no_file_is_opened_nothing_is_printed_and_no_global_number_drawn(
    algorithm, capfd, monkeypatch, tmp_path
):
    def forbidden(*args, **options):
        raise AssertionError(f"opened {args}")

    monkeypatch.chdir(tmp_path)
    oracle = oracle_of(algorithm)
    states = random.getstate(), np.random.get_state()
    monkeypatch.setattr(builtins, "open", forbidden)
    monkeypatch.setattr("os.mkdir", forbidden)
    drive(oracle)
    monkeypatch.undo()
    assert random.getstate() == states[0]
    assert all(
        np.array_equal(*pair) for pair in zip(np.random.get_state(), states[1], strict=True)
    )
    assert capfd.readouterr() == ("", "")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_search_in_which_every_trial_diverges_goes_on(algorithm):
    rows = drive(oracle_of(algorithm), score=lambda proposal: (1e30, True))
    assert len(rows) == 20
    assert len(different(rows)) == 20


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_points_hold_what_counts_as_plain_numbers_in_their_ranges(algorithm):
    for point in points(table(algorithm)):
        depth = point[DEPTH]
        widths = {name for name in point if ".width_" in name}
        assert widths == {f"{HIDDEN}.width_{i}" for i in range(1, depth + 1)}
        assert all(type(value) in (int, float) for value in point.values())
        assert all(type(point[name]) is int and 2 <= point[name] <= 256 for name in widths)
        assert 1e-3 <= point.get(RATE, 0.1) <= 1
        assert not any(name.startswith("tuner/") for name in point)


@pytest.mark.parametrize("algorithm", ["random", "hyperband", "grid"])
def test_a_journal_of_other_proposals_is_refused(algorithm):
    recorded = proposals(drive(oracle_of(algorithm), num_ended=3))
    name = BATCH if algorithm == "grid" else RATE
    changed = {**recorded[1].point, name: 2}
    oracle = oracle_of(algorithm)
    oracle.create_trial(recorded[0])
    with pytest.raises(CheckpointError) as caught:
        oracle.create_trial(dataclasses.replace(recorded[1], point=changed))
    (finding,) = caught.value.findings
    assert finding.where == "trial 2 of the journal"
    assert f"{name}={recorded[1].point[name]}" in finding.expected
    assert f"{name}=2" in finding.got
    assert finding.remedy


# --- random -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(s, marks=pytest.mark.slow) for s in (1, 2))]
)
@pytest.mark.parametrize("algorithm", ["random", "bayesian", "grid"])
def test_every_point_of_a_small_space_comes_once(algorithm, seed):
    oracle = oracle_of(algorithm, STEPS, trials=50, seed=seed)
    rows = drive(oracle)
    assert len(rows) == len(different(rows)) == 21
    assert oracle.finished


def test_a_spent_space_is_finished_before_the_last_results():
    oracle = oracle_of("random", {BATCH: {"choice": [16, 32]}})
    assert oracle.create_trial()
    assert oracle.create_trial()
    assert oracle.create_trial() is None
    assert oracle.finished


# --- bayesian -----------------------------------------------------------------------------


@pytest.mark.parametrize("parallel", [pytest.param(1, marks=pytest.mark.slow), 4])
def test_bayesian_learns_where_training_diverges_and_where_it_is_good(parallel):
    lost, means = [], {"random": [], "bayesian": []}
    for seed in range(4):
        for algorithm, found in means.items():
            rows = drive(oracle_of(algorithm, NUMBERS, seed=seed), parallel=parallel)[-12:]
            found.append(np.mean([4.0 if diverged else value for _, value, diverged in rows]))
            if algorithm == "bayesian":
                lost.append(sum(diverged for *_, diverged in rows))
    assert max(lost) <= 3
    assert np.mean(means["bayesian"]) < 0.7 * np.mean(means["random"])


@pytest.mark.parametrize("worst", [math.inf, math.nan])
def test_how_bad_a_bad_score_is_teaches_nothing(worst):
    def score(proposal):
        value, diverged = loss(proposal)
        return (worst if diverged else value), diverged

    found = points(drive(oracle_of("bayesian"), score=score))
    assert found == points(table("bayesian"))


def test_only_the_order_of_scores_is_learned_in_either_direction():
    def negated(proposal):
        value, diverged = loss(proposal)
        return -math.exp(value), diverged

    highest = drive(oracle_of("bayesian", direction="max"), score=negated)
    assert points(highest) == points(table("bayesian"))


def test_ranks_are_normal_and_shared_by_equals():
    quantiles = _quantiles([3.0, 1.0, 3.0, math.inf, math.inf])
    # The ranks 2.5, 1, 2.5, 4.5 and 4.5, less a half, are these shares of five.
    expected = [NormalDist().inv_cdf(share) for share in (0.4, 0.1, 0.4, 0.8, 0.8)]
    assert quantiles == pytest.approx(expected)
    assert _quantiles([]) == []


def test_an_ask_is_fast_and_taking_a_journals_word_faster():
    oracle = oracle_of("bayesian", trials=41)
    rows = drive(oracle, num_ended=40, parallel=1)
    began = time.process_time()
    assert oracle.create_trial().number == 41
    assert time.process_time() - began < 0.6  # 0.02 where nothing else runs
    began = time.process_time()
    drive(oracle_of("bayesian", trials=40), recorded=proposals(rows))
    assert time.process_time() - began < 1


# --- hyperband ----------------------------------------------------------------------------


def test_hyperband_goes_on_with_the_best_of_each_rung():
    rows = drive(
        oracle_of("hyperband", epochs=9, trials=17), score=lambda p: (p.number % 7, False)
    )
    scores = {p.number: value for p, value, _ in rows}
    by_number = {p.number: p for p in proposals(rows)}
    assert len(rows) == 17
    first = [p.number for p in by_number.values() if p.parent is None and p.epochs == 1]
    rungs = {e: [p for p in by_number.values() if p.parent and p.epochs == e] for e in (3, 9)}
    assert [len(first), len(rungs[3]), len(rungs[9])] == [9, 3, 1]
    promoted = sorted(scores[p.parent] for p in rungs[3])
    assert promoted == sorted(scores[number] for number in first)[:3]
    for proposal in [*rungs[3], *rungs[9]]:
        parent = by_number[proposal.parent]
        assert parent.epochs * 3 == proposal.epochs
        assert parent.point == proposal.point


@pytest.mark.parametrize("parallel", [1, 4])
@pytest.mark.parametrize("trials", [1, 5, 20, 40])
@pytest.mark.parametrize("epochs", [1, 2, 9, 30])
def test_hyperband_uses_every_trial_and_reaches_the_last_rung(epochs, trials, parallel):
    rows = drive(oracle_of("hyperband", epochs=epochs, trials=trials), parallel=parallel)
    assert len(rows) == trials
    assert max(p.epochs for p in proposals(rows)) == epochs


@pytest.mark.parametrize("parallel", [1, 4])
def test_hyperband_never_goes_on_with_a_trial_that_diverged(parallel):
    for share in (0.3, 0.8, 1.0):
        oracle = oracle_of("hyperband", trials=40)

        def score(proposal, share=share):
            return proposal.number, random.Random(proposal.number).random() < share

        rows = drive(oracle, parallel=parallel, score=score)
        lost = {p.number for p, _, diverged in rows if diverged}
        assert len(rows) == 40
        assert not lost & {p.parent for p in proposals(rows)}
        assert any(p.parent for p in proposals(rows)) == (share < 1)


@pytest.mark.parametrize("parallel", [1, 4])
@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_hyperband_ends_with_the_space(share, parallel):
    oracle = oracle_of("hyperband", STEPS, trials=100)
    rows = drive(
        oracle,
        parallel=parallel,
        score=lambda p: (p.number, random.Random(p.number).random() < share),
    )
    fresh = [row for row in rows if row[0].parent is None]
    assert oracle.finished
    assert len(fresh) == len(different(fresh)) == 21


@pytest.mark.parametrize("algorithm", ["random", "bayesian", "grid"])
def test_only_hyperband_goes_on_with_trials(algorithm):
    oracle = oracle_of(algorithm)
    assert all(
        p.parent is None and p.epochs == 9 for p in proposals(drive(oracle, num_ended=9))
    )
    assert oracle.promotable() == set()


def test_what_hyperband_continues_was_promotable_until_its_continuation_was_told():
    oracle, rows, done, kept = oracle_of("hyperband", trials=30), [], 0, None
    while done < 30:
        while len(rows) - done < 4 and (proposal := oracle.create_trial()):
            if proposal.parent and kept is not None:
                assert proposal.parent in kept
            rows.append((proposal, *loss(proposal)))
        outstanding = {p.parent for p, *_ in rows[done:] if p.parent}
        assert outstanding <= oracle.promotable()
        proposal, value, diverged = rows[done]
        done += 1
        oracle.end_trial(proposal.number, value, diverged=diverged)
        kept = oracle.promotable()
        assert proposal.number not in kept or not diverged
    assert oracle.promotable() == set()


# --- grid ---------------------------------------------------------------------------------


def test_a_grid_has_one_order_whatever_is_told_and_when():
    tables = [
        points(drive(oracle_of("grid", trials=50, seed=seed), parallel=parallel))
        for seed, parallel in [(0, 1), (1, 4), (2, 30)]
    ]
    assert tables[0] == tables[1] == tables[2]
    assert tables[0][0] == {BATCH: 0, DEPTH: 0}


def test_a_grid_takes_every_integer_and_every_step():
    space = {
        BATCH: {"low": 3, "high": 12, "log": True},
        "training.epochs": {"low": 2, "high": 16, "log": True, "step": 2},
    }
    rows = drive(oracle_of("grid", space, trials=99))
    pairs = [(point[BATCH], point["training.epochs"]) for point in points(rows)]
    assert sorted(pairs) == [(b, e) for b in range(3, 13) for e in (2, 4, 8, 16)]


def test_steps_of_fractions_reach_the_highest():
    tenths = levels_of(Hyperparameter("a", "float", 0.0, 1.0, 0.1))
    assert tenths == [0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]
    assert levels_of(Hyperparameter("a", "float", 1e-3, 1.0, 10.0, log=True)) == [
        1e-3,
        1e-2,
        0.1,
        1.0,
    ]
    assert levels_of(Hyperparameter("a", "float", 1e-3, 1.0, log=True)) is None
