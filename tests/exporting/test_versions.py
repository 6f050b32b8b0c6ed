import os
import shutil

import pytest

from kfc.errors import CheckpointError
from kfc.exporting import versions
from kfc.system import safe_open


@pytest.fixture
def folder(tmp_path):
    """Versions 1 and 3 of a model, of which kfc has written down the numbers."""
    for number in (1, 3):
        versions.record_version(tmp_path, number)
        (tmp_path / str(number)).mkdir()
    return tmp_path


def test_the_next_version_comes_after_the_highest(folder):
    assert versions.next_version(folder) == 4


def test_the_number_of_a_version_that_was_moved_away_is_not_used_again(folder):
    shutil.rmtree(folder / "3")
    assert versions.next_version(folder) == 4
    versions.record_version(folder, 2)  # a number that somebody has named
    assert versions.next_version(folder) == 4


def test_versions_that_somebody_else_wrote_count_too(folder):
    (folder / "9").mkdir()
    assert versions.next_version(folder) == 10


def test_a_folder_without_a_number_written_down_has_the_versions_in_it(tmp_path):
    assert versions.next_version(tmp_path / "missing") == 1
    (tmp_path / "2").mkdir()
    assert versions.next_version(tmp_path) == 3


def test_a_server_sees_no_other_version(folder):
    assert list(versions.versions(folder)) == [1, 3]


@pytest.mark.parametrize("content", ["", "four", "4.5"])
def test_a_damaged_number_is_refused_with_what_to_write(folder, content):
    (folder / versions.HIGHEST).write_text(content)
    with pytest.raises(CheckpointError) as caught:
        versions.next_version(folder)
    assert "echo NUMBER" in caught.value.findings[0].remedy


@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero")])
def test_a_pipe_or_a_link_among_the_files_of_a_version_is_refused(folder, make):
    make(folder / "1" / "weights")
    with pytest.raises(safe_open.NotRegularError):
        versions.file_sha256s(folder / "1")
