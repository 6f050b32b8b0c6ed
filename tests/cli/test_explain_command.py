import json

import pytest

from kfc.cli import main


def test_a_prediction_is_printed_as_a_table_and_lines(capsys):
    main_ends(["explain", "digits"])
    out = capsys.readouterr().out
    for word in ("hidden_1", "logits", "loss at step 0", "largest stable rate", "first steps"):
        assert word in out


def test_a_prediction_is_printed_as_json_with_its_findings(capsys):
    main_ends(["explain", "digits", "network.init=zeros", "--json"])
    facts = json.loads(capsys.readouterr().out)
    assert facts["first_steps"]["outcome"] == "stalls"
    (finding,) = facts["findings"]
    assert finding["name"] == "units_equal"
    assert finding["changes"] == {"network.init": "he_normal"}


def test_a_part_that_is_not_predicted_is_said(capsys):
    main_ends(["explain", "diabetes", "training.optimizer=muon"])
    assert "not predicted: steps because" in " ".join(capsys.readouterr().out.split())


def test_a_wrong_spec_ends_with_an_error(capsys):
    main_ends(["explain", "digits", "training.epochs=0"], 2)
    assert "training.epochs" in capsys.readouterr().err


def test_a_range_test_writes_its_picture(capsys, tmp_path):
    picture = tmp_path / "range.svg"
    main_ends(["doctor", "digits", "--learning-rate", str(picture), "--quiet"])
    out = capsys.readouterr().out
    assert "Suggested learning rate" in out
    assert picture.is_file()


def test_a_range_test_is_printed_as_json(capsys):
    main_ends(["doctor", "digits", "--learning-rate", "--json"])
    facts = json.loads(capsys.readouterr().out)
    assert facts["learning_rate"] == 0.001
    assert "picture" not in facts


def test_two_pictures_are_refused(capsys):
    main_ends(["doctor", "--learning-rate", "a.svg", "b.svg"], 2)
    assert "one picture" in capsys.readouterr().err


def main_ends(arguments, code=0):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert (caught.value.code or 0) == code
