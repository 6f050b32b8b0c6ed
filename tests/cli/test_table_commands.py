"""The commands for tables, on one file with a column of each type."""

import csv
import io
import json

import numpy as np
import pandas as pd
import pytest

from kfc.runs import result_file
from kfc.spec import load_spec

FEW = ("training.epochs=2", "network.hidden=[8]")


def customers(rows=200):
    random = np.random.default_rng(0)
    plan = random.choice(["basic", "plus", "pro"], rows)
    columns = {
        "id": [f"C{number:05}" for number in range(rows)],
        "plan": plan,
        "fee": random.normal(50, 9, rows).round(2),
        "senior": random.choice(["yes", "no"], rows),
        "since": [f"2024-0{month}-15" for month in random.integers(1, 10, rows)],
        "churn": np.where(plan == "basic", "left", "stayed"),
    }
    table = pd.DataFrame(columns)
    table.loc[::9, "fee"] = np.nan
    return table


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("here")
    customers().to_csv(folder / "customers.csv", index=False)
    return folder


@pytest.fixture(scope="module")
def drafted(run_kfc, folder):
    return run_kfc("new", "customers.csv", folder=folder)


@pytest.fixture(scope="module")
def trained(run_kfc, drafted, folder):
    """A run of the draft as it is, but for its size."""
    ended = run_kfc("fit", drafted.stdout.split()[1], *FEW, "--json", folder=folder)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)["folder"]


@pytest.fixture
def new_rows(folder):
    """Rows in another order of columns, with one that the training did not have."""
    table = customers(8).iloc[:, ::-1].assign(region="north")
    table.to_csv(folder / "new.csv", index=False)
    return table


def printed(ended):
    assert ended.returncode == 0, ended.stderr
    return list(csv.DictReader(io.StringIO(ended.stdout)))


def test_new_prints_the_path_and_shows_each_column_with_its_reason(drafted, folder):
    assert drafted.returncode == 0, drafted.stderr
    said = [line.split(maxsplit=1) for line in drafted.stdout.splitlines()]
    assert said == [["spec", "customers.yaml"], ["train", "kfc fit customers.yaml"]]
    lines = {line.split()[0]: line for line in drafted.stderr.splitlines()}
    assert {"id", "plan", "fee", "senior", "since"} <= lines.keys()
    types = [lines[name].split()[1] for name in ("plan", "fee", "senior", "since")]
    assert types == ["category", "number", "boolean", "date"]
    assert lines["id"].split()[1] == "ignore"
    spec = load_spec(folder / "customers.yaml")
    assert (spec.data.target, spec.data.source) == ("churn", "csv:customers.csv")
    assert {n: c.type for n, c in spec.data.columns.items()} == {
        **{"id": "ignore", "plan": "category", "fee": "number"},
        **{"senior": "boolean", "since": "date"},
    }


def test_new_never_overwrites_a_file(run_kfc, drafted, folder):
    before = (folder / "customers.yaml").read_bytes()
    for option in ((), ("--out", "customers.yaml"), ("--target", "plan")):
        again = run_kfc("new", "customers.csv", *option, folder=folder)
        assert again.returncode == 2
        assert "customers.yaml: expected a new file, got one that exists" in again.stderr
    assert (folder / "customers.yaml").read_bytes() == before


def test_new_takes_another_target_and_prints_json(run_kfc, folder):
    options = ("--target", "plan", "--out", "plan.yaml", "--json")
    ended = run_kfc("new", "customers.csv", "data.columns.fee=ignore", *options, folder=folder)
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout)
    assert found["path"] == "plan.yaml"
    assert (found["columns"]["fee"], found["columns"]["churn"]) == ("ignore", "category")
    assert load_spec(folder / "plan.yaml").data.target == "plan"


def test_the_draft_trains_as_it_is(trained, folder):
    spec = result_file.read_spec(folder / trained)
    assert spec.name == "customers"
    assert spec.data.columns["since"].type == "date"


def test_predict_finds_columns_by_name_and_says_others(run_kfc, trained, new_rows, folder):
    same = folder / "same.csv"
    customers(8).to_csv(same, index=False)
    wanted = run_kfc("predict", trained, str(same), folder=folder)
    ended = run_kfc("predict", trained, "new.csv", folder=folder)
    assert ended.stdout == wanted.stdout
    assert ended.stderr == "ignored columns: region\n"
    assert wanted.stderr == ""
    assert run_kfc("predict", trained, "new.csv", "--quiet", folder=folder).stderr == ""


def test_predict_prints_a_label_and_probabilities_beside_the_kept_columns(
    run_kfc, trained, new_rows, folder
):
    keep = ("--keep", "id", "--keep", "region")
    rows = printed(run_kfc("predict", trained, "new.csv", *keep, folder=folder))
    assert [*rows[0]] == ["id", "region", "label", "probability", "left", "stayed"]
    assert [row["id"] for row in rows] == new_rows["id"].tolist()
    for row in rows:
        by_class = {name: float(row[name]) for name in ("left", "stayed")}
        assert sum(by_class.values()) == pytest.approx(1, abs=2e-6)
        assert row["label"] == max(by_class, key=by_class.get)
        assert float(row["probability"]) == max(by_class.values())
    found = json.loads(
        run_kfc("predict", trained, "new.csv", *keep, "--json", folder=folder).stdout
    )
    assert found["kept"]["id"] == new_rows["id"].tolist()
    assert found["label"] == [row["label"] for row in rows]


@pytest.mark.parametrize("command", ["predict", "evaluate"])
def test_unseen_values_are_said_once_per_column(run_kfc, command, trained, folder):
    table = customers(8)
    table.loc[2:4, "plan"] = "gold"
    table.to_csv(folder / "gold.csv", index=False)
    ended = run_kfc(command, trained, "gold.csv", folder=folder)
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == "column plan: 3 of 8 values are not in the training rows\n"
    assert run_kfc(command, trained, "gold.csv", "-q", folder=folder).stderr == ""


def test_evaluate_measures_another_labelled_file(run_kfc, trained, new_rows, folder):
    labels = printed(run_kfc("predict", trained, "new.csv", folder=folder))
    share = np.mean([row["label"] for row in labels] == new_rows["churn"])
    ended = run_kfc("evaluate", trained, "new.csv", "--json", folder=folder)
    assert json.loads(ended.stdout)["metrics"]["accuracy"] == pytest.approx(share)
    shown = run_kfc("evaluate", trained, "new.csv", folder=folder)
    assert f"accuracy {share:.4f}" in " ".join(shown.stdout.split())


def test_export_of_encoded_rows_goes_where_text_cannot(
    run_kfc, trained, new_rows, folder, unasked
):
    refused = run_kfc("export", trained, "onnx", "--format", "onnx", folder=folder)
    assert refused.returncode == 2
    assert "with --encoded (encoded=True)" in refused.stderr
    with unasked():
        arguments = ("export", trained, "onnx", "--format", "onnx", "--encoded", "--json")
        exported = run_kfc(*arguments, folder=folder)
    assert exported.returncode == 0, exported.stderr
    assert json.loads(exported.stdout)["certificate"]["encoded"] is True
    wanted = printed(run_kfc("predict", trained, "new.csv", folder=folder))
    found = printed(run_kfc("predict", "onnx", "new.csv", folder=folder))
    assert [row["label"] for row in found] == [row["label"] for row in wanted]


def spoiled(folder, name, change):
    table = customers(8)
    change(table).to_csv(folder / name, index=False)
    return name


@pytest.mark.parametrize(
    ("arguments", "change", "code", "message"),
    [
        (
            ("predict", "RUN", "FILE"),
            lambda table: table.rename(columns={"plan": "plans"}),
            4,
            "no column 'plan'. Did you mean 'plans'?",
        ),
        (
            ("predict", "RUN", "FILE"),
            lambda table: table.assign(fee=["cheap", *table["fee"][1:]]),
            4,
            "cheap",
        ),
        (
            ("predict", "RUN", "FILE", "--keep", "name"),
            lambda table: table,
            4,
            "--keep: expected a column of the table, got 'name'",
        ),
        (
            ("evaluate", "RUN", "FILE"),
            lambda table: table.drop(columns="churn"),
            4,
            "churn",
        ),
        (
            ("evaluate", "RUN", "FILE"),
            lambda table: table.assign(churn="away"),
            4,
            "expected one of the 2 classes left, stayed, got away",
        ),
        (("new", "FILE", "--target", "chrun"), lambda table: table, 4, "'churn'"),
        (("new", "FILE", "training.epochs=3"), lambda table: table, 2, "Edit the draft"),
        (("new", "nowhere.csv"), lambda table: table, 4, "nowhere.csv"),
    ],
    ids=[
        *("a missing column", "a bad cell", "no column to keep", "no target", "a new class"),
        *("no such target", "another key", "no file"),
    ],
)
def test_a_mistake_ends_with_its_code_and_a_message(
    run_kfc, arguments, change, code, message, trained, folder
):
    file = spoiled(folder, "spoiled.csv", change)
    words = [{"RUN": trained, "FILE": file}.get(word, word) for word in arguments]
    ended = run_kfc(*words, folder=folder)
    assert ended.returncode == code, ended.stderr
    assert message in " ".join(ended.stderr.split())
    assert "Traceback" not in ended.stderr
    assert ended.stdout == ""


def test_a_training_starts_from_the_weights_of_another_run_of_the_table(
    run_kfc, drafted, trained, folder
):
    spec = drafted.stdout.split()[1]
    further = ("--from", trained, "--runs", "further", "--json")
    ended = run_kfc("fit", spec, *FEW, *further, folder=folder)
    assert ended.returncode == 0, ended.stderr
    environment = json.loads((folder / "further/0001-customers/environment.json").read_text())
    weights = json.loads((folder / trained / "result.json").read_text())["weights_sha256"]
    assert environment["given"]["network"] == weights
