import functools
import gzip
import os
import struct
import zipfile

import numpy as np
import pytest

from kfc.data import read_source
from kfc.errors import DataError
from kfc.system.memmap import DiskArray

SKLEARN = {
    "breast_cancer": ((569, 30), ("malignant", "benign")),
    "diabetes": ((442, 10), None),
    "digits": ((1797, 64), tuple("0123456789")),
    "iris": ((150, 4), ("setosa", "versicolor", "virginica")),
    "wine": ((178, 13), ("class_0", "class_1", "class_2")),
}


@pytest.fixture
def refused(only_finding):
    """Returns the finding with which a source is refused."""
    return functools.partial(only_finding, DataError, read_source)


@pytest.mark.parametrize("name", SKLEARN)
def test_a_data_set_inside_scikit_learn_is_read(name):
    source = read_source(f"sklearn:{name}")
    shape, labels = SKLEARN[name]
    assert source.train.x.shape == shape
    assert source.train.y.shape == shape[:1]
    assert source.class_names == labels
    assert source.test is None


def test_an_unknown_data_set_of_scikit_learn_gets_the_nearest(refused):
    assert refused("sklearn:digitz").remedy.startswith("Did you mean 'digits'? Known: ")


# --- npz ----------------------------------------------------------------------------------

X, Y = np.arange(12.0).reshape(4, 3), np.arange(4)


def save(path, **arrays):
    np.savez(path, **arrays)
    return f"npz:{path}"


def test_arrays_are_read_untouched(tmp_path):
    source = read_source(save(tmp_path / "a.npz", x=X, y=Y))
    np.testing.assert_array_equal(source.train.x, X)
    np.testing.assert_array_equal(source.train.y, Y)
    assert source.test is None


def test_a_test_split_is_read_where_there_is_one(tmp_path):
    source = read_source(save(tmp_path / "a.npz", x=X, y=Y, x_test=X[:2], y_test=Y[:2]))
    assert len(source.test) == 2


@pytest.mark.parametrize(
    ("arrays", "expected"),
    [
        ({"x": X}, "an array named y"),
        ({"y": Y}, "an array named x"),
        ({"z": Y}, "an array named x and one named y"),
        ({"x": X, "y": Y, "x_test": X}, "x_test and y_test together"),
        ({"x": X, "y": np.array([{}, 1], dtype=object)}, "plain arrays"),
    ],
    ids=["no y", "no x", "neither", "half a test split", "a pickle"],
)
def test_a_wrong_npz_is_refused(refused, tmp_path, arrays, expected):
    assert expected in refused(save(tmp_path / "a.npz", **arrays)).expected


UNREAD = {  # name of an unknown array: its remedy
    "X_test": "Did you mean 'x_test'?",
    "Y": "Did you mean 'y'?",
    "sample_weight": "data=(x, y, sample_weight)",
    "weights": "data=(x, y, sample_weight)",
    "x_val": "data.validation",
    "y_valid": "data.validation",
    "groups": "Rename or remove",
}


def check_unread(finding, name, remedy):
    assert finding.expected == "no other arrays than x, y, x_test, y_test"
    assert finding.got == name
    assert remedy in finding.remedy


@pytest.mark.parametrize("name", UNREAD)
def test_an_array_that_would_not_be_read_is_refused_by_name(refused, name, tmp_path):
    arrays = {"x": X, "y": Y, "x_test": X, "y_test": Y, name: Y}
    check_unread(refused(save(tmp_path / "a.npz", **arrays)), name, UNREAD[name])


def test_many_arrays_that_would_not_be_read_are_listed(refused, tmp_path):
    arrays = {f"x_{number}": X for number in range(12)}
    finding = refused(save(tmp_path / "a.npz", x=X, y=Y, **arrays))
    assert finding.got.startswith("x_0, x_1, x_10, ")
    assert finding.got.endswith(" and 2 more")


def test_a_member_of_an_archive_that_is_no_array_is_ignored(tmp_path):
    name = save(tmp_path / "a.npz", x=X, y=Y)
    with zipfile.ZipFile(tmp_path / "a.npz", "a") as archive:
        archive.writestr("README.txt", "rows")
    assert len(read_source(name).train) == 4


@pytest.mark.parametrize("name", ["npz:nowhere.npz", "npz:.", "npz:a\0b.npz", "npz:"])
def test_what_is_no_npz_file_is_refused(refused, name):
    refused(name)


# --- npy ----------------------------------------------------------------------------------


def save_each(folder, **arrays):
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    return f"npy:{folder}"


def test_inputs_of_a_folder_stay_on_the_disk(tmp_path):
    source = read_source(save_each(tmp_path, x=X, y=Y))
    assert isinstance(source.train.x, DiskArray)
    np.testing.assert_array_equal(source.train.x[:], X)
    np.testing.assert_array_equal(source.train.y, Y)
    assert not isinstance(source.train.y, np.memmap)
    assert source.test is None


def test_test_files_of_a_folder_are_read_where_there_are_any(tmp_path):
    source = read_source(save_each(tmp_path, x=X, y=Y, x_test=X[:2], y_test=Y[:2]))
    np.testing.assert_array_equal(source.test.x[:], X[:2])
    np.testing.assert_array_equal(source.test.y, Y[:2])


@pytest.mark.parametrize("name", UNREAD)
def test_a_file_of_a_folder_that_would_not_be_read_is_refused_by_name(refused, name, tmp_path):
    finding = refused(save_each(tmp_path, x=X, y=Y, x_test=X, y_test=Y, **{name: Y}))
    check_unread(finding, name, UNREAD[name])


def test_other_files_of_a_folder_are_ignored(tmp_path):
    name = save_each(tmp_path, x=X, y=Y)
    for other in ("README.md", "._x.npy", ".hidden.npy", "a.npz"):
        (tmp_path / other).write_text("no array")
    assert len(read_source(name).train) == 4


@pytest.mark.parametrize("kind", ["npy", "npz", "idx"])
def test_a_pipe_in_place_of_a_file_is_refused_at_once(refused, kind, tmp_path):
    names = {"npy": ["x.npy"], "npz": ["a.npz"], "idx": FILES}[kind]
    for name in names:
        os.mkfifo(tmp_path / name)
    refused(f"npz:{tmp_path / 'a.npz'}" if kind == "npz" else f"{kind}:{tmp_path}")


@pytest.mark.parametrize("missing", ["x", "y", "x_test", "y_test"])
def test_a_missing_file_of_a_folder_is_named(refused, tmp_path, missing):
    name = save_each(tmp_path, x=X, y=Y, x_test=X, y_test=Y)
    (tmp_path / f"{missing}.npy").unlink()
    finding = refused(name)
    assert (finding.where, finding.got) == (str(tmp_path / f"{missing}.npy"), "no such file")


@pytest.mark.parametrize("damaged", ["x", "y", "x_test", "y_test"])
def test_a_truncated_file_of_a_folder_is_refused(refused, tmp_path, damaged):
    name = save_each(tmp_path, x=X, y=Y, x_test=X, y_test=Y)
    path = tmp_path / f"{damaged}.npy"
    path.write_bytes(path.read_bytes()[:-1])
    assert "declares" in refused(name).got


# --- idx ----------------------------------------------------------------------------------


def idx_file(values):
    head = bytes([0, 0, 8, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape)
    return head + values.tobytes()


FILES = {
    "train-images-idx3-ubyte": np.arange(24, dtype="u1").reshape(6, 2, 2),
    "train-labels-idx1-ubyte": np.arange(6, dtype="u1"),
    "t10k-images-idx3-ubyte": np.arange(12, dtype="u1").reshape(3, 2, 2),
    "t10k-labels-idx1-ubyte": np.arange(3, dtype="u1"),
}


@pytest.mark.parametrize("gzipped", [False, True], ids=["plain", "gzipped"])
@pytest.mark.parametrize("mark", ["-", "."])
def test_a_folder_of_idx_files_is_read(tmp_path, gzipped, mark):
    for name, values in FILES.items():
        name = name.replace("-idx", f"{mark}idx")
        content = idx_file(values)
        path = tmp_path / (f"{name}.gz" if gzipped else name)
        path.write_bytes(gzip.compress(content) if gzipped else content)
    source = read_source(f"idx:{tmp_path}")
    np.testing.assert_array_equal(source.train.x, FILES["train-images-idx3-ubyte"])
    np.testing.assert_array_equal(source.test.y, FILES["t10k-labels-idx1-ubyte"])
    assert source.train.x.dtype == np.uint8


@pytest.mark.parametrize("missing", FILES)
def test_a_missing_idx_file_is_named(refused, tmp_path, missing):
    for name, values in FILES.items():
        if name != missing:
            (tmp_path / name).write_bytes(idx_file(values))
    finding = refused(f"idx:{tmp_path}")
    assert missing in finding.expected
    assert finding.where == str(tmp_path)


def test_a_missing_idx_folder_is_named(refused):
    assert refused("idx:nowhere").got == "'idx:nowhere'"
