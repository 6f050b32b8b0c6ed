import shutil
import subprocess
import sys

import pytest

import kfc
from kfc.spec import load_spec
from kfc.tuning.ranking import ranked
from kfc.tuning.search import tune
from kfc.tuning.search_status import read_status, search_folder


def test_a_search_is_kept_in_a_folder_of_its_specs_name(iris, tmp_path):
    assert search_folder(load_spec(iris), tmp_path) == tmp_path / "iris.search"


def test_a_finished_search_stands_as_it_ended(finished):
    now = read_status(finished.folder)
    assert now.objective == "val_loss"
    assert now.ranking == ranked(finished.trials, "val_loss")
    assert now.proposed == 5
    assert now.summary()["best"] == finished.summary()["best"]
    assert now.summary()["trials"] == finished.summary()["trials"]


def test_a_finished_search_says_who_won_and_why(finished):
    now = read_status(finished.folder)
    assert now.winner == finished.best.number
    assert list(now.sentences) == finished.sentences == now.summary()["sentences"]
    assert now.summary()["finished"] is True


def test_a_search_that_has_gone_on_is_not_finished(finished, tmp_path):
    lines = (finished.folder / "journal.jsonl").read_bytes().splitlines(keepends=True)
    more = [line for line in lines if b'"kind":"proposal"' in line][-1]
    (tmp_path / "journal.jsonl").write_bytes(b"".join([*lines, more]))
    now = read_status(tmp_path)
    assert (now.winner, now.sentences) == (None, ())
    assert now.best == now.ranking[0]
    assert now.summary()["finished"] is False


@pytest.mark.parametrize("events", range(1, 10))
def test_an_unfinished_search_stands_as_its_journal_says(events, finished, tmp_path):
    lines = (finished.folder / "journal.jsonl").read_bytes().splitlines(keepends=True)
    path = tmp_path / "journal.jsonl"
    path.write_bytes(b"".join(lines[:events]) + lines[events][:20])
    before = path.read_bytes()
    now = read_status(tmp_path)
    kinds = [line.partition(b'"kind":"')[2][:5] for line in lines[:events]]
    assert now.proposed == kinds.count(b"propo")
    assert len(now.ranking) == kinds.count(b"trial")
    assert (now.summary()["best"] is None) == (not now.ranking)
    assert path.read_bytes() == before  # another process may be writing it


def test_the_objective_of_the_journal_counts(simulated, iris, tmp_path):
    folder = tmp_path / "search"
    tune(iris, overrides={"search.objective": "val_accuracy"}, folder=folder, verbose=False)
    scores = [trial.score for trial in read_status(folder).ranking]
    assert scores == sorted(scores, reverse=True)


@pytest.mark.parametrize("made", [False, True], ids=["absent", "empty"])
def test_where_there_is_no_search_none_is_shown(made, tmp_path):
    folder = tmp_path / "search"
    if made:
        folder.mkdir()
    with pytest.raises(kfc.CheckpointError, match="expected the folder of a search"):
        read_status(folder)
    assert folder.exists() == made


def test_a_damaged_journal_is_refused(finished, tmp_path):
    folder = tmp_path / "search"
    shutil.copytree(finished.folder, folder)
    path = folder / "journal.jsonl"
    path.write_bytes(path.read_bytes().replace(b'"number":1', b'"number":7', 1))
    with pytest.raises(kfc.CheckpointError, match="a wrong checksum"):
        read_status(folder)


def test_looking_imports_no_tensorflow(finished):
    code = (
        "import sys; from pathlib import Path; from kfc.tuning import read_status; "
        f"print(len(read_status(Path({str(finished.folder)!r})).ranking)); "
        "sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
    )
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert (shown.returncode, shown.stdout) == (0, "5\n"), shown.stderr
