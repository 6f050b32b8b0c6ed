"""A trained run to tamper with, and a guard that sees what Python does meanwhile."""

import contextlib
import os
import platform
import shutil
import sys
import tempfile
from pathlib import Path

import pytest

import kfc
from kfc.system import safe_open

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_PATHS = {  # event -> which of its arguments are paths that it changes
    "os.rename": (0, 1),  # each may be relative to a folder of its own
    "os.remove": (0,),
    "os.mkdir": (0,),
    "os.rmdir": (0,),
    "os.link": (1,),
    "os.symlink": (1,),
    "os.truncate": (0,),
    "os.chmod": (0,),
    "os.chown": (0,),
    "os.utime": (0,),
    "shutil.rmtree": (0,),
    "shutil.unpack_archive": (1,),
}
_NEVER = (
    *("socket.connect", "socket.bind", "socket.sendto", "socket.getaddrinfo"),
    *("subprocess.Popen", "os.system", "os.exec", "os.fork", "os.posix_spawn", "os.spawn"),
    *("pickle.find_class", "urllib.Request", "webbrowser.open", "pty.spawn"),
)


class Guard:
    """Notes, and forbids, what no spec, data file or run folder may bring about.

    An audit hook cannot be removed, so there is one for the whole session with a switch.
    """

    def __init__(self):
        self.allowed = None  # folder to write to; None switches the guard off
        self.found = []
        self._trusted = tuple(
            f"{os.path.realpath(path)}{os.sep}"
            for path in (sys.prefix, sys.base_prefix, Path(kfc.__file__).parent)
        )
        # What the libraries themselves put away for a moment, under a name drawn by chance.
        self._temporary = os.path.join(os.path.realpath(tempfile.gettempdir()), "tmp")
        platform.uname().processor  # noqa: B018 -- asks a process once, whoever asks first
        sys.addaudithook(self._hook)

    @contextlib.contextmanager
    def watching(self, allowed):
        """Fails where anything is run, connected to, or written outside `allowed`."""
        self.allowed, self.found = os.path.realpath(allowed), []
        try:
            yield
        finally:
            self.allowed = None
        assert self.found == []

    def _hook(self, event, args):
        if self.allowed is None:
            return
        if event in _NEVER:
            self._note(event, args)
        elif event == "open":
            path, mode, flags = args
            writes = set(mode or "") & set("wax+") or (flags or 0) & _WRITES
            path = _opened_from_folder(path)
            # What is opened in place of a folder has no name, and is gone when it is closed.
            if writes and not os.path.isdir(path):
                self._check_path(event, path)
        elif event in _PATHS:
            for index in _PATHS[event]:
                folder = args[2 + index] if event == "os.rename" else args[-1]
                self._check_path(event, _from_folder(args[index], folder, event))
        elif event in ("exec", "function.__new__"):
            self._check_code(event, args[0])

    def _check_path(self, event, path):
        if isinstance(path, int):  # an open file: its opening was seen
            return
        place = os.path.realpath(os.fsdecode(path))
        inside = f"{place}{os.sep}".startswith((f"{self.allowed}{os.sep}", self._temporary))
        if place != os.devnull and not inside:
            self._note(event, place)

    def _check_code(self, event, code):
        name = getattr(code, "co_filename", "<none>")
        # "<string>" and the like are dataclasses, named tuples and pydantic at work; what
        # an attack of ours would run has a name of a file, or leaves one behind.
        if not name.startswith("<") and not os.path.realpath(name).startswith(self._trusted):
            self._note(event, name)

    def _note(self, event, what):
        self.found.append(f"{event}: {what}")
        raise PermissionError(self.found[-1])


def _opened_from_folder(path):
    """Returns the whole path that `safe_open` opens: the event does not tell the folder."""
    frame = sys._getframe(2)  # whose call of os.open the hook is told of
    if frame.f_code is safe_open._open.__code__:
        place = os.readlink(f"/proc/self/fd/{frame.f_locals['folder']}")
        return os.path.join(place, frame.f_locals["name"])
    return path


def _from_folder(path, folder, event):
    """Returns a path that may be relative to an open folder, as `shutil.rmtree` uses them."""
    if (
        event in ("os.remove", "os.rmdir", "os.mkdir", "os.rename", "shutil.rmtree")
        and isinstance(folder, int)
        and folder > 2
    ):
        return os.path.join(os.readlink(f"/proc/self/fd/{folder}"), os.fsdecode(path))
    return path


@pytest.fixture(scope="session")
def guard():
    return Guard()


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """A finished run; nobody changes it."""
    spec = {
        "data": {"source": "sklearn:iris", "scale": "standard"},
        "network": {"hidden": [4]},
        "training": {"epochs": 1, "batch_size": 64},
    }
    runs = tmp_path_factory.mktemp("runs")
    return kfc.fit(spec, runs=runs, verbose=False)


@pytest.fixture
def run_folder(trained, tmp_path):
    """A copy of a finished run, to tamper with."""
    return shutil.copytree(trained.folder, tmp_path / "inside" / "run")


@pytest.fixture
def outside(tmp_path):
    """A folder that nothing may change, and a check that nothing has."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "kept.txt").write_text("kept")
    yield folder
    assert [path.name for path in folder.iterdir()] == ["kept.txt"]
    assert (folder / "kept.txt").read_text() == "kept"
    assert {path.name for path in tmp_path.iterdir()} <= {"inside", "outside"}
