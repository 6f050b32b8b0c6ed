import json

import numpy as np
import pytest

import kfc
from kfc.cli.app import main
from kfc.data import prepare
from kfc.ensembles import fit_all_in_memory
from kfc.errors import NumbersError
from kfc.spec import load_spec

SPEC = {
    "name": "small",
    "data": {"scale": "standard", "validation": 0},
    "network": {"hidden": [8]},
    "training": {"epochs": 1, "shuffle": False},
}
X = np.random.default_rng(0).normal(size=(200, 4))
Y = np.arange(200) // 100  # sorted


def fit(tmp_path, spec=SPEC, **options):
    return kfc.fit(spec, data=(X, Y), runs=tmp_path, verbose=False, **options)


def test_a_warning_is_recorded_and_changes_no_bit(tmp_path):
    checked = fit(tmp_path)
    assert [each["label"] for each in labelled(checked)] == ["KFC274 rows_sorted"]
    unchecked = fit(tmp_path, checks="none")
    assert unchecked.warnings == []
    thorough = fit(tmp_path, checks="start")
    assert checked.weights_sha256 == unchecked.weights_sha256 == thorough.weights_sha256


def labelled(run):
    return [{**each, "label": f"{each['code']} {each['name']}"} for each in run.warnings]


def test_a_resumed_run_has_the_warnings_of_its_beginning(tmp_path):
    run = fit(tmp_path)
    (run.folder / "result.json").unlink()
    assert kfc.resume(run.folder, data=(X, Y), verbose=False).warnings == run.warnings
    run = fit(tmp_path, checks="none")
    (run.folder / "result.json").unlink()
    assert kfc.resume(run.folder, data=(X, Y), verbose=False).warnings == []


def test_a_network_that_cannot_learn_is_refused_at_the_start(tmp_path):
    zeros = {**SPEC, "network": {"hidden": [8], "init": "zeros"}}
    with pytest.raises(NumbersError, match="units with different initial weights"):
        fit(tmp_path, zeros, checks="start")
    assert not list(tmp_path.iterdir())
    fit(tmp_path, zeros)
    fit(tmp_path, {**zeros, "accept": ["units_identical"]}, checks="start")


def test_the_command_looks_at_the_start_unless_it_is_told_not_to(tmp_path, capsys):
    arguments = ["fit", "digits", "training.epochs=1", "network.init=zeros", "report=false"]
    arguments += ["--runs", str(tmp_path), "--quiet", "--json"]
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 6
    assert "[KFC323 units_identical]" in capsys.readouterr().err
    with pytest.raises(SystemExit) as ended:
        main([*arguments, "--no-doctor"])
    assert not ended.value.code
    assert json.loads(capsys.readouterr().out)["epochs"] == 1


# --- several runs ---------------------------------------------------------------------------


def names(run):
    return [each["name"] for each in run.warnings]


def test_the_first_fold_is_looked_at_and_keeps_the_warnings(tmp_path, capsys):
    options = {"data": (X, Y), "folds": 2, "runs": tmp_path}
    result = kfc.cross_validate(SPEC, **options)
    assert [names(run) for run in result.ensemble.runs] == [["rows_sorted"], []]
    assert capsys.readouterr().err.count("KFC274 rows_sorted") == 1
    again = kfc.cross_validate(
        SPEC, **options, folder=tmp_path / "again", checks="none", verbose=False
    )
    assert again.mean == result.mean
    assert [names(run) for run in again.ensemble.runs] == [[], []]
    assert "KFC274" not in capsys.readouterr().err


def test_folds_of_a_network_that_cannot_learn_are_refused(tmp_path):
    zeros = {**SPEC, "network": {"hidden": [8], "init": "zeros"}}
    options = {"data": (X, Y), "folds": 2, "runs": tmp_path, "verbose": False}
    with pytest.raises(NumbersError, match="units with different initial weights"):
        kfc.cross_validate(zeros, **options, checks="start")


def test_the_first_member_is_looked_at(tmp_path):
    several = {**SPEC, "training": {**SPEC["training"], "members": 2}}
    ensemble = fit(tmp_path, several)
    assert [names(run) for run in ensemble.runs] == [["rows_sorted"], []]


def test_an_estimator_keeps_the_warnings(tmp_path):
    spec = {**SPEC, "data": {"scale": "standard"}}
    fitted = fit_all_in_memory(load_spec(spec), lambda of: prepare(of, (X, Y)))
    assert names(fitted.members[0].bare) == ["rows_sorted"]


def test_a_search_shows_the_warnings_before_its_trials(tmp_path, capsys):
    space = {"training.optimizer.learning_rate": {"low": 0.001, "high": 0.1}}
    search = {"trials": 1, "repeats": 0, "space": space}
    spec = {**SPEC, "data": {"scale": "standard", "validation": 0.2}, "search": search}
    found = kfc.tune(spec, data=(X, Y), runs=tmp_path)
    err = capsys.readouterr().err
    assert err.index("KFC274 rows_sorted") < err.index("trial")
    assert names(kfc.load(found.run_folder)) == ["rows_sorted"]
