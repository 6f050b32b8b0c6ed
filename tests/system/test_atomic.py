import os
import subprocess
import sys
from pathlib import Path

import pytest

from kfc.errors import DiskError
from kfc.system import atomic


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def blocked(tmp_path):
    """A path in a folder that cannot be: a file has its place (tests may run as root)."""
    (tmp_path / "file").write_text("in the way")
    return tmp_path / "file" / "below"


def test_text_is_written_as_utf8_and_bytes_as_they_are(tmp_path):
    atomic.write_file(tmp_path / "text", "Öl\n")
    atomic.write_file(tmp_path / "bytes", b"\0\r\n")
    assert (tmp_path / "text").read_bytes() == "Öl\n".encode()
    assert (tmp_path / "bytes").read_bytes() == b"\0\r\n"


def test_a_write_replaces_the_old_content_and_leaves_nothing_else(tmp_path):
    atomic.write_file(tmp_path / "a", "long old content")
    atomic.write_file(tmp_path / "a", "new")
    assert (tmp_path / "a").read_text() == "new"
    assert names(tmp_path) == ["a"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_the_old_content_stays_when_a_writer_fails_halfway(tmp_path, error):
    path = tmp_path / "model.keras"
    atomic.write_file(path, "old")

    def fails(partial):
        partial.write_text("half")
        raise error

    with pytest.raises(error):
        atomic.write_file_with(path, fails)
    assert path.read_text() == "old"
    assert names(tmp_path) == ["model.keras"]


def test_a_full_disk_is_a_disk_error_and_keeps_the_old_content(tmp_path):
    path = tmp_path / "a"
    atomic.write_file(path, "old")

    def fails(partial):
        raise OSError(28, os.strerror(28))

    with pytest.raises(DiskError, match="No space left on device") as caught:
        atomic.write_file_with(path, fails)
    assert caught.value.findings[0].where == str(path)
    assert path.read_text() == "old"


def test_a_library_gets_a_path_of_the_same_ending(tmp_path):
    seen = []

    def writer(partial):
        seen.append(partial)
        partial.write_bytes(b"x")

    atomic.write_file_with(tmp_path / "model.keras", writer)
    assert seen[0].suffix == ".keras"
    assert seen[0].parent == tmp_path
    assert names(tmp_path) == ["model.keras"]


def test_a_killed_writer_leaves_the_old_content(tmp_path):
    path = tmp_path / "a"
    atomic.write_file(path, "old")
    script = (
        "import os, signal, sys; from pathlib import Path; from kfc.system import atomic\n"
        "def dies(partial):\n"
        "    partial.write_text('half'); os.kill(os.getpid(), signal.SIGKILL)\n"
        "atomic.write_file_with(Path(sys.argv[1]), dies)"
    )
    killed = subprocess.run([sys.executable, "-c", script, str(path)], check=False)
    assert killed.returncode == -9
    assert path.read_text() == "old"
    atomic.write_file(path, "new")  # what was left of it is no hindrance
    assert names(tmp_path) == ["a"]


def test_a_folder_appears_with_all_its_files(tmp_path):
    atomic.write_folder(tmp_path / "checkpoint", {"a": b"1", "b": b"2"})
    assert names(tmp_path) == ["checkpoint"]
    assert (tmp_path / "checkpoint" / "b").read_bytes() == b"2"


def test_the_rest_of_a_broken_folder_is_no_hindrance(tmp_path):
    (tmp_path / ".partial-checkpoint").mkdir()
    (tmp_path / ".partial-checkpoint" / "old").write_text("half")
    atomic.write_folder(tmp_path / "checkpoint", {"a": b"1"})
    assert names(tmp_path / "checkpoint") == ["a"]


def test_a_folder_is_never_written_over_a_full_one(tmp_path):
    atomic.write_folder(tmp_path / "checkpoint", {"a": b"1"})
    with pytest.raises(DiskError):
        atomic.write_folder(tmp_path / "checkpoint", {"b": b"2"})
    assert names(tmp_path / "checkpoint") == ["a"]
    assert names(tmp_path) == ["checkpoint"]


def test_a_folder_may_hold_folders(tmp_path):
    atomic.write_folder(tmp_path / "a", {"b/c": b"1", "d": b"2"})
    assert names(tmp_path / "a") == ["b", "d"]
    assert (tmp_path / "a" / "b" / "c").read_bytes() == b"1"


def test_a_folder_is_replaced_where_that_is_asked_for(tmp_path):
    for contents in ({"a/old": b"1"}, {"a/new": b"2"}):
        atomic.write_folder(tmp_path / "made", contents, replace=True)
    assert names(tmp_path / "made" / "a") == ["new"]
    assert names(tmp_path) == ["made"]


def test_lines_are_appended(tmp_path):
    atomic.append_text(tmp_path / "log", "1\n")
    atomic.append_text(tmp_path / "log", "2\n")
    atomic.flush_to_disk(tmp_path)
    assert (tmp_path / "log").read_text() == "1\n2\n"


def test_synced_lines_are_appended_as_text_or_bytes(tmp_path):
    atomic.append_synced(tmp_path / "log", "\u00d6l\n")
    atomic.append_synced(tmp_path / "log", b"\0\r\n")
    assert (tmp_path / "log").read_bytes() == b"\xc3\x96l\n\0\r\n"


def test_a_synced_line_and_the_name_of_a_new_file_are_on_the_disk(tmp_path, monkeypatch):
    synced = []
    real = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: (synced.append(os.fstat(fd)), real(fd)))
    atomic.append_synced(tmp_path / "log", "1\n")
    assert [found.st_ino for found in synced] == [
        (tmp_path / "log").stat().st_ino,
        tmp_path.stat().st_ino,
    ]
    atomic.append_synced(tmp_path / "log", "2\n")
    assert [found.st_ino for found in synced[2:]] == [(tmp_path / "log").stat().st_ino]
    assert synced[2].st_size == 4


@pytest.mark.parametrize("error", [OSError(28, os.strerror(28)), KeyboardInterrupt()])
def test_a_synced_line_is_written_whole_or_not_at_all(tmp_path, monkeypatch, error):
    atomic.append_synced(tmp_path / "log", "1\n")

    def fails(fd):
        monkeypatch.undo()  # for the cut's own
        raise error

    monkeypatch.setattr(os, "fsync", fails)
    with pytest.raises((DiskError, KeyboardInterrupt)):
        atomic.append_synced(tmp_path / "log", "2\n")
    assert (tmp_path / "log").read_text() == "1\n"
    atomic.append_synced(tmp_path / "log", "3\n")
    assert (tmp_path / "log").read_text() == "1\n3\n"


def test_a_file_that_may_not_grow_keeps_its_whole_lines(tmp_path):
    script = (
        "import resource, signal, sys\n"
        "from pathlib import Path\n"
        "from kfc.system import atomic\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\n"
        "for _ in range(9): atomic.append_synced(Path(sys.argv[1]), 'x' * 29 + '\\n')"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "log")]
    ended = subprocess.run(command, check=False, capture_output=True, text=True)
    assert "DiskError" in ended.stderr
    assert (tmp_path / "log").read_text() == ("x" * 29 + "\n") * 3


def test_a_file_is_cut_off(tmp_path):
    atomic.write_file(tmp_path / "log", "1\n2\n")
    atomic.truncate_file(tmp_path / "log", 2)
    assert (tmp_path / "log").read_text() == "1\n"


def test_a_folder_that_is_gone_can_be_removed(tmp_path):
    (tmp_path / "a").mkdir()
    atomic.remove_folder(tmp_path / "a")
    atomic.remove_folder(tmp_path / "a")
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    "write",
    [
        lambda path: atomic.write_file(path, "x"),
        lambda path: atomic.write_file_with(path, lambda partial: partial.write_text("x")),
        lambda path: atomic.write_folder(path, {"a": b"x"}),
        lambda path: atomic.append_text(path, "x"),
        lambda path: atomic.append_synced(path, "x"),
        lambda path: atomic.truncate_file(path, 0),
        lambda path: atomic.flush_to_disk(path),
    ],
    ids=[
        *("write", "write_with", "write_folder", "append", "append_synced", "truncate"),
        "sync",
    ],
)
def test_an_unwritable_place_is_a_disk_error_with_all_four_parts(blocked, write):
    with pytest.raises(DiskError) as caught:
        write(blocked)
    (finding,) = caught.value.findings
    assert finding.where == str(blocked)
    assert finding.expected
    assert finding.got == "Not a directory"
    assert finding.remedy


def test_sha256_is_the_known_one():
    assert atomic.sha256(b"").startswith("e3b0c44298fc1c14")


def test_a_folder_where_the_system_makes_none_is_refused():
    with pytest.raises(DiskError, match="a place that can be written"):
        atomic.make_folder(Path("/proc/no folder/below"))
