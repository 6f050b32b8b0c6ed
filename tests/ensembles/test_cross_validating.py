"""A cross-validation has a run for each fold, and ends the same whenever it was stopped."""

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.datasets import load_iris
from sklearn.model_selection import StratifiedKFold

import kfc
from kfc.ensembles import member_training
from kfc.errors import CheckpointError, KfcError, SpecError
from kfc.training.engine.engine import Engine

X, Y = load_iris(return_X_y=True)


def numbers(result):
    """All that a cross-validation answers, but for clocks and places."""
    summary = {**result.summary(), "folder": None}
    folds = [{**fold, "seconds": 0} for fold in summary["folds"]]
    rows = [values.tolist() for values in result.out_of_fold]
    return {**summary, "folds": folds, "rows": rows}


def test_each_row_is_held_out_once(validated):
    rows = validated.out_of_fold
    np.testing.assert_array_equal(rows.row, np.arange(150))
    folds = StratifiedKFold(3, shuffle=True, random_state=0).split(X, Y)
    for number, (_, held_out) in enumerate(folds):
        np.testing.assert_array_equal(np.flatnonzero(rows.fold == number), held_out)


def test_out_of_fold_predictions_are_those_of_the_run_of_the_fold(validated):
    rows = validated.out_of_fold
    for score, run in zip(validated.folds, validated.ensemble.runs, strict=True):
        held_out = rows.fold == score.fold
        wanted = run.predict(X[rows.row[held_out]]).probabilities
        np.testing.assert_allclose(rows.probabilities[held_out], wanted, atol=1e-6)
        # Bit for bit with the rows that the run itself reads as its test rows.
        own = run.rows("test").predictions.probabilities
        np.testing.assert_array_equal(rows.probabilities[held_out], own)


def test_the_mean_and_the_spread_are_those_of_the_folds(validated):
    accuracy = [run.metrics["test_accuracy"] for run in validated.ensemble.runs]
    assert validated.mean["accuracy"] == pytest.approx(np.mean(accuracy))
    assert validated.spread["accuracy"] == pytest.approx(np.std(accuracy, ddof=1))
    rows = validated.out_of_fold
    assert validated.pooled["accuracy"] == np.mean(
        rows.probabilities.argmax(axis=1) == Y[rows.row]
    )


def test_the_run_of_a_fold_is_an_ordinary_one(validated, tmp_path):
    run = validated.ensemble.runs[1]
    assert run.spec.data.fold.number == 1
    assert run.evaluate() == run.metrics
    again = kfc.fit(run.folder / "spec.yaml", runs=tmp_path, verbose=False)
    assert again.weights_sha256 == run.weights_sha256


def test_the_csv_file_has_a_line_for_each_row(validated):
    lines = (validated.folder / "out_of_fold.csv").read_text().splitlines()
    assert lines[0] == "row,repeat,fold,target,label,setosa,versicolor,virginica"
    assert len(lines) == 151


@pytest.mark.parametrize("stop", [1, 5, 9])
def test_an_interrupted_cross_validation_ends_with_the_same_table(
    stop, small, validated, tmp_path, monkeypatch
):
    run, calls = Engine.run, []

    def interrupted(self, *arguments, **options):
        calls.append(1)
        if len(calls) == stop:
            raise KeyboardInterrupt
        return run(self, *arguments, **options)

    monkeypatch.setattr(Engine, "run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        kfc.cross_validate(small, folds=3, runs=tmp_path, verbose=False)
    assert numbers(kfc.resume(tmp_path / "small-cv3", verbose=False)) == numbers(validated)


def test_a_cross_validation_that_lost_its_results_measures_its_runs_again(
    small, validated, tmp_path
):
    first = kfc.cross_validate(small, folds=3, runs=tmp_path, verbose=False)
    for name in ("cross_validation.json", "out_of_fold.npz"):
        (first.folder / name).unlink()
    again = kfc.cross_validate(small, folds=3, runs=tmp_path, verbose=False)
    assert numbers(again) == numbers(validated)


def test_another_cross_validation_in_the_same_folder_is_refused(small, validated):
    with pytest.raises(CheckpointError, match="epochs: 3 then, 4 now"):
        kfc.cross_validate(
            small, folds=3, folder=validated.folder, overrides={"training.epochs": 4}
        )


def test_repeats_have_other_folds_and_other_seeds(small, tmp_path):
    overrides = {"training.epochs": 1}
    options = {"overrides": overrides, "runs": tmp_path, "verbose": False}
    result = kfc.cross_validate(small, folds=2, repeats=2, **options)
    assert [(score.repeat, score.fold) for score in result.folds] == [
        (0, 0), (0, 1), (1, 0), (1, 1),
    ]  # fmt: skip
    assert len({score.weights_sha256 for score in result.folds}) == 4
    rows = result.out_of_fold
    assert (rows.fold[rows.repeat == 0] != rows.fold[rows.repeat == 1]).any()


def test_given_folds_are_kept_with_the_runs(small, tmp_path):
    fold = np.arange(150) // 3 % 2
    options = {"overrides": {"training.epochs": 1}, "runs": tmp_path, "verbose": False}
    result = kfc.cross_validate(small, folds=fold, **options)
    np.testing.assert_array_equal(result.out_of_fold.fold, fold)
    assert kfc.load(result.folder / "0002-small").evaluate()


def test_test_rows_of_the_data_are_measured_once_by_the_average(tmp_path):
    data = ((X[::2], Y[::2]), (X[1::2], Y[1::2]))
    spec = {"name": "own", "training": {"epochs": 1}}
    result = kfc.cross_validate(spec, folds=2, data=data, runs=tmp_path, verbose=False)
    average = np.mean(
        [run.predict(X[1::2]).probabilities for run in result.ensemble.runs], axis=0
    )
    accuracy = np.mean(average.argmax(axis=1) == Y[1::2])
    assert result.metrics["test_accuracy"] == pytest.approx(accuracy)
    assert len(result.out_of_fold.row) == 75


def test_numbers_have_folds_too(tmp_path):
    y = X @ [1.0, 2.0, -1.0, 0.5]
    spec = {"name": "numbers", "training": {"epochs": 1}}
    result = kfc.cross_validate(spec, folds=3, data=(X, y), runs=tmp_path, verbose=False)
    rows = result.out_of_fold
    np.testing.assert_allclose(rows.target[:, 0], y, rtol=1e-6)
    error = np.sqrt(np.mean((rows.value[:, 0] - rows.target[:, 0]) ** 2))
    assert result.pooled["rmse"] == pytest.approx(error, rel=1e-5)


def test_a_source_is_read_once(small, tmp_path, monkeypatch):
    read, calls = member_training.read_rows, []

    def counted(*arguments):
        calls.append(1)
        return read(*arguments)

    monkeypatch.setattr(member_training, "read_rows", counted)
    options = {"overrides": {"training.epochs": 1}, "runs": tmp_path, "verbose": False}
    kfc.cross_validate(small, folds=3, **options)
    assert len(calls) == 1


@pytest.mark.parametrize(
    ("options", "where"),
    [
        ({"folds": 1}, "folds"),
        ({"folds": True}, "folds"),
        ({"repeats": 0}, "repeats"),
        ({"workers": 0}, "workers"),
        ({"folds": [0] * 150}, "folds"),
        ({"overrides": {"training.members": 2}}, "training.members"),
        ({"overrides": {"data.fold": {"number": 0, "of": 2}}}, "data.fold"),
    ],
)
def test_an_argument_without_sense_is_refused(options, where, small, tmp_path):
    with pytest.raises((SpecError, KfcError), match=where):
        kfc.cross_validate(small, runs=tmp_path, **options)


def test_a_damaged_plan_is_refused(small, tmp_path):
    folder = tmp_path / "damaged"
    folder.mkdir()
    (folder / "ensemble.json").write_text(json.dumps({"kind": "folds"}))
    for call in (kfc.load, kfc.resume):
        with pytest.raises(CheckpointError, match="damaged"):
            call(folder)


def test_the_table_is_shown(validated):
    assert "spread" in repr(validated)
    assert "<pre>" in validated._repr_html_()


@pytest.mark.parametrize("members", [1, 2])
def test_a_refused_spec_leaves_no_folder_for_the_corrected_one(members, tmp_path):
    rows = pd.DataFrame(X, columns=list("abcd")).assign(kind=Y.astype(str))
    rows.to_csv(tmp_path / "iris.csv", index=False)

    def train(target):
        data = {"source": f"csv:{tmp_path / 'iris.csv'}", "target": target}
        training = {"epochs": 1, "members": members}
        spec = {"name": "iris", "data": data, "training": training}
        places = {"runs": tmp_path / "runs", "verbose": False}
        if members == 1:
            return kfc.cross_validate(spec, folds=2, **places)
        return kfc.fit(spec, **places)

    with pytest.raises(KfcError):
        train("kinds")
    assert list((tmp_path / "runs").iterdir()) == []
    assert train("kind").spec.data.target == "kind"
