import contextlib
import importlib.util
import json
import subprocess
import sys

import pytest

from kfc import registry
from kfc.cli import main, startup
from kfc.registry import Registry


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


TABLE = "\n".join(
    [
        "size,kind,on,day,weight,target",
        *(
            f"{n},{'abc'[n % 3]},{'no' if n % 2 else 'yes'},2024-01-{n % 28 + 1:02},"
            f"{'' if n % 9 else n / 7},{'low' if n < 120 else 'high'}"
            for n in range(240)
        ),
    ]
)

HEAVY = ("pandas", "scipy", "sklearn", "pyarrow.parquet", "tensorflow", "keras")


@pytest.mark.parametrize(
    "command", [["new", "rows.csv", "--out", "other.yaml"], ["explain", "rows.yaml"]]
)
def test_a_command_on_a_table_imports_nothing_that_takes_longer_than_itself(tmp_path, command):
    """A table of all types of columns, with a preset that scales numbers by quantiles."""
    (tmp_path / "rows.csv").write_text(TABLE, "utf-8")
    spec = {"data": {"source": "csv:rows.csv", "target": "target"}, "preset": "tabm"}
    (tmp_path / "rows.yaml").write_text(json.dumps(spec), "utf-8")
    story = (
        f"import sys; sys.argv[1:] = {command!r}\n"
        "from kfc.cli import main\n"
        "try: main()\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        f"heavy = [name for name in {HEAVY!r} if name in sys.modules]\n"
        "sys.exit(', '.join(heavy) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", story],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("owners", "imports"),
    [
        ({}, pytest.raises(ModuleNotFoundError, match="pandas")),
        ({"warehouse": ["kfc-warehouse"]}, contextlib.nullcontext()),
    ],
)
def test_pandas_is_imported_where_a_plug_in_may_need_it(monkeypatch, owners, imports):
    plugged = Registry("table", {})
    monkeypatch.setattr(plugged, "owners", lambda: owners)
    monkeypatch.setattr(registry, "REGISTRIES", (*registry.REGISTRIES, plugged))
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path])
    monkeypatch.delitem(sys.modules, "pandas", raising=False)
    startup.forgo_pandas()
    with imports:
        assert importlib.util.find_spec("pandas") is not None


def main_ends(arguments, code=0):
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert (caught.value.code or 0) == code
