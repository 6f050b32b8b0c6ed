import os

import pytest

from kfc.system.regular_files import open_file


def test_a_file_is_opened(tmp_path):
    (tmp_path / "x").write_bytes(b"abc")
    with open_file(tmp_path / "x") as file:
        assert file.read() == b"abc"


def test_a_pipe_that_nobody_writes_to_is_refused_at_once(tmp_path):
    os.mkfifo(tmp_path / "x")
    with pytest.raises(OSError, match="a device or a pipe"):
        open_file(tmp_path / "x")


def test_a_link_to_a_device_is_refused(tmp_path):
    (tmp_path / "x").symlink_to("/dev/zero")
    with pytest.raises(OSError, match="a device or a pipe"):
        open_file(tmp_path / "x")


def test_a_folder_is_refused_as_such(tmp_path):
    with pytest.raises(OSError, match="a folder"):
        open_file(tmp_path)


def test_a_refused_file_is_closed(tmp_path):
    os.mkfifo(tmp_path / "x")
    before = len(os.listdir("/dev/fd"))
    for _ in range(3):
        with pytest.raises(OSError, match="pipe"):
            open_file(tmp_path / "x")
    assert len(os.listdir("/dev/fd")) == before
