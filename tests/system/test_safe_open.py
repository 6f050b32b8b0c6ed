import os
import socket
import stat

import pytest

from kfc.errors import CheckpointError, DiskError
from kfc.system import atomic, disk, locks, safe_open


@pytest.fixture
def given(tmp_path):
    """An untrusted folder; no file of the folder beside it may change."""
    folder, outside = tmp_path / "given", tmp_path / "outside"
    (folder / "inner").mkdir(parents=True)
    outside.mkdir()
    (outside / "kept").write_text("kept")
    safe_open.distrust(folder)
    yield folder
    assert [path.name for path in outside.iterdir()] == ["kept"]
    assert (outside / "kept").read_text() == "kept"


ON_A_FILE = {
    "read": atomic.read_bytes,
    "append": lambda path: atomic.append_text(path, "x"),
    "append_synced": lambda path: atomic.append_synced(path, "x"),
    "truncate": lambda path: atomic.truncate_file(path, 0),
    "sync": atomic.flush_to_disk,
    "create": atomic.create_file,
}
CHANGES = {
    "write": lambda path: atomic.write_file(path, "x"),
    "write_with": lambda path: atomic.write_file_with(
        path, lambda partial: partial.write_text("x")
    ),
    "write_folder": lambda path: atomic.write_folder(path, {"a": b"x"}),
    "make_folder": atomic.make_folder,
    "locked": lambda path: locks.locked(path).__enter__(),
}


def refused(action, path):
    with pytest.raises((OSError, CheckpointError)) as caught:
        action(path)
    cause = caught.value if isinstance(caught.value, safe_open.NotRegularError) else None
    return cause or caught.value.__cause__


@pytest.mark.parametrize("name", ON_A_FILE)
def test_a_link_in_place_of_a_file_is_refused(given, name):
    (given / "file").symlink_to("../outside/kept")
    error = refused(ON_A_FILE[name], given / "file")
    if name != "create":  # there is something already, whatever it is
        assert str(error) == "a link"


@pytest.mark.parametrize("name", [*ON_A_FILE, *CHANGES])
def test_a_link_in_place_of_a_folder_on_the_way_is_refused(given, name):
    (given / "inner" / "way").symlink_to("../../outside")
    error = refused((ON_A_FILE | CHANGES)[name], given / "inner" / "way" / "kept")
    assert str(error) == "a link"
    assert error.filename.startswith(str(given / "inner" / "way"))


def test_nothing_is_removed_through_a_link(given):
    (given / "way").symlink_to("../outside")
    with pytest.raises(DiskError, match="a link"):
        atomic.remove_file(given / "way" / "kept")
    atomic.remove_folder(given / "way" / "kept")
    atomic.remove_folder(given / "way")


def test_nothing_is_listed_through_a_link(given):
    (given / "way").symlink_to("../outside")
    for look in (safe_open.names_in, safe_open.tree):
        with pytest.raises(safe_open.NotRegularError):
            look(given / "way")
    with pytest.raises(safe_open.NotRegularError):
        safe_open.tree(given)


def test_a_path_that_leads_out_of_the_folder_is_refused(given):
    with pytest.raises(safe_open.NotRegularError, match="leads out"):
        atomic.read_bytes(given / ".." / "outside" / "kept")


def test_a_write_in_place_of_a_link_replaces_the_link(given):
    (given / "file").symlink_to("../outside/kept")
    atomic.write_file(given / "file", "own")
    assert not (given / "file").is_symlink()


def test_a_file_with_a_second_name_is_read_and_not_changed_in_place(given):
    os.link(given.parent / "outside" / "kept", given / "file")
    assert atomic.read_bytes(given / "file") == b"kept"
    with pytest.raises(DiskError, match="second name"):
        atomic.append_text(given / "file", "x")
    with pytest.raises(DiskError, match="second name"):
        atomic.truncate_file(given / "file", 0)


def test_the_folder_itself_may_be_a_link_that_the_user_typed(given):
    link = given.parent / "link"
    link.symlink_to("given")
    safe_open.distrust(link)
    atomic.write_file(link / "file", "x")
    assert atomic.read_bytes(given / "file") == b"x"


def test_elsewhere_a_link_is_read_and_not_written_to(tmp_path):
    (tmp_path / "file").write_text("kept")
    (tmp_path / "link").symlink_to("file")
    assert atomic.read_bytes(tmp_path / "link") == b"kept"
    with pytest.raises(DiskError, match="a link"):
        atomic.append_text(tmp_path / "link", "x")


def pipe(path):
    os.mkfifo(path)


def unix_socket(path):
    here = os.open(path.parent, os.O_RDONLY)
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(f"/proc/self/fd/{here}/{path.name}")  # a socket's path is short
    os.close(here)


@pytest.mark.parametrize("make", [pipe, unix_socket])
@pytest.mark.parametrize("name", ON_A_FILE)
def test_a_pipe_or_a_socket_is_refused_at_once(given, make, name):
    make(given / "file")
    refused(ON_A_FILE[name], given / "file")
    assert not stat.S_ISREG((given / "file").stat().st_mode)


def test_a_link_to_a_device_is_refused_wherever_it_is(tmp_path):
    (tmp_path / "file").symlink_to("/dev/zero")
    with pytest.raises(safe_open.NotRegularError, match="a device"):
        atomic.read_bytes(tmp_path / "file")


@pytest.mark.parametrize("name", [".lock", "events", "inner/events"])
def test_a_folder_with_a_link_anywhere_is_not_worked_in(given, name):
    (given / name).symlink_to(given.parent / "outside" / "kept")
    with pytest.raises(CheckpointError) as caught, locks.locked(given):
        pass
    (finding,) = caught.value.findings
    assert finding.where == str(given / name)
    assert finding.got == "a link"
    assert finding.expected
    assert finding.remedy


def test_names_of_what_is_not_whole_yet_cannot_be_guessed(given, monkeypatch):
    seen = []
    monkeypatch.setattr(disk, "rename", lambda old, new: seen.append(old.name))
    for _ in range(2):
        atomic.write_file(given / "file", "x")
        atomic.write_folder(given / "folder", {"a": b"x"})
    assert len(set(seen)) == 4
    assert all(len(name) >= len(atomic.PARTIAL) + 16 for name in seen)


def test_a_name_that_is_taken_is_never_written_over(given):
    (given / "taken").symlink_to("../outside/kept")
    for write in (
        lambda: disk.write_new(given / "taken", b"x"),
        lambda: disk.write_new_by(lambda path: path.write_text("x"), given / "taken"),
    ):
        with pytest.raises(safe_open.NotRegularError):
            write()
