import shutil
import subprocess
import sys

import pytest

import kfc
from kfc.ensembles.folder_list import list_folder


@pytest.fixture
def folder(validated, seeds, small, tmp_path):
    shutil.copytree(validated.folder, tmp_path / "small-cv3")
    shutil.copytree(seeds.folder, tmp_path / "0001-small")
    kfc.fit(small, runs=tmp_path, verbose=False)
    return tmp_path


def test_ensembles_are_listed_between_runs(folder, validated, seeds):
    of_seeds, run, of_folds = list_folder(folder)
    assert [each.name for each in (of_seeds, run, of_folds)] == [
        "0001-small",
        "0002-small",
        "small-cv3",
    ]
    assert (of_seeds.runs, run.runs, of_folds.runs) == (2, 1, 3)
    assert {each.status for each in (of_seeds, run, of_folds)} == {"finished"}
    assert of_seeds.metrics == seeds.metrics
    assert of_folds.headline() == {"mean_accuracy": validated.mean["accuracy"]}


def test_an_ensemble_that_is_not_finished_is_listed_as_such(folder):
    (folder / "small-cv3/cross_validation.json").unlink()
    assert list_folder(folder)[-1].status == "unfinished"


def test_a_damaged_ensemble_is_listed_as_such(folder):
    for name in ("small-cv3/cross_validation.json", "0001-small/ensemble.json"):
        file = folder / name
        file.write_text(file.read_text().replace("1", "2", 1))
    damaged = [each.name for each in list_folder(folder) if each.status == "damaged"]
    assert damaged == ["0001-small", "small-cv3"]


def test_the_command_lists_them_without_tensorflow(folder):
    code = (
        "import sys; from kfc.cli import app\n"
        "try: app.main(['runs', sys.argv[1]])\n"
        "except SystemExit: pass\n"
        "assert 'tensorflow' not in sys.modules and 'keras' not in sys.modules\n"
    )
    command = [sys.executable, "-c", code, folder]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    first, _, last = ended.stdout.splitlines()
    assert first.startswith("0001-small ")
    assert first.endswith("(2 runs)")
    assert last.startswith("small-cv3 ")
    assert last.endswith("(3 runs)")
