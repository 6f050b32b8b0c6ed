"""Standard streams that are full, closed or gone."""

import io
import subprocess
import sys

import pytest

from kfc.cli import app
from kfc.errors import DiskError
from kfc.system import standard_streams


@pytest.fixture
def full():
    with open("/dev/full", "w") as stream:
        yield stream


@pytest.fixture
def closed():
    stream = io.StringIO()
    stream.close()
    return stream


@pytest.mark.parametrize("kind", ["full", "closed"])
def test_progress_that_cannot_be_written_is_dropped(monkeypatch, request, kind):
    monkeypatch.setattr(sys, "stderr", request.getfixturevalue(kind))
    console = standard_streams.progress_console()
    console.print("epoch 1")
    assert not console.is_terminal


def test_progress_without_a_stderr_is_dropped(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    standard_streams.progress_console().print("epoch 1")


def test_progress_arrives_where_it_can_be_written(capsys):
    standard_streams.progress_console().print("epoch 1")
    standard_streams.progress_console(verbose=False).print("epoch 2")
    assert capsys.readouterr().err == "epoch 1\n"


@pytest.mark.parametrize("kind", ["full", "closed"])
def test_a_result_that_cannot_be_printed_is_a_disk_error(monkeypatch, request, kind):
    monkeypatch.setattr(sys, "stdout", request.getfixturevalue(kind))
    with (
        pytest.raises(
            DiskError, match="standard output: expected a place that can be written"
        ),
        standard_streams.guarded_streams(),
    ):
        print("accuracy 0.9")


def test_both_streams_are_put_back(capsys):
    before = sys.stdout, sys.stderr
    with standard_streams.guarded_streams():
        print("accuracy 0.9")
        print("error", file=sys.stderr)
    assert (sys.stdout, sys.stderr) == before
    assert capsys.readouterr() == ("accuracy 0.9\n", "error\n")


@pytest.mark.parametrize(
    ("shell", "code"),
    [
        ("specs > /dev/full", 5),
        ("specs digits --json | (exec 0<&-; sleep 2)", 5),
        ("--help > /dev/full", 5),
        ("specs 2> /dev/full", 0),
        ("fit nonsense 2> /dev/full", 2),
        ("fit nonsense > /dev/full 2>&1", 2),
    ],
)
def test_a_command_ends_with_its_code_whatever_the_streams_do(tmp_path, shell, code):
    """Not with 120, by which Python says that it could not write at its end."""
    command = f"set -o pipefail; {sys.executable} -m {app.__name__.split('.')[0]} {shell}"
    ended = subprocess.run(
        ["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert ended.returncode == code, ended.stderr
    assert "Traceback" not in ended.stderr
