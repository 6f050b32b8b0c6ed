"""What the tests of the commands share."""

import contextlib
import io
import subprocess

import pytest

from kfc.cli import app


@pytest.fixture(scope="session")
def run_kfc():
    """Runs a command here, in a folder: TensorFlow is imported once for all of them."""

    def run(*arguments, folder):
        out, err = io.StringIO(), io.StringIO()
        with (
            contextlib.chdir(folder),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            pytest.raises(SystemExit) as ended,
        ):
            app.main(list(arguments))
        return subprocess.CompletedProcess(
            arguments, ended.value.code or 0, out.getvalue(), err.getvalue()
        )

    return run
