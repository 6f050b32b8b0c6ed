import struct

import numpy as np
import pytest

from kfc.data.input_files import read_inputs
from kfc.errors import DataError

X = np.arange(12, dtype="u1").reshape(4, 3)


def save_idx(path, values):
    head = bytes([0, 0, 8, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape)
    path.write_bytes(head + values.tobytes())


@pytest.mark.parametrize(
    ("name", "save"),
    [
        ("rows.npy", np.save),
        ("rows.npz", lambda path, x: np.savez(path, x=x, y=x[:, 0])),
        ("rows-idx2-ubyte", save_idx),
    ],
)
def test_rows_to_predict_are_read(tmp_path, name, save):
    save(tmp_path / name, X)
    np.testing.assert_array_equal(read_inputs(tmp_path / name), X)


def refused(path):
    with pytest.raises(DataError) as caught:
        read_inputs(path)
    (finding,) = caught.value.findings
    assert finding.where == str(path)
    assert finding.remedy
    return finding


@pytest.mark.parametrize("name", ["rows.npy", "rows.npz", "rows-idx2-ubyte"])
def test_a_missing_file_is_named(tmp_path, name):
    assert refused(tmp_path / name).got == "no such file"


def test_a_file_of_another_kind_is_refused(tmp_path):
    finding = refused(tmp_path / "rows.csv")
    assert finding.expected == "a file ending in .npy, .npz or an IDX file"
    assert finding.got == "rows.csv"


def test_an_npz_without_x_names_what_it_has(tmp_path):
    np.savez(tmp_path / "rows.npz", z=X, w=X)
    finding = refused(tmp_path / "rows.npz")
    assert (finding.expected, finding.got) == ("an array named x", "w, z")


def test_an_object_array_is_refused(tmp_path):
    np.save(tmp_path / "rows.npy", np.array([{}, 1], dtype=object))
    assert refused(tmp_path / "rows.npy").got == "rows.npy holds Python objects"
