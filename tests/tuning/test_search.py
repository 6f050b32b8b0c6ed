import itertools
import json
import math
import shutil
import time

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_iris
from sklearn.metrics import roc_auc_score
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import kfc
from kfc.data import prepare
from kfc.errors import DataError, DiskError
from kfc.runs import fitting, run_writer
from kfc.runs.trainer import weights_sha256
from kfc.spec import load_spec
from kfc.system import locks
from kfc.training.finite_checks import check_finite
from kfc.tuning.journal import Journal, read_events
from kfc.tuning.ranking import ranked
from kfc.tuning.search import tune
from kfc.tuning.trial import worst_score

SLOW_ALGORITHMS = [
    pytest.param(name, marks=pytest.mark.slow) for name in ("bayesian", "hyperband", "grid")
]


def space(**dimensions):
    """An override that replaces the space: dots in paths are written as `__`."""
    return {"search.space": {path.replace("__", "."): d for path, d in dimensions.items()}}


def rates(*values, **others):
    return space(training__optimizer__learning_rate={"choice": list(values)}, **others)


def settings(algorithm):
    """Overrides with which an algorithm has something to do."""
    overrides = {"search.algorithm": algorithm}
    if algorithm == "hyperband":
        overrides |= {"training.epochs": 4, "search.factor": 2, "search.trials": 7}
    if algorithm == "grid":
        overrides |= rates(0.01, 0.1, 1.0, network__hidden={"choice": [[4], [8]]})
        overrides |= {"search.trials": 20}
    return overrides


REPEATED = {"search.repeats": 2, "search.most_repeats": 2}
# Of the finished search: a header, 5 proposals and trials, 3 * 2 repeats.
BEFORE_THE_WINNER = 1 + 2 * 5 + 3 * 2


def numbers(trials):
    return [trial.number for trial in trials]


def kept_weights(folder):
    return sorted(int(path.parent.name) for path in folder.glob("trials/*/checkpoints"))


# The winner


def test_the_winner_is_repeated_by_its_spec_to_the_same_bits(repeated, tmp_path):
    again = kfc.fit(repeated.folder / "best.yaml", runs=tmp_path, verbose=False)
    assert again.weights_sha256 == repeated.best.weights_sha256
    assert again.weights_sha256 == repeated.run.weights_sha256
    assert again.metrics == repeated.metrics
    assert again.spec == repeated.run.spec


def test_the_winner_is_an_ordinary_run(repeated):
    run = kfc.load(repeated.run_folder)
    assert run.evaluate() == repeated.metrics
    assert {"val_loss", "val_accuracy", "test_loss", "test_accuracy"} <= set(run.metrics)
    assert run.metrics["val_loss"] == repeated.best.score


def test_any_trial_is_repeated_by_the_spec_in_its_folder(repeated, tmp_path):
    for trial in repeated.trials[:2]:
        spec = repeated.folder / trial.folder / "spec.yaml"
        again = kfc.fit(spec, runs=tmp_path, verbose=False)
        assert again.weights_sha256 == trial.weights_sha256
        assert again.metrics["val_loss"] == trial.score


def test_no_trial_meets_the_test_rows(search, table, tmp_path, journal):
    x, y = load_iris(return_X_y=True)
    order = np.random.default_rng(0).permutation(150)
    rows, test = (x[order[:120]], y[order[:120]]), (x[order[120:]], y[order[120:]])
    other = (test[0] + 1.0, (test[1] + 1) % 3)
    overrides = {"data.source": None, "search.trials": 1, **REPEATED}
    found = [
        search(overrides, data=(rows, held_out), folder=tmp_path / name)
        for name, held_out in (("one", test), ("other", other))
    ]
    tables = [table(each) for each in found]
    measured = [each.pop("metrics") for each in tables]
    assert tables[0] == tables[1]
    assert measured[0]["test_loss"] != measured[1]["test_loss"]
    for event in journal(tmp_path / "one"):
        assert event["kind"] == "winner" or "test_" not in json.dumps(event)


def test_no_seed_makes_training_rows_of_test_rows(search, table, tmp_path, iris):
    in_memory = {"data.source": None, "search.trials": 1, **REPEATED}
    y = np.arange(150) % 3
    x = np.random.default_rng(0).random((150, 4), dtype=np.float32)  # no row twice
    first = search(in_memory, data=(x, y), folder=tmp_path / "one")
    test = prepare(load_spec(iris, in_memory), (x, y)).test
    is_test = np.isin(x[:, 0], test.x[:, 0])
    other = np.where(is_test[:, None], 2 * x, x)
    second = search(in_memory, data=(other, y), folder=tmp_path / "other")
    assert {**table(second), "metrics": None} == {**table(first), "metrics": None}
    assert second.metrics["test_loss"] != first.metrics["test_loss"]


def test_a_finished_search_trains_nothing_more(repeated, search, table):
    def written():
        return {
            path: path.stat().st_mtime_ns
            for path in repeated.folder.rglob("*")
            if path.is_file() and path.suffix in (".json", ".npz", ".keras", ".jsonl")
        }

    before = written()
    again = search(REPEATED, folder=repeated.folder)
    assert again.summary() == repeated.summary()
    assert written() == before


# The same seed


@pytest.mark.parametrize("algorithm", [None, *SLOW_ALGORITHMS])
def test_the_same_seed_gives_the_same_table(algorithm, finished, search, table, tmp_path):
    overrides = settings(algorithm) if algorithm else {}
    first = search(overrides, folder=tmp_path / "a") if algorithm else finished
    assert table(search(overrides, folder=tmp_path / "b")) == table(first)
    other = search({**overrides, "seed": 1, "search.trials": 1}, folder=tmp_path / "c")
    for trial, same_number in zip(other.trials, first.trials, strict=False):
        assert trial.weights_sha256 != same_number.weights_sha256
    assert other.trials[1].values != first.trials[1].values
    assert len({trial.score for trial in other.trials}) > 1


def test_the_largest_seed_is_a_seed(one_trial):
    assert one_trial.spec.seed == 2**32 - 1
    assert [repeat.seed for repeat in one_trial.finalists[0].repeats] == [0, 1]


def test_how_many_may_run_at_once_is_part_of_the_question(simulated, search, tmp_path):
    bayesian = {"search.algorithm": "bayesian", "search.trials": 6}
    values = []
    for parallel in (1, 20):
        overrides = {**bayesian, "search.parallel": parallel}
        found = search(overrides, folder=tmp_path / str(parallel))
        assert numbers(found.trials) == list(range(7))
        values.append([trial.values for trial in found.trials[1:]])
    assert values[0][:4] == values[1][:4]  # drawn at random
    assert values[0][5] != values[1][5]  # knowing five results, and none


# Divergence


def test_a_loss_that_explodes_is_an_outcome_with_a_cause(search):
    found = search(rates(0.1, 1e30) | {"search.trials": 2, "search.algorithm": "grid"})
    own, good, bad = found.trials
    assert (good.status, bad.status) == ("completed", "diverged")
    assert "loss" in bad.cause
    assert bad.score == worst_score("val_loss")
    assert numbers(ranked(found.trials, "val_loss")) == [0, 1, 2]
    # Trial 1 has the spec's own values, so it is trial 0 once more.
    assert good.weights_sha256 == own.weights_sha256
    assert numbers(finalist.trial for finalist in found.finalists) == [0]
    assert found.best == own


@pytest.mark.parametrize("algorithm", ["bayesian", "hyperband", "random"])
def test_what_diverged_never_wins(algorithm, simulated, search):
    explode = {"training.optimizer.learning_rate": {"low": 1.0, "high": 1e30, "log": True}}
    found = search(
        {**settings(algorithm), "search.space": explode, "search.trials": 8, "seed": 3}
    )
    diverged = [trial for trial in found.trials if trial.status == "diverged"]
    assert diverged
    assert all(math.isfinite(trial.score) for trial in found.trials)
    assert all(trial.cause for trial in diverged)
    assert found.best.status == "completed"
    assert set(numbers(ranked(found.trials, "val_loss")[-len(diverged) :])) == set(
        numbers(diverged)
    )


def test_a_trial_whose_data_kfc_refuses_is_an_outcome_too(search):
    x, y = load_iris(return_X_y=True)
    found = search(
        {
            "data.source": None,
            "search.algorithm": "grid",
            **space(data__scale={"choice": ["none", "unit"]}),
        },
        data=(1000 * x, y),
    )
    assert [trial.status for trial in found.trials] == [
        *("completed", "diverged", "completed")
    ]
    assert "unscaled_input" in found.trials[1].cause


def test_where_every_trial_diverges_the_causes_are_told(simulated, search, tmp_path):
    overrides = rates(1e30, 1e31) | {"search.algorithm": "grid", "search.trials": 2}
    overrides["training.optimizer.learning_rate"] = 1e32  # trial 0's
    with pytest.raises(kfc.NumbersError, match=r"3 trials that did: .*loss"):
        search(overrides)
    written = (tmp_path / "search" / "journal.jsonl").read_bytes()
    assert [event["kind"] for event in read_events(tmp_path / "search" / "journal.jsonl")] == [
        *("search", "proposal", "proposal", "trial", "proposal", "trial", "trial")
    ]
    with pytest.raises(kfc.NumbersError, match="3 trials that did"):
        search(overrides)
    assert (tmp_path / "search" / "journal.jsonl").read_bytes() == written
    rows = (tmp_path / "search" / "trials.csv").read_text().splitlines()
    assert len(rows) == 4


# A winner whose final run cannot be measured


@pytest.fixture
def unmeasured(monkeypatch):
    """Makes the test loss of trials infinite, and lists the final runs that were trained."""

    def make(*trials):
        measure, fit, trained = run_writer.measure_finished, fitting.fit_run, []

        def infinite(evaluator, *arguments):
            if weights_sha256(evaluator.model) in hashes:
                check_finite({"test_loss": math.inf}, "the final weights")
            return measure(evaluator, *arguments)

        def counted(*arguments, **options):
            trained.append(arguments)
            return fit(*arguments, **options)

        hashes = {trial.weights_sha256 for trial in trials}
        monkeypatch.setattr(run_writer, "measure_finished", infinite)
        monkeypatch.setattr(fitting, "fit_run", counted)
        return trained

    return make


def test_the_next_finalist_replaces_a_winner_whose_test_loss_is_infinite(
    repeated, unmeasured, search, journal, tmp_path
):
    first, second, third = repeated.finalists
    interrupted(repeated.folder, tmp_path / "search", BEFORE_THE_WINNER, leftovers=False)
    trained = unmeasured(first.trial)
    found = search(REPEATED)
    assert found.trials == search(REPEATED).trials
    assert found.best.number == second.trial.number
    assert numbers(one.trial for one in found.finalists) == [
        *(second.trial.number, first.trial.number, third.trial.number)
    ]
    assert found.metrics == found.run.metrics
    assert found.sentences[0].startswith(f"Winner: trial {second.trial.number}")
    assert "in place of" in found.sentences[0]
    assert found.sentences[1] == repeated.sentences[1]
    assert found.sentences[-1] == (
        f"The final run of trial {first.trial.number} (the final weights, test_loss: inf) "
        "could not be measured: the next finalist takes its place."
    )
    assert journal(tmp_path / "search")[-3] == {
        "kind": "unmeasured",
        "number": first.trial.number,
        "cause": "the final weights, test_loss: inf",
    }
    assert len(trained) == 2  # and none when it was called again
    again = kfc.fit(found.folder / "best.yaml", runs=tmp_path, verbose=False)
    assert again.weights_sha256 == found.best.weights_sha256


def test_a_search_that_was_killed_while_a_winner_was_replaced_goes_on(
    repeated, unmeasured, search, tmp_path
):
    interrupted(repeated.folder, tmp_path / "search", BEFORE_THE_WINNER, leftovers=False)
    trained = unmeasured(repeated.best)
    whole = search(REPEATED)
    path = tmp_path / "search" / "journal.jsonl"
    path.write_bytes(b"".join(path.read_bytes().splitlines(keepends=True)[:-2]))
    assert search(REPEATED).summary() == whole.summary()
    assert len(trained) == 2


def test_where_no_finalist_can_be_measured_the_trials_are_kept(
    repeated, unmeasured, search, tmp_path
):
    interrupted(repeated.folder, tmp_path / "search", BEFORE_THE_WINNER, leftovers=False)
    trained = unmeasured(*(finalist.trial for finalist in repeated.finalists))
    numbers_of = [finalist.trial.number for finalist in repeated.finalists]
    for _ in range(2):
        with pytest.raises(kfc.NumbersError) as refused:
            search(REPEATED)
        for number in numbers_of:
            assert f"trial {number} (the final weights, test_loss: inf)" in str(refused.value)
    assert len(trained) == 3
    assert not (tmp_path / "search" / "best.yaml").exists()
    assert len((tmp_path / "search" / "trials.csv").read_text().splitlines()) == 1 + 5 + 6
    more = search({**REPEATED, "search.finalists": 3})
    assert more.best.number not in numbers_of
    assert more.trials == search({**REPEATED, "search.finalists": 3}).trials


def test_test_rows_that_overflow_are_told(search):
    x, y = load_iris(return_X_y=True)
    test = 3e38 * np.random.default_rng(0).random((30, 4)), np.arange(30) % 3
    overrides = {"data.source": None, "training.loss": "mse", "search.trials": 1}
    with pytest.raises(kfc.NumbersError, match=r"final run: expected .* test_loss: "):
        search(overrides, data=((x, y), test))


# Survival


def interrupted(finished, folder, count, *, torn=0, leftovers=True):
    """Makes `folder` what a process left that was killed after `count` events.

    Args:
        finished: The folder of a finished search.
        folder: To be made.
        count: Events that are whole in the journal.
        torn: Bytes of the next one.
        leftovers: Whether a trial that was not recorded yet had already been trained.
    """
    shutil.copytree(finished, folder)
    path = folder / "journal.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:count]) + b"".join(lines[count:])[:torn])
    events = read_events(path)
    done = {event["number"] for event in events if event["kind"] == "trial"}
    begun = {event["number"] for event in events if event["kind"] == "proposal"}
    for trial in (folder / "trials").iterdir():
        number = int(trial.name)
        if number not in begun or (number not in done and not leftovers):
            shutil.rmtree(trial)
        elif number in done:
            (trial / "checkpoints").mkdir(exist_ok=True)  # may not have been removed yet
    if not any(event["kind"] == "winner" for event in events):
        for name in ("best.yaml", "trials.csv"):
            (folder / name).unlink()
        shutil.rmtree(folder / "tensorboard")
        if not leftovers:
            shutil.rmtree(folder / "winner")


@pytest.mark.parametrize(
    "count",
    [pytest.param(n, marks=[] if n in (3, 10, 16) else pytest.mark.slow) for n in range(20)],
)
def test_a_search_goes_on_from_any_event(count, repeated, search, table, journal, tmp_path):
    check_it_goes_on(count, count % 2 == 0, repeated, search, table, journal, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("count", range(20))
def test_a_search_goes_on_with_and_without_unrecorded_trials(
    count, repeated, search, table, journal, tmp_path
):
    check_it_goes_on(count, count % 2 == 1, repeated, search, table, journal, tmp_path)


def check_it_goes_on(count, leftovers, repeated, search, table, journal, tmp_path):
    whole = journal(repeated.folder)
    # A header, 5 proposals and trials, 3 * 2 repeats, the winner, the verdict.
    assert len(whole) == 19
    interrupted(repeated.folder, tmp_path / "search", count, leftovers=leftovers)
    again = search(REPEATED)
    assert table(again) == table(repeated)
    events = journal(tmp_path / "search")
    assert sorted(map(identity, events)) == sorted(map(identity, whole))
    assert kept_weights(again.folder) == kept_weights(repeated.folder)
    assert not (again.folder / "repeats").exists()


def identity(event):
    """What may stand once in a journal."""
    return event["kind"], event.get("number", 0), event.get("seed", -1)


@pytest.mark.parametrize(("count", "torn"), [(0, 30), (3, 1), (5, -1), (6, 40)])
def test_a_line_that_was_torn_is_written_again(
    count, torn, tiny, search, table, journal, tmp_path
):
    # A header, 2 proposals and trials, the winner, the verdict.
    lines = (tiny.folder / "journal.jsonl").read_bytes().splitlines(keepends=True)
    assert len(lines) == 7
    torn = torn if torn > 0 else len(lines[count]) + torn
    interrupted(tiny.folder, tmp_path / "search", count, torn=torn)
    assert table(search(TINY)) == table(tiny)
    assert len(journal(tmp_path / "search")) == len(lines)


@pytest.fixture(scope="module")
def hyperband(tmp_path_factory, iris):
    """A finished search whose best trials were trained for more epochs."""
    folder = tmp_path_factory.mktemp("hyperband") / "search"
    return tune(iris, overrides=settings("hyperband"), folder=folder, verbose=False)


def test_a_search_goes_on_from_any_event_of_hyperband(
    hyperband, search, table, journal, tmp_path
):
    assert any(trial.parent for trial in hyperband.trials)
    for count in range(5, len(journal(hyperband.folder)), 6):
        folder = tmp_path / str(count)
        interrupted(hyperband.folder, folder, count, leftovers=False)
        again = search(settings("hyperband"), folder=folder)
        assert table(again) == table(hyperband)


# Refusing to mix

CHANGED = {
    "space": (
        rates(0.1, 0.2),
        "spec.search.space.training.optimizer.learning_rate.choice",
        "[0.1, 1.0]",
        "[0.1, 0.2]",
    ),
    "objective": (
        {"search.objective": "val_accuracy"},
        "objective",
        "val_loss",
        "val_accuracy",
    ),
    "algorithm": ({"search.algorithm": "grid"}, "spec.search.algorithm", "random", "grid"),
    "seed": ({"seed": 1}, "spec.seed", "0", "1"),
    "epochs": ({"training.epochs": 3}, "spec.training.epochs", "1", "3"),
    "data": ({"data.source": "sklearn:wine"}, "spec.data.source", "iris", "wine"),
    "parallel": ({"search.parallel": 3}, "spec.search.parallel", "2", "3"),
}
TINY = {"training.epochs": 1, "search.trials": 1, **rates(0.1, 1.0)}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory, iris):
    folder = tmp_path_factory.mktemp("tiny") / "search"
    return tune(iris, overrides=TINY, folder=folder, verbose=False)


@pytest.mark.parametrize(("change", "path", "old", "new"), CHANGED.values(), ids=CHANGED)
def test_another_search_is_refused_with_the_difference(change, path, old, new, tiny, search):
    before = (tiny.folder / "journal.jsonl").read_bytes()
    with pytest.raises(kfc.CheckpointError) as refused:
        search({**TINY, **change}, folder=tiny.folder)
    findings = {
        finding.where.rpartition(", ")[2]: finding for finding in refused.value.findings
    }
    assert str(tiny.folder) in findings[path].where
    assert old in findings[path].expected
    assert new in findings[path].got
    assert (tiny.folder / "journal.jsonl").read_bytes() == before


def test_other_versions_are_refused(tiny, search, journal, tmp_path):
    header, *events = journal(tiny.folder)
    ours = header["versions"]["tensorflow"]
    header["versions"]["tensorflow"] = "2.0.0"
    (tmp_path / "search").mkdir()
    other = Journal(tmp_path / "search" / "journal.jsonl")
    for event in (header, *events):
        other.append(event)
    with pytest.raises(kfc.CheckpointError, match=r"versions\.tensorflow") as refused:
        search(TINY)
    assert "2.0.0" in refused.value.findings[0].expected
    assert ours in refused.value.findings[0].got


def test_every_difference_is_named_at_once(tiny, search):
    with pytest.raises(kfc.CheckpointError) as refused:
        search({**TINY, "seed": 1, "training.epochs": 3}, folder=tiny.folder)
    assert len(refused.value.findings) == 2


@pytest.mark.parametrize("algorithm", ["bayesian", "random", "grid"])
def test_more_trials_go_on_from_those_that_ran(
    algorithm, simulated, search, table, tmp_path, journal
):
    overrides = settings(algorithm)
    more = {"search.trials": 6, "search.finalists": 3}
    first = search({**overrides, "search.trials": 3})
    longer = search({**overrides, **more})
    assert longer.trials[:4] == first.trials
    assert table(longer) == table(search({**overrides, **more}, folder=tmp_path / "at once"))
    events = [identity(event) for event in journal(tmp_path / "search")]
    trained = [event for event in events if event[0] != "verdict"]
    assert len(trained) == len(set(trained))


def test_the_brackets_of_hyperband_are_those_of_its_number_of_trials(simulated, search):
    search({**settings("hyperband"), "search.trials": 3})
    with pytest.raises(kfc.CheckpointError, match=r"search\.trials: expected 3"):
        search({**settings("hyperband"), "search.trials": 6})


def test_fewer_trials_lose_none(finished, search, tmp_path):
    first = finished
    shutil.copytree(first.folder, tmp_path / "search")
    fewer = search({"search.trials": 2})
    assert fewer.trials == first.trials
    assert fewer.best == first.best


def test_a_folder_that_another_search_works_in_is_busy(tiny, search):
    with locks.locked(tiny.folder):
        began = time.monotonic()
        with pytest.raises(kfc.BusyError, match="no other process works in"):
            search(TINY, folder=tiny.folder)
        assert time.monotonic() - began < 1


# Budgets


def test_a_target_ends_the_search(simulated, search, journal, tmp_path):
    scores = [trial.score for trial in search(folder=tmp_path / "whole").trials]
    target = min(scores[1:])
    reached = next(number for number, score in enumerate(scores) if score <= target)
    found = search({"search.target": target, "search.trials": 40})
    begun = sum(event["kind"] == "proposal" for event in journal(found.folder))
    assert numbers(found.trials) == list(range(begun))  # what had begun is finished
    assert reached < begun < reached + 3
    assert search({"search.target": target, "search.trials": 40}).trials == found.trials


def test_a_search_that_has_reached_its_target_goes_on_to_a_higher_one(simulated, search):
    assert len(search({"search.target": 100.0}).trials) < 4
    assert len(search({"search.target": 0.0}).trials) == 5


def test_what_diverged_reaches_no_target(simulated, search):
    found = search(
        {
            **rates(1e30, 0.1, 0.2),
            "search.algorithm": "grid",
            "search.target": 1e31,
            "training.optimizer.learning_rate": 1e32,
            "search.parallel": 1,
            "search.trials": 3,
        }
    )
    assert [trial.status for trial in found.trials] == ["diverged", "diverged", "completed"]


def test_seconds_end_the_search_which_says_so(simulated, search):
    limits = {"search.trials": 10_000, "search.seconds": 0.25}
    found = search(limits)
    assert 2 <= len(found.trials) < 10_000
    assert found.sentences[-1].startswith(
        f"The search ended after 0.25 s, with {len(found.trials) - 1} trials beside trial 0"
    )
    assert search(limits).summary() == found.summary()


def test_no_time_at_all_is_enough_for_a_trial(simulated, search):
    assert numbers(search({"search.seconds": 1e-9}).trials) == [0, 1]


# Algorithms


def test_hyperband_goes_on_with_the_best(hyperband, tmp_path):
    found = hyperband
    at = {trial.number: trial for trial in found.trials}
    children = [trial for trial in found.trials if trial.parent]
    assert children
    for child in children:
        parent = at[child.parent]
        assert (parent.status, parent.values) == ("pruned", child.values)
        assert parent.epochs < child.epochs
    assert {trial.epochs for trial in found.trials} == {1, 2, 4}
    assert all((trial.status == "pruned") == (trial.epochs < 4) for trial in found.trials)
    assert (found.best.status, found.best.epochs) == ("completed", 4)
    grown = [trial for trial in children if trial.epochs == 4]
    for trial in grown:
        spec = found.folder / trial.folder / "spec.yaml"
        again = kfc.fit(spec, runs=tmp_path / "again", verbose=False)
        assert again.weights_sha256 == trial.weights_sha256


@pytest.mark.slow
@pytest.mark.parametrize("patience", [0, 2])
def test_hyperband_and_early_stopping_do_not_disturb_each_other(patience, search, tmp_path):
    stopping = {"monitor": "val_loss", "patience": patience}
    overrides = {"training.epochs": 9, "training.early_stopping": stopping}
    found = search({**settings("hyperband"), "search.trials": 14, **overrides})
    again = kfc.fit(found.folder / "best.yaml", runs=tmp_path, verbose=False)
    assert again.weights_sha256 == found.best.weights_sha256
    assert again.epochs == found.best.epochs


def test_what_was_pruned_does_not_win_however_good_it_is(search):
    # With such rates a further epoch may make it worse, as here.
    too_large = {"training.optimizer.learning_rate": {"low": 1.0, "high": 30.0, "log": True}}
    found = search({**settings("hyperband"), "search.space": too_large, "seed": 1})
    pruned = [trial for trial in found.trials if trial.status == "pruned"]
    assert min(trial.score for trial in pruned) < found.best.score
    assert all(finalist.trial.status == "completed" for finalist in found.finalists)
    assert found.run.epochs == 4


def test_a_search_of_pruned_trials_alone_has_a_winner(search):
    own = {"training.optimizer.learning_rate": 1e30}  # so that trial 0 diverges
    limits = {"search.seconds": 1e-9, **REPEATED}
    found = search({**settings("hyperband"), **limits, **own})
    assert found.best.status == "pruned"
    assert found.run.epochs == 4
    assert all(repeat.epochs == 4 for repeat in found.finalists[0].repeats)


def test_a_grid_takes_every_point_once(simulated, search):
    found = search(settings("grid"))
    rate, hidden = "training.optimizer.learning_rate", "network.hidden"
    points = [(trial.values[rate], tuple(trial.values[hidden])) for trial in found.trials[1:]]
    assert sorted(points) == sorted(itertools.product((0.01, 0.1, 1.0), [(4,), (8,)]))


# What is left on the disk


@pytest.mark.parametrize("algorithm", [None, SLOW_ALGORITHMS[0], SLOW_ALGORITHMS[2]])
def test_only_finalists_keep_their_weights(algorithm, search, finished):
    found = search(settings(algorithm)) if algorithm else finished
    assert kept_weights(found.folder) == sorted(
        numbers(finalist.trial for finalist in found.finalists)
    )


def test_every_trial_keeps_its_spec_and_its_result(repeated):
    for trial in repeated.trials:
        result = json.loads((repeated.folder / trial.folder / "result.json").read_text())
        assert result["weights_sha256"] == trial.weights_sha256
        assert result["metrics"] == trial.metrics


def test_the_csv_has_every_training(repeated):
    rows = pd.read_csv(repeated.folder / "trials.csv")
    repeats = [repeat for finalist in repeated.finalists for repeat in finalist.repeats]
    expected = [*repeated.trials, *repeats]
    assert sorted(zip(rows["number"], rows["seed"], rows["score"], strict=True)) == sorted(
        (trial.number, trial.seed, trial.score) for trial in expected
    )


def test_tensorboard_reads_every_training(repeated):
    sessions = [path for path in (repeated.folder / "tensorboard").iterdir() if path.is_dir()]
    assert len(sessions) == 5 + 3 * 2
    for trial in repeated.trials:
        events = EventAccumulator(
            str(repeated.folder / "tensorboard" / f"{trial.number:04d}-seed-0")
        ).Reload()
        assert events.Scalars("val_loss")[0].value == pytest.approx(trial.score)


# Finalists


def test_finalists_are_repeated_on_the_same_fresh_seeds(repeated):
    best = [0, *numbers(ranked(repeated.trials[1:], "val_loss")[:2])]
    assert sorted(numbers(one.trial for one in repeated.finalists)) == sorted(best)
    for finalist in repeated.finalists:
        assert [repeat.seed for repeat in finalist.repeats] == [1, 2]
        assert finalist.low <= finalist.mean <= finalist.high
        assert len({each.weights_sha256 for each in (finalist.trial, *finalist.repeats)}) == 3


def test_sentences_say_why_the_winner_won(repeated):
    headline, *others = repeated.sentences
    one, *rest = (finalist.trial.number for finalist in repeated.finalists)
    assert headline.startswith(f"Winner: trial {one}")
    assert "over 2 seeds" in headline
    assert len(others) == 2
    for number, sentence in zip(sorted(rest), sorted(others), strict=True):
        assert str(number) in " ".join(others), sentence


def test_undecided_finalists_get_further_seeds_that_survive_a_kill(
    simulated, search, table, journal, tmp_path
):
    overrides = {"search.repeats": 2, "search.most_repeats": 4, "training.epochs": 1}
    overrides |= {"search.margin": 0.0, "search.trials": 4}
    whole = search(overrides, folder=tmp_path / "whole")
    seeds = [len(finalist.repeats) for finalist in whole.finalists]
    assert max(seeds) > 2
    events = journal(whole.folder)
    further = [n for n, e in enumerate(events) if e["kind"] == "repeat" and e["seed"] > 2]
    interrupted(whole.folder, tmp_path / "search", further[0] + 1)
    assert table(search(overrides)) == table(whole)
    assert sorted(map(identity, journal(tmp_path / "search"))) == sorted(map(identity, events))
    fewer = search({**overrides, "search.most_repeats": 2})
    assert [len(finalist.repeats) for finalist in fewer.finalists] == [2] * len(seeds)


def test_the_specs_own_values_are_trial_0_to_the_bits_of_a_fit(search, tmp_path, iris):
    outside = {"training.optimizer.learning_rate": {"low": 1e-7, "high": 1e-6, "log": True}}
    found = search({"search.space": outside, **REPEATED, "search.trials": 1})
    own = found.trials[0]
    plain = kfc.fit({**iris, "search": None}, runs=tmp_path, verbose=False)
    assert (own.number, own.weights_sha256) == (0, plain.weights_sha256)
    assert own.values == {"training.optimizer.learning_rate": 0.1}
    assert found.best == own
    assert found.sentences[0].startswith("Winner: trial 0, the spec's own values")


def test_trial_0_changes_no_other_trial(simulated, search, tmp_path):
    algorithm = {"search.algorithm": "bayesian", "search.trials": 8}
    values = []
    for rate in (0.1, 1e30):
        overrides = {**algorithm, "training.optimizer.learning_rate": rate}
        found = search(overrides, folder=tmp_path / str(rate))
        values.append([(t.values, t.weights_sha256) for t in found.trials[1:]])
    assert values[0] == values[1]
    assert found.trials[0].status == "diverged"
    assert any("Trial 0, the spec's own values, diverged" in text for text in found.sentences)


def test_where_every_trial_but_0_diverges_the_spec_wins_and_is_told(search):
    found = search({**rates(1e30, 1e31), "search.algorithm": "grid", "search.trials": 2})
    assert found.best.number == 0
    assert found.sentences[-1].startswith("Every trial except trial 0 diverged: ")


def test_another_initialiser_of_the_spec_is_another_search(search, tmp_path):
    spec = {"name": "plain", "data": {"source": "sklearn:iris"}, "training": {"epochs": 1}}
    short = {"search.trials": 1, "search.repeats": 0}
    found = search({**short, "network.init": "glorot_normal"}, spec=spec)
    plain = kfc.fit(spec, overrides={"network.init": "glorot_normal"}, runs=tmp_path)
    assert found.trials[0].weights_sha256 == plain.weights_sha256
    with pytest.raises(kfc.CheckpointError, match=r"trial 0 of .*glorot_normal.*he_uniform"):
        search({**short, "network.init": "he_uniform"}, spec=spec)


# Few trials, few repeats


def test_without_repeats_the_search_alone_decides(finished):
    found = finished
    assert found.best == ranked(found.trials, "val_loss")[0]
    assert "in the search alone" in found.sentences[0]
    assert {one.trial.number for one in found.finalists} >= {0}
    assert found.finalists[0].low is None


@pytest.fixture(scope="module")
def one_trial(tmp_path_factory, iris):
    """A finished search of one trial, with the largest seed."""
    folder = tmp_path_factory.mktemp("one_trial") / "search"
    overrides = {"search.trials": 1, "search.finalists": 5, "seed": 2**32 - 1, **REPEATED}
    return tune(iris, overrides=overrides, folder=folder, verbose=False)


def test_one_trial_is_a_search(one_trial):
    assert numbers(one_trial.trials) == [0, 1]
    assert numbers(one.trial for one in one_trial.finalists if one.repeats) != []


# Data in memory


def test_rows_in_memory_are_searched_and_not_mixed_with_others(search, table, tmp_path):
    x, y = load_iris(return_X_y=True)
    in_memory = {"data.source": None, "search.trials": 1}
    first = search(in_memory, data=(x, y))
    assert table(search(in_memory, data=(x.copy(), y.copy()))) == table(first)
    with pytest.raises(kfc.CheckpointError, match="data_sha256"):
        search(in_memory, data=(x + 1, y))
    frame = pd.DataFrame(x, columns=["a", "b", "c", "d"]).assign(target=y)
    framed = search(in_memory, data=frame, folder=tmp_path / "frame")
    assert [trial.score for trial in framed.trials] == [trial.score for trial in first.trials]


def test_the_winner_on_rows_in_memory_is_repeated_with_them(search, tmp_path):
    x, y = load_iris(return_X_y=True)
    found = search({"data.source": None, "search.trials": 1}, data=(x, y))
    again = kfc.fit(found.folder / "best.yaml", data=(x, y), runs=tmp_path, verbose=False)
    assert again.weights_sha256 == found.best.weights_sha256


# Other spaces


OTHERS = {
    "data__scale": {"choice": ["unit", "standard"]},
    "training__batch_size": {"choice": [16, 32]},
    "training__epochs": {"choice": [1, 3]},
    "training__optimizer": {"choice": ["adam", {"name": "sgd", "momentum": 0.9}]},
    "network__dropout": {"low": 0.0, "high": 0.5},
    "network__hidden": {"choice": [[], [8, 4]]},
    "training__class_weight": {"choice": [None, "balanced"]},
}


@pytest.mark.parametrize(
    ("dimensions", "trials"),
    [
        pytest.param(OTHERS, 1, id="all"),
        *(
            pytest.param({path: values}, 2, id=path, marks=pytest.mark.slow)
            for path, values in OTHERS.items()
        ),
    ],
)
def test_the_winner_of_any_space_is_repeated(dimensions, trials, search, tmp_path):
    found = search({**space(**dimensions), "search.trials": trials})
    assert {trial.status for trial in found.trials} == {"completed"}, found.trials
    again = kfc.fit(found.folder / "best.yaml", runs=tmp_path, verbose=False)
    assert again.weights_sha256 == found.best.weights_sha256


@pytest.mark.slow  # the same search with another objective
def test_numbers_are_searched_too(search, tmp_path):
    found = search(
        {
            "data.source": "sklearn:diabetes",
            "data.scale": "standard",
            "training.loss": "mse",
            "search.objective": "val_r2",
            "search.trials": 2,
            "search.repeats": 2,
        }
    )
    assert found.best.score <= 1
    again = kfc.fit(found.folder / "best.yaml", runs=tmp_path, verbose=False)
    assert again.metrics == found.metrics


def test_without_a_space_there_is_a_built_in_one(simulated, search):
    spec = {"name": "plain", "data": {"source": "sklearn:iris"}, "training": {"epochs": 1}}
    found = search({"search.trials": 1, "search.repeats": 0}, spec=spec)
    assert {"network.hidden", "network.init.stddev"} < set(found.trials[1].values)


@pytest.mark.parametrize("workers", [0, -1, True, 1.5, "2"])
def test_workers_are_counted(workers, search):
    with pytest.raises(kfc.SpecError, match="workers"):
        search(workers=workers)


def test_a_file_in_place_of_the_winners_folder_is_refused(repeated, search, tmp_path):
    folder = tmp_path / "search"
    shutil.copytree(repeated.folder, folder)
    shutil.rmtree(folder / "winner")
    (folder / "winner").write_bytes(b"")
    with pytest.raises(DiskError, match="winner"):
        search(REPEATED, folder=folder)


def test_trials_are_ranked_by_the_area_that_their_predictions_have(iris, tmp_path):
    search = kfc.tune(
        iris, overrides={"search.objective": "val_auc"}, folder=tmp_path / "s", verbose=False
    )
    best = max(trial.score for trial in search.trials)
    assert search.best.score == best
    run = kfc.load(search.run_folder)
    rows = run.rows("val")
    numbers = [run.task.class_names.index(str(label)) for label in rows.y]
    expected = roc_auc_score(numbers, rows.predictions.probabilities, multi_class="ovr")
    assert search.best.score == pytest.approx(expected, rel=1e-6)
    assert run.metrics["val_auc"] == search.best.score


def test_an_objective_without_a_value_is_refused_before_any_trial(iris, tmp_path):
    x = np.random.default_rng(0).normal(size=(60, 4)).astype(np.float32)
    y = np.arange(60) % 3
    parts = {"train": (x, y), "validation": (x[:6], y[:6] % 2), "test": (x, y)}
    changes = {"search.objective": "val_auc", "data": {"validation": "own"}}
    with pytest.raises(
        DataError, match=r"search\.objective, val_auc: expected validation rows"
    ):
        kfc.tune(iris, overrides=changes, data=parts, folder=tmp_path / "s", verbose=False)
    assert not (tmp_path / "s").exists()
