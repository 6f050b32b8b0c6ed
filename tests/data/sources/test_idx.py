import gzip
import struct
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from kfc.data.sources.idx import read_idx
from kfc.errors import DataError

CODES = {"u1": 0x08, "i1": 0x09, ">i2": 0x0B, ">i4": 0x0C, ">f4": 0x0D, ">f8": 0x0E}


def idx_bytes(values):
    code = CODES[values.dtype.newbyteorder(">").str.lstrip("|")]
    head = bytes([0, 0, code, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape)
    return head + values.astype(values.dtype.newbyteorder(">")).tobytes()


@pytest.fixture
def read(tmp_path):
    def write_and_read(content, name="a-idx3-ubyte"):
        (tmp_path / name).write_bytes(content)
        return read_idx(tmp_path / name)

    return write_and_read


@pytest.mark.parametrize("code", CODES)
@pytest.mark.parametrize(
    "shape", [(3,), (2, 3), (2, 3, 4), (0,), (0, 5), (1, 1, 1, 1)], ids=str
)
@pytest.mark.parametrize("suffix", ["", ".gz"], ids=["plain", "gzipped"])
def test_every_type_and_shape_comes_back(read, code, shape, suffix):
    values = (np.arange(np.prod(shape)) - 3).astype(code).reshape(shape)
    content = idx_bytes(values)
    got = read(gzip.compress(content) if suffix else content, f"a{suffix}")
    assert got.dtype == np.dtype(code).newbyteorder("=")
    np.testing.assert_array_equal(got, values)


GOOD = idx_bytes(np.arange(6, dtype="u1").reshape(2, 3))
BAD = {
    "empty": (b"", "an IDX header"),
    "short head": (GOOD[:3], "an IDX header"),
    "wrong magic": (b"\1" + GOOD[1:], "an IDX header"),
    "unknown type": (b"\0\0\x0a" + GOOD[3:], "an IDX header"),
    "no dimensions": (b"\0\0\x08\0", "1 to 8 dimensions"),
    "nine dimensions": (b"\0\0\x08\x09" + bytes(36), "1 to 8 dimensions"),
    "short sizes": (GOOD[:7], "2 sizes"),
    "one byte short": (GOOD[:-1], "6 bytes for shape (2, 3)"),
    "one byte long": (GOOD + b"\0", "6 bytes for shape (2, 3)"),
    "a huge shape": (b"\0\0\x0e\x03" + b"\xff" * 12, "bytes for shape"),
    "an impossible empty shape": (b"\0\0\x08\x03" + bytes(4) + b"\xff" * 8, "sizes that an"),
}


@pytest.mark.parametrize("case", BAD)
@pytest.mark.parametrize("suffix", ["", ".gz"], ids=["plain", "gzipped"])
def test_a_damaged_file_is_refused_by_name(read, case, suffix):
    content, expected = BAD[case]
    with pytest.raises(DataError) as caught:
        read(gzip.compress(content) if suffix else content, f"a{suffix}")
    (finding,) = caught.value.findings
    assert finding.where.endswith(f"a{suffix}")
    assert expected in finding.expected
    assert finding.remedy


@pytest.mark.parametrize(
    "damage",
    [
        lambda b: b[:-9],
        lambda b: b[:10],
        lambda b: b"plain",
        lambda b: b[:20] + b"\xff" + b[21:],
    ],
    ids=["cut", "head only", "not gzip", "a changed byte"],
)
def test_a_damaged_gzip_is_refused(read, damage):
    with pytest.raises(DataError):
        read(damage(gzip.compress(GOOD)), "a.gz")


@pytest.mark.parametrize("name", ["nowhere", "."])
def test_what_is_no_file_is_refused(tmp_path, name):
    with pytest.raises(DataError):
        read_idx(tmp_path / name)


@given(
    content=st.binary(max_size=200)
    | st.builds(
        lambda code, sizes, rest: (
            bytes([0, 0, code, len(sizes)]) + struct.pack(f">{len(sizes)}I", *sizes) + rest
        ),
        st.sampled_from(list(CODES.values())),
        st.lists(st.sampled_from([0, 1, 2, 2**16, 2**31, 2**32 - 1]), max_size=9),
        st.binary(max_size=40),
    )
)
def test_any_bytes_are_an_array_or_refused(content):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "any"
        path.write_bytes(content)
        try:
            values = read_idx(path)
        except DataError:
            return
    assert idx_bytes(values) == content


@given(
    values=st.sampled_from(list(CODES)).flatmap(
        lambda code: arrays.arrays(code, arrays.array_shapes(max_dims=4, min_side=0))
    )
)
def test_any_array_comes_back(values):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "any"
        path.write_bytes(idx_bytes(values))
        np.testing.assert_array_equal(read_idx(path), values)


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_the_real_files_are_read(idx_datasets, name):
    (path,) = (idx_datasets / name).glob("t10k-images*")
    images = read_idx(path)
    assert (images.shape, images.dtype) == ((10_000, 28, 28), np.uint8)
