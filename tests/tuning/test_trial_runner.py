import dataclasses
import functools
import json
import pickle

import numpy as np
import pytest
from sklearn.datasets import load_iris

import kfc
from kfc.data import Source, prepare
from kfc.data.rows import Rows
from kfc.runs import trainer_pool
from kfc.runs.plan import prepare_data
from kfc.spec import load_spec
from kfc.training.checkpoints import store
from kfc.tuning.space import Space
from kfc.tuning.trial import Proposal, worst_score
from kfc.tuning.trial_runner import Job, Preparer, TrialRunner

RATE = "training.optimizer.learning_rate"
DIVERGING = {RATE: {"low": 1e-3, "high": 1e30, "log": True}}


@pytest.fixture
def runner(tmp_path, iris):
    """Makes the runner of a search over the learning rate, in `tmp_path`."""

    def make(overrides=None, objective="val_loss"):
        spec = load_spec(iris, {"search.space": DIVERGING, **(overrides or {})})
        prepare_spec = Preparer()
        resolved, _ = prepare_data(spec, preparer=prepare_spec)
        space = Space.of(resolved)
        return TrialRunner(space, objective, tmp_path, prepare_spec)

    return make


def job(number=1, rate=0.1, *, epochs=2, parent=None, to_beat=None):
    proposal = Proposal(number, {RATE: rate}, {RATE: rate}, epochs, parent)
    return Job(proposal, seed=0, folder=f"trials/{number:04d}", to_beat=to_beat)


def mark_first_epoch(folder):
    """Changes what the newest checkpoint remembers of the first epoch, and nothing else."""
    newest = store.newest(folder / "checkpoints")
    newest.facts["progress"]["history"]["loss"][0] = 123.0
    store.save(folder / "checkpoints", newest)


def first_loss(folder):
    newest = store.newest(folder / "checkpoints")
    return newest.facts["progress"]["history"]["loss"][0]


def untimed(trial):
    return dataclasses.replace(trial, seconds=0.0)


def test_a_trial_says_what_was_trained_and_what_came_of_it(runner, tmp_path):
    trial = runner().run(job())
    assert (trial.number, trial.status, trial.epochs, trial.seed) == (1, "completed", 2, 0)
    assert trial.values == {RATE: 0.1}
    assert trial.score == trial.metrics["val_loss"]
    assert set(trial.metrics) == {"val_loss", "val_accuracy"}
    assert trial.weights == 4 * 8 + 8 + 8 * 3 + 3
    assert {path.name for path in (tmp_path / trial.folder).iterdir()} == {
        *("spec.yaml", "result.json", "checkpoints")
    }


def test_trials_of_other_widths_share_a_trainer_and_give_the_bits_of_new_ones(
    tmp_path, iris, monkeypatch
):
    widths = {"network.hidden": {"depth": [1, 1], "width": [3, 9]}, **DIVERGING}
    spec, preparer = load_spec(iris, {"search.space": widths}), Preparer()
    space = Space.of(prepare_data(spec, preparer=preparer)[0])

    def run(name):
        runner = TrialRunner(space, "val_loss", tmp_path / name, preparer)
        tried = [([5], 0.1), ([8], 1e30), ([6], 0.03), ([5], 0.1)]  # the second diverges
        points = [{"network.hidden": hidden, RATE: rate} for hidden, rate in tried]
        proposals = [
            Proposal(n, values=point, point=point, epochs=2) for n, point in enumerate(points)
        ]
        return [
            untimed(runner.run(dataclasses.replace(job(each.number), proposal=each)))
            for each in proposals
        ]

    shared = run("shared")
    assert [trial.status for trial in shared] == ["completed", "diverged"] + 2 * ["completed"]
    assert shared[0].weights_sha256 == shared[3].weights_sha256
    monkeypatch.setattr(trainer_pool, "pool_key", lambda spec, prepared: None)
    assert run("new") == shared


def test_a_trial_on_a_rung_is_pruned_and_its_child_goes_on(runner, tmp_path):
    runner = runner({"training.epochs": 4})
    whole = runner.run(job(1, epochs=4))
    rung = runner.run(job(2, epochs=2))
    assert (rung.status, rung.epochs) == ("pruned", 2)
    mark_first_epoch(tmp_path / rung.folder)
    child = runner.run(job(3, epochs=4, parent=2))
    assert first_loss(tmp_path / child.folder) == 123.0
    assert (child.status, child.epochs) == ("completed", 4)
    assert child.weights_sha256 == whole.weights_sha256
    assert child.score == whole.score


@pytest.mark.parametrize("engine", [pytest.param("xla", marks=pytest.mark.slow), "graph"])
@pytest.mark.parametrize(
    "overrides",
    [
        {"training.optimizer": {"name": "sgd", "use_ema": True}},
        {"training.early_stopping": {"monitor": "val_loss", "patience": 9}},
    ],
    ids=["averages", "best weights"],
)
def test_a_trial_on_a_rung_is_scored_as_one_that_ends_there(
    overrides, engine, runner, tmp_path
):
    overrides |= {"training.engine": engine, "data.scale": "standard"}
    rate = 10.0  # so large that the last epoch is not the best
    ending = runner({**overrides, "training.epochs": 7}).run(job(1, rate, epochs=7))
    going_on = runner({**overrides, "training.epochs": 9})
    rung = going_on.run(job(2, rate, epochs=7))
    assert (ending.status, rung.status) == ("completed", "pruned")
    assert rung.metrics == ending.metrics
    history = json.loads((tmp_path / rung.folder / "result.json").read_text())["history"]
    assert history["val_loss"][-1] != rung.score
    assert kfc.load(tmp_path / rung.folder).weights_sha256 == rung.weights_sha256
    child = going_on.run(job(3, rate, epochs=9, parent=2))
    whole = going_on.run(job(4, rate, epochs=9))
    assert (child.weights_sha256, child.score) == (whole.weights_sha256, whole.score)


def test_a_trial_that_was_interrupted_goes_on_from_its_own_checkpoint(runner, tmp_path):
    runner = runner({"training.epochs": 4})
    whole = runner.run(job(1, epochs=4))
    runner.run(job(2, epochs=3))
    mark_first_epoch(tmp_path / "trials" / "0002")
    resumed = runner.run(job(2, epochs=4))
    assert first_loss(tmp_path / resumed.folder) == 123.0
    assert resumed.weights_sha256 == whole.weights_sha256


@pytest.mark.parametrize("damage", ["damaged", "gone"])
def test_without_a_whole_checkpoint_a_child_trains_from_the_beginning(
    damage, runner, tmp_path
):
    runner = runner({"training.epochs": 4})
    whole = runner.run(job(1, epochs=4))
    rung = runner.run(job(2, epochs=2))
    for state in (tmp_path / rung.folder / "checkpoints").rglob("state.npz"):
        state.write_bytes(b"no weights") if damage == "damaged" else state.unlink()
    child = runner.run(job(3, epochs=4, parent=2))
    assert child.weights_sha256 == whole.weights_sha256


def test_weights_are_kept_where_the_score_is_good_enough(runner, tmp_path):
    runner = runner()
    score = runner.run(job(1)).score
    for number, (to_beat, kept) in enumerate(
        [(None, True), (score, True), (score + 0.1, True), (score - 0.1, False)], 2
    ):
        trial = runner.run(job(number, to_beat=to_beat))
        assert (tmp_path / trial.folder / "checkpoints").exists() == kept
        assert trial.score == score


def test_where_more_is_better_weights_are_kept_above(runner, tmp_path):
    runner = runner(objective="val_accuracy")
    score = runner.run(job(1)).score
    worse = runner.run(job(2, to_beat=score + 0.1))
    better = runner.run(job(3, to_beat=score - 0.1))
    assert not (tmp_path / worse.folder / "checkpoints").exists()
    assert (tmp_path / better.folder / "checkpoints").exists()


@pytest.mark.parametrize("objective", ["val_loss", "val_accuracy"])
def test_what_explodes_has_the_worst_score_and_a_cause(objective, runner):
    trial = runner(objective=objective).run(job(rate=1e30))
    assert (trial.status, trial.score) == ("diverged", worst_score(objective))
    assert "loss" in trial.cause
    assert "\n" not in trial.cause
    assert trial.weights > 0


def test_a_loss_that_is_finite_and_worse_than_a_divergence_counts_as_one(runner):
    overrides = {
        "data.source": "sklearn:diabetes",
        "data.scale": "standard",
        "network.hidden": [],
        "training.loss": "mse",
        "training.epochs": 1,
        "training.batch_size": 1000,  # one step: the weights are about as large as the rate
    }
    trial = runner(overrides).run(job(rate=1e16, epochs=1))
    assert trial.status == "completed", trial.cause
    assert trial.metrics["val_loss"] > worst_score("val_loss") == trial.score


def test_a_network_too_large_for_this_machine_is_refused_as_an_outcome(runner):
    runner = runner(
        {"search.space": {"network.hidden": {"choice": [[4], [2_000_000, 2_000_000]]}}}
    )
    hidden = {"network.hidden": [2_000_000, 2_000_000]}
    trial = runner.run(Job(Proposal(1, {}, hidden, 2), seed=0, folder="trials/0001"))
    assert (trial.status, trial.weights) == ("diverged", 0)
    assert "memory" in trial.cause


def test_equal_data_is_prepared_once(iris):
    preparer = Preparer()
    spec = load_spec(iris)
    same = load_spec(iris, {"training.epochs": 9, RATE: 0.2})
    scaled = load_spec(iris, {"data.scale": "standard"})
    assert preparer(spec) is preparer(same)
    assert preparer(scaled) is not preparer(spec)
    np.testing.assert_array_equal(preparer(scaled).train.x, prepare(scaled).train.x)


def test_a_repeat_draws_other_weights_on_the_same_rows(runner, tmp_path):
    runner = runner()
    trial = runner.run(job())
    repeat = runner.run(dataclasses.replace(job(), seed=1, folder="repeats/0001-seed-1"))
    assert repeat.weights_sha256 != trial.weights_sha256
    results = [
        json.loads((tmp_path / each.folder / "result.json").read_text())
        for each in (trial, repeat)
    ]
    scalings = [result["task"]["scaling"] for result in results]
    assert scalings[0] == scalings[1]  # fitted on the training rows


def test_rows_in_memory_are_the_source(iris):
    source = Source(Rows(*load_iris(return_X_y=True)))
    prepared = Preparer(source)(load_spec(iris, {"data.source": None}))
    assert len(prepared.train) == 96  # of 150, a fifth for the test and a fifth of the rest


def test_a_worker_is_told_where_streamed_rows_lie_and_not_what_they_are(iris, tmp_path):
    x = np.random.default_rng(0).random((2000, 100), dtype=np.float32)
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", np.arange(2000) % 2)
    data = {"data.source": f"npy:{tmp_path}", "data.stream": "always"}
    dimension = {RATE: {"low": 1e-3, "high": 1.0, "log": True}}
    spec = load_spec(iris, {"search.space": dimension, **data})
    prepare_spec = Preparer()
    resolved, _ = prepare_data(spec, preparer=prepare_spec)
    space = Space.of(resolved)
    make_runner = functools.partial(TrialRunner, space, "val_loss", tmp_path, prepare_spec)
    pickled = pickle.dumps(make_runner)
    assert len(pickled) < x.nbytes / 10
    trial = untimed(pickle.loads(pickled)().run(job()))
    assert trial == untimed(make_runner().run(job()))


def test_a_log_of_a_trial_begins_anew_in_the_folder_of_its_child(runner, tmp_path):
    """Of the checkpoint that a child goes on from, the logs stay with its parent."""
    run = runner({"training.callbacks": [{"name": "csv_log", "filename": "rows.csv"}]})
    run.run(job(1, epochs=1))
    child = run.run(job(2, epochs=2, parent=1))
    assert (child.status, child.epochs) == ("completed", 2)
    rows = [
        (tmp_path / "trials" / number / "rows.csv").read_text().splitlines()[1:]
        for number in ("0001", "0002")
    ]
    assert [[row.split(",")[0] for row in of] for of in rows] == [["1"], ["2"]]


@pytest.mark.parametrize("objective", ["val_auc", "val_log_loss"])
def test_a_trial_is_scored_by_a_metric_that_its_epochs_do_not_record(runner, objective):
    trial = runner(objective=objective).run(job())
    assert trial.status == "completed"
    assert trial.score == trial.metrics[objective]
    assert 0 < trial.score < 2


@pytest.mark.parametrize(
    ("objective", "worst"),
    [("val_auc", 0), ("val_mcc", -1), ("val_log_loss", 1e30), ("val_r2", -1e30)],
)
def test_the_worst_score_is_that_of_no_better_metric(objective, worst):
    assert worst_score(objective) == worst
