import json

import numpy as np
import pytest

import kfc
from kfc.cli.app import main
from kfc.errors import NumbersError

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
