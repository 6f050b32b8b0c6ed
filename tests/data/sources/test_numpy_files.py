import os
import pickle
import struct
import zipfile
from contextlib import suppress
from functools import partial
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest

from kfc.data.sources.numpy_files import read_npy, read_npz
from kfc.errors import DataError

X = np.arange(12.0).reshape(4, 3)


def zipped(content, compression=zipfile.ZIP_STORED):
    """A `.npz` of one member, x.npy."""
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        archive.writestr("x.npy", content)
    return buffer.getvalue()


WAYS = {  # bytes of a .npy file -> (bytes of the file, what reads it)
    "npy": (bytes, read_npy),
    "mapped npy": (bytes, partial(read_npy, mapped=True)),
    "npz": (zipped, lambda path: read_npz(path).get("x")),
    "compressed npz": (
        partial(zipped, compression=zipfile.ZIP_DEFLATED),
        lambda path: read_npz(path).get("x"),
    ),
}


@pytest.fixture(params=WAYS)
def way(request, tmp_path):
    """Writes a `.npy` file's bytes, possibly into an archive; returns (path, reader)."""
    pack, read = WAYS[request.param]

    def written(content):
        path = tmp_path / "a.file"
        path.write_bytes(pack(content))
        return path, read

    return written


def saved(array, **keywords):
    buffer = BytesIO()
    np.save(buffer, array, **keywords)
    return buffer.getvalue()


def npy(shape, content=b"", version=b"\x01\0", descr="<f8"):
    """A .npy file whose header may lie."""
    head = repr({"descr": descr, "fortran_order": False, "shape": shape}).encode()
    head += b" " * (63 - (len(head) + 10) % 64) + b"\n"
    return b"\x93NUMPY" + version + struct.pack("<H", len(head)) + head + content


def refused(path, read):
    """Returns the finding of reading a file, which leaves no handle of it open."""
    with pytest.raises(DataError) as caught:
        read(path)
    assert not is_open(path)  # while the error, and what its frames hold, still lives
    (finding,) = caught.value.findings
    assert finding.where == str(path)
    assert finding.expected
    assert finding.got
    assert finding.remedy
    return finding


def is_open(path):
    handles = Path("/proc/self/fd")
    if not handles.is_dir():  # not Linux
        return False
    return any(os.path.realpath(handle) == str(path) for handle in handles.iterdir())


@pytest.mark.parametrize(
    "array",
    [
        X,
        np.asfortranarray(X),
        X.astype(">f4"),
        X.astype("u1"),
        np.array(["a", "bc"]),
        np.zeros((0, 3)),
    ],
    ids=["C order", "Fortran order", "big-endian", "bytes", "text", "no rows"],
)
def test_arrays_are_read_untouched(way, array):
    path, read = way(saved(array))
    values = read(path)
    np.testing.assert_array_equal(values, array)
    assert values.dtype == array.dtype


def test_the_second_version_of_the_format_is_read(way):
    buffer = BytesIO()
    np.lib.format.write_array(buffer, X, version=(2, 0))
    path, read = way(buffer.getvalue())
    np.testing.assert_array_equal(read(path), X)


def test_every_array_of_an_npz_is_read_by_name(tmp_path):
    np.savez(tmp_path / "a.npz", x=X, scale=np.float64(3))
    arrays = read_npz(tmp_path / "a.npz")
    assert set(arrays) == {"x", "scale"}
    assert arrays["scale"] == 3


def test_only_a_mapped_array_stays_on_the_disk(tmp_path):
    np.save(tmp_path / "x.npy", X)
    mapped = read_npy(tmp_path / "x.npy", mapped=True)
    assert isinstance(mapped, np.memmap)
    assert not mapped.flags.writeable
    read = read_npy(tmp_path / "x.npy")
    assert not isinstance(read, np.memmap)


def test_a_file_that_was_read_is_closed(tmp_path):
    np.save(tmp_path / "x.npy", X)
    np.savez(tmp_path / "x.npz", x=X)
    held = read_npy(tmp_path / "x.npy"), read_npz(tmp_path / "x.npz")
    assert len(held) == 2
    assert not is_open(tmp_path / "x.npy")
    assert not is_open(tmp_path / "x.npz")


LIES = {
    "terabytes": (npy((10**12,), b"\0" * 8), "declares 8,000,000,000,000 bytes and holds 8"),
    "less than it holds": (npy((1,), b"\0" * 16), "declares 8 bytes and holds 16"),
    "a truncated file": (saved(X)[:-1], "declares 96 bytes and holds 95"),
    "negative": (npy((-1,), b""), "of shape (-1,)"),
    "negative twice": (npy((-1, -1), b"\0" * 8), "of shape (-1, -1)"),
    "text for a shape": (npy("abc", b""), "shape is not valid: 'abc'"),
    "no header": (b"nothing", "magic string"),
    "an unknown version": (npy((1,), b"\0" * 8, version=b"\x09\0"), "version (9, 0)"),
    "an object type": (npy((1,), b"\0" * 8, descr="|O"), "holds Python objects"),
    "code for a type": (npy((1,), b"\0" * 8, descr="__import__('os')"), ""),
    "empty": (b"", "magic string"),
}


@pytest.mark.parametrize("lie", LIES)
def test_a_lying_header_is_refused_before_memory_is_taken(way, lie):
    content, got = LIES[lie]
    assert got in refused(*way(content)).got


def test_an_array_larger_than_memory_is_not_read(way, monkeypatch):
    monkeypatch.setattr("kfc.system.memory.limit_bytes", lambda: len(saved(X)) - 1)
    path, read = way(saved(X))
    if read is WAYS["mapped npy"][1]:
        np.testing.assert_array_equal(read(path), X)
    else:
        finding = refused(path, read)
        assert finding.expected == "arrays that fit into memory"
        assert "of 224 bytes with 223 bytes of memory" in finding.got
        assert "npy:FOLDER" in finding.remedy


def test_a_directory_of_an_npz_that_lies_like_its_header_takes_no_memory(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("x.npy", content := npy((10**12,), b"\0" * 8))
        archive.getinfo("x.npy").file_size = 8 * 10**12 + len(content) - 8
    assert refused(tmp_path / "a.npz", read_npz).expected == "arrays that fit into memory"


@pytest.mark.parametrize("inside", [True, False], ids=["an object array", "a bare pickle"])
def test_a_pickle_is_not_run(way, tmp_path, inside):
    class Boom:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path / 'ran'}",)

    array = np.array([Boom()], dtype=object)
    finding = refused(
        *way(saved(array, allow_pickle=True) if inside else pickle.dumps(Boom()))
    )
    assert ("Python objects" if inside else "magic string") in finding.got
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("mapped", [False, True], ids=["read", "mapped"])
def test_an_archive_is_no_npy_file(tmp_path, mapped):
    np.savez(tmp_path / "a.npz", x=X)
    path = (tmp_path / "a.npz").rename(tmp_path / "x.npy")
    assert "magic string" in refused(path, partial(read_npy, mapped=mapped)).got


@pytest.mark.parametrize("mapped", [False, True], ids=["read", "mapped"])
def test_a_single_number_is_no_npy_file_of_rows(tmp_path, mapped):
    np.save(tmp_path / "x.npy", np.float32(3))
    finding = refused(tmp_path / "x.npy", partial(read_npy, mapped=mapped))
    assert finding.got == "a single number"


@pytest.mark.parametrize("read", [read for _, read in WAYS.values()], ids=WAYS)
def test_a_missing_file_is_named(tmp_path, read):
    assert refused(tmp_path / "nowhere", read).got == "no such file"


@pytest.mark.parametrize("read", [read for _, read in WAYS.values()], ids=WAYS)
def test_a_folder_is_refused(tmp_path, read):
    refused(tmp_path, read)


def test_no_damaged_byte_is_anything_but_data_or_refused(way):
    path, read = way(saved(X))
    good = path.read_bytes()
    rng = np.random.default_rng(0)
    for position in range(len(good)):
        damaged = bytearray(good)
        damaged[position] = rng.integers(256)
        path.write_bytes(damaged if position % 3 else damaged[:position])
        with suppress(DataError):
            read(path)
