import pytest

from kfc.errors import CheckpointError
from kfc.training.checkpoints.log_files import LogFiles


def test_what_came_after_a_state_is_cut_off(tmp_path):
    path = tmp_path / "log"
    path.write_text("1\n2\n")
    state = LogFiles(path).state()
    path.write_text("1\n2\n3\n")
    LogFiles(path).truncate_to(state)
    assert path.read_text() == "1\n2\n"


def test_a_file_may_be_missing_at_first(tmp_path):
    state = LogFiles(tmp_path / "log").state()
    assert state == {"files": {}}
    (tmp_path / "log").write_text("1\n")
    LogFiles(tmp_path / "log").truncate_to(state)
    assert not (tmp_path / "log").exists()


def test_every_file_of_a_folder_is_cut(tmp_path):
    for part in ("a", "b"):
        (tmp_path / "logs" / part).mkdir(parents=True)
        (tmp_path / "logs" / part / "1").write_text("old")
    state = LogFiles(tmp_path / "logs").state()
    (tmp_path / "logs" / "a" / "1").write_text("older")
    (tmp_path / "logs" / "a" / "2").write_text("new")
    LogFiles(tmp_path / "logs").truncate_to(state)
    left = {path.name: path.read_text() for path in (tmp_path / "logs" / "a").iterdir()}
    assert left == {"1": "old"}


def test_a_state_grows_with_its_file(tmp_path):
    """A hash of what was there before goes on, and is that of the whole file."""
    path, growing = tmp_path / "log", LogFiles(tmp_path / "log")
    for text in ("1\n", "1\n2\n", "1\n2\n3\n"):
        path.write_text(text)
        assert growing.state() == LogFiles(path).state()


@pytest.mark.parametrize("text", ["1\n", "1\n3\n4\n", ""], ids=["shorter", "other", "empty"])
def test_a_file_that_is_not_the_one_counted_is_refused(tmp_path, text):
    path = tmp_path / "log"
    path.write_text("1\n2\n")
    state = LogFiles(path).state()
    path.write_text(text)
    with pytest.raises(
        CheckpointError, match="begins with the 4 bytes of the last checkpoint"
    ):
        LogFiles(path).truncate_to(state)
    assert path.read_text() == text


def test_a_name_outside_of_the_folder_is_refused(tmp_path):
    """A state comes from a file, which somebody may have written."""
    (tmp_path / "victim").write_text("precious")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "log").write_text("1\n")
    state = {"files": {"../victim": LogFiles(tmp_path / "victim").state()["files"]["victim"]}}
    state["files"]["../victim"][0] = 0
    with pytest.raises(CheckpointError, match="got none"):
        LogFiles(tmp_path / "run" / "log").truncate_to(state)
    assert (tmp_path / "victim").read_text() == "precious"


def test_nothing_is_cut_where_one_of_several_files_is_refused(tmp_path):
    (tmp_path / "logs").mkdir()
    for name in ("1", "2"):
        (tmp_path / "logs" / name).write_text("old")
    state = LogFiles(tmp_path / "logs").state()
    left = {"1": "older", "2": "bad", "3": "new"}
    for name, text in left.items():
        (tmp_path / "logs" / name).write_text(text)
    with pytest.raises(CheckpointError):
        LogFiles(tmp_path / "logs").truncate_to(state)
    assert {path.name: path.read_text() for path in (tmp_path / "logs").iterdir()} == left
