import re
from pathlib import Path

import numpy as np
import pytest

import kfc
from kfc.data.input_files import read_inputs
from kfc.data.source_reading import read_source
from kfc.system import user_paths


@pytest.fixture
def home(tmp_path, monkeypatch):
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(tmp_path)
    return home


def test_a_tilde_is_the_home_folder(home):
    assert user_paths.expanded("~/data.npz") == home / "data.npz"
    assert user_paths.absolute("~") == home
    assert user_paths.expanded("data~1.npz") == Path("data~1.npz")


def test_the_home_of_nobody_stays_as_it_was_typed(home):
    assert user_paths.expanded("~no-such-user/data") == Path("~no-such-user/data")


def test_a_path_is_shown_relative_to_the_current_folder_or_whole(home, tmp_path):
    assert user_paths.shown_path(tmp_path / "runs" / "0001-digits") == "runs/0001-digits"
    assert user_paths.shown_path(Path("/elsewhere")) == "/elsewhere"


def test_sources_are_found_in_the_home_folder(home):
    x, y = np.arange(12.0).reshape(6, 2), np.arange(6)
    np.savez(home / "rows.npz", x=x, y=y)
    (home / "rows").mkdir()
    np.save(home / "rows" / "x.npy", x)
    np.save(home / "rows" / "y.npy", y)
    for source in ("npz:~/rows.npz", "npy:~/rows"):
        np.testing.assert_array_equal(read_source(source).train.x[:], x)
    with pytest.raises(kfc.DataError, match=re.escape(str(home / "rows"))):
        read_source("idx:~/rows")  # which is there, and has none of MNIST's files


def test_rows_to_predict_and_specs_are_found_in_the_home_folder(home):
    np.save(home / "rows.npy", np.zeros((2, 3)))
    (home / "my.yaml").write_text("seed: 7\n")
    assert read_inputs(Path("~/rows.npy")).shape == (2, 3)
    assert kfc.spec.load_spec("~/my.yaml").seed == 7


def test_a_current_folder_that_was_removed_is_named(home, monkeypatch):
    gone = home / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert user_paths.absolute(home) == home
    assert user_paths.shown_path(home) == str(home)
    with pytest.raises(
        kfc.DiskError, match="the current folder: expected a folder that exists"
    ):
        kfc.fit("digits", runs="runs")
