import os
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from kfc.errors import DataError, DiskError, Finding
from kfc.system import SharedWork, piece_name

REFUSAL = DataError(Finding("t.parquet", "a number", "'x'", evidence={"row": np.int64(3)}))


def text(content):
    return lambda path: path.write_text(content)


def refuse(path):
    raise REFUSAL


def in_threads(count, function):
    """Returns what a function returns or raises in each of some threads."""
    found = []

    def call():
        try:
            found.append(function())
        except Exception as error:
            found.append(error)

    threads = [threading.Thread(target=call) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


@pytest.mark.parametrize("threads", [False, True])
def test_each_piece_is_made_once_and_everybody_gets_all_of_them(tmp_path, threads):
    made = []

    def piece(number):
        def write(path):
            made.append(number)
            time.sleep(0.01)
            path.write_text(str(number))

        return write

    def work():
        pieces = {f"piece-{number}": piece(number) for number in range(20)}
        files = SharedWork(tmp_path).made(pieces, threads=threads)
        return [(name, path.read_text()) for name, path in files.items()]

    expected = [(f"piece-{number}", str(number)) for number in range(20)]
    assert in_threads(3, work) == [expected] * 3
    assert sorted(made) == list(range(20))


def test_a_result_that_exists_is_not_made_again(tmp_path):
    SharedWork(tmp_path).made({"a": text("A")})
    files = SharedWork(tmp_path).made({"a": text("other"), "b": text("B")})
    assert [path.read_text() for path in files.values()] == ["A", "B"]


def test_the_piece_of_a_killed_process_is_made_by_another(tmp_path):
    code = f"""
import time
from pathlib import Path
from kfc.system import SharedWork

def write(path):
    path.write_text("half")
    print("begun", flush=True)
    time.sleep(60)

SharedWork(Path({str(tmp_path)!r})).made({{"a": write}})
"""
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        began = {}
        thread = threading.Thread(
            target=lambda: began.update(SharedWork(tmp_path).made({"a": text("whole")}))
        )
        thread.start()
        time.sleep(0.1)
        assert not began  # it waits
        os.kill(process.pid, signal.SIGKILL)
        thread.join()
    assert began["a"].read_text() == "whole"
    assert not list(tmp_path.glob(".partial-*"))


def test_everybody_gets_the_refusal_that_one_has_met(tmp_path):
    errors = in_threads(3, lambda: SharedWork(tmp_path).made({"a": refuse}))
    assert [str(error) for error in errors] == [str(REFUSAL)] * 3
    assert {type(error) for error in errors} == {DataError}
    assert errors[0].findings[0].evidence == {"row": 3}


@pytest.mark.parametrize("threads", [False, True])
def test_the_refusal_of_the_first_piece_counts(tmp_path, threads):
    def other(path):
        raise DataError(Finding("other", "a", "b"))

    pieces = {"a": text("A"), "b": refuse, "c": other}
    for _ in range(2):
        with pytest.raises(DataError, match=r"t\.parquet"):
            SharedWork(tmp_path).made(pieces, threads=threads)


def test_an_error_of_one_process_is_not_that_of_another(tmp_path):
    def full(path):
        raise OSError(28, "No space left on device")

    with pytest.raises(DiskError, match="No space left"):
        SharedWork(tmp_path).made({"a": full})
    assert SharedWork(tmp_path).made({"a": text("A")})["a"].read_text() == "A"


def test_plain_values_come_back_as_they_were(tmp_path):
    values = {"name": "größe", "center": 0.1 + 0.2, "count": 2**60, "none": None}
    work = SharedWork(tmp_path)
    found = work.values({"a": lambda: values, "b": lambda: [np.float32(0.5), np.int64(7)]})
    assert found == [values, [0.5, 7]]


def test_inner_pieces_are_others(tmp_path):
    work = SharedWork(tmp_path)
    work.made({"a": text("A")})
    assert work.inner("alone").made({"a": text("B")})["a"].read_text() == "B"


def test_names_of_pieces_are_those_of_files_and_differ():
    names = [piece_name("type", each) for each in ("a/b", "a", "..", "x" * 999, 1, "1")]
    assert len(set(names)) == len(names)
    assert all(name.startswith("type-") and len(name) == 21 for name in names)
    assert piece_name("type", "a") == piece_name("type", "a")
