import json

import pytest

import kfc
from kfc.runs.run_list import list_runs

SMALL = {"training.epochs": 2, "network.hidden": [8], "training.engine": "graph"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    for changes in ({}, {"network.hidden": [16, 8]}):
        kfc.fit("digits", overrides={**SMALL, **changes}, runs=folder, verbose=False)
    unfinished = folder / "0003-digits"
    unfinished.mkdir()
    (unfinished / "spec.yaml").write_bytes((folder / "0001-digits/spec.yaml").read_bytes())
    (folder / "notes").mkdir()
    return folder


def test_runs_are_listed_with_their_metrics_and_differences(folder):
    first, second, third = list_runs(folder)
    assert (first.status, second.status, third.status) == (
        "finished",
        "finished",
        "unfinished",
    )
    assert first.differences == []
    assert second.differences == ["network.hidden: [8] -> [16, 8]"]
    assert third.differences == ["network.hidden: [16, 8] -> [8]"]
    run = kfc.load(second.folder)
    assert second.metrics == run.metrics
    assert second.headline() == {
        name: run.metrics[name] for name in ("val_accuracy", "test_accuracy")
    }


def test_a_damaged_result_is_listed_as_such(folder, tmp_path):
    import shutil

    copy = shutil.copytree(folder, tmp_path / "copy")
    file = copy / "0001-digits" / "result.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), "seconds": 0.0}))
    assert list_runs(copy)[0].status == "damaged"


def test_a_folder_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(kfc.DataError, match="expected a folder of runs, got no such folder"):
        list_runs(tmp_path / "nowhere")


def test_a_folder_without_runs_lists_none(tmp_path):
    assert list_runs(tmp_path) == []
