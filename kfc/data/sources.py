"""The name of a data set -> its rows, values untouched.

A source is a function from the text behind the colon (`digits` in `sklearn:digits`) to a
`Source`. The libraries behind them are imported when their source is used.
"""

from __future__ import annotations

import math
import os
import threading
import urllib.error
import urllib.request
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from kfc.data.idx import read_idx
from kfc.data.mapped import Mapped
from kfc.data.rows import Rows, Source
from kfc.errors import DataError, Fault, nearest

SKLEARN = ("breast_cancer", "diabetes", "digits", "iris", "wine")
_REACH_SECONDS = 4.0  # tensorflow-datasets itself tries for 205 s
_DECODED_AT_ONCE = 1024  # rows; tensorflow-datasets' own choice takes twice as long


def sklearn(name: str) -> Source:
    """Reads one of the real data sets embedded in scikit-learn; needs no network.

    Raises:
        DataError: If `name` is none of them.
    """
    if name not in SKLEARN:
        known = ", ".join(SKLEARN)
        raise DataError(
            Fault(
                "data.source",
                "a data set inside scikit-learn",
                repr(f"sklearn:{name}"),
                f"{nearest(name, SKLEARN)}Known: {known}.",
            )
        )
    import sklearn.datasets

    bunch = getattr(sklearn.datasets, f"load_{name}")()
    labels = getattr(bunch, "target_names", None)
    return Source(
        Rows(bunch.data, bunch.target),
        labels=None if labels is None else tuple(str(label) for label in labels),
    )


def idx(folder: str) -> Source:
    """Reads a folder of MNIST-format files, plain or gzipped.

    Raises:
        DataError: If a file is missing or damaged.
    """
    path = Path(folder)
    if not path.is_dir():
        raise DataError(
            Fault(
                "data.source",
                "a folder of IDX files",
                repr(f"idx:{folder}"),
                "Paths are relative to the current folder.",
            )
        )
    train, test = (
        Rows(
            read_idx(_idx_file(path, f"{part}-images", 3)),
            read_idx(_idx_file(path, f"{part}-labels", 1)),
        )
        for part in ("train", "t10k")
    )
    return Source(train, test)


def _idx_file(folder: Path, stem: str, dimensions: int) -> Path:
    names = [f"{stem}{mark}idx{dimensions}-ubyte" for mark in "-."]
    for name in (*names, *(f"{name}.gz" for name in names)):
        if (folder / name).is_file():
            return folder / name
    raise DataError(
        Fault(
            str(folder),
            f"{names[0]} or {names[0]}.gz",
            "no such file",
            "MNIST's own file names are read: train-... and t10k-..., images and labels.",
        )
    )


def npz(file: str) -> Source:
    """Reads arrays `x` and `y`, and `x_test` and `y_test` where there are any.

    Raises:
        DataError: If the file is missing, damaged, pickled, lacks an array, or declares
            more than it holds.
    """
    arrays = npz_arrays(file)
    if missing := {"x", "y"} - set(arrays):
        raise _bad_npz(
            file,
            f"an array named {' and one named '.join(sorted(missing))}",
            ", ".join(sorted(arrays)) or "no arrays",
        )
    if ("x_test" in arrays) != ("y_test" in arrays):
        raise _bad_npz(file, "x_test and y_test together", "only one of them")
    test = Rows(arrays["x_test"], arrays["y_test"]) if "x_test" in arrays else None
    return Source(Rows(arrays["x"], arrays["y"]), test)


def npy(folder: str) -> Source:
    """Reads `x.npy` and `y.npy` of a folder, and `x_test.npy` and `y_test.npy`.

    Inputs stay on the disk until they are needed, so they may be larger than memory.

    Raises:
        DataError: If a file is missing, damaged or pickled.
    """
    path = Path(folder)
    train = Rows(Mapped(_npy(path / "x.npy")), np.array(_npy(path / "y.npy")))
    if not any((path / name).exists() for name in ("x_test.npy", "y_test.npy")):
        return Source(train)
    test = Rows(Mapped(_npy(path / "x_test.npy")), np.array(_npy(path / "y_test.npy")))
    return Source(train, test)


def _npy(file: Path) -> np.ndarray:
    try:
        array = np.load(file, mmap_mode="r", allow_pickle=False)
        if not isinstance(array, np.ndarray) or array.ndim == 0:
            raise ValueError("no rows")
        return array
    # On damaged bytes NumPy raises a dozen kinds, SyntaxError among them.
    except Exception as error:
        got = "no such file" if isinstance(error, FileNotFoundError) else str(error)
        remedy = "Write it with numpy.save(file, array)."
        raise DataError(Fault(str(file), "a .npy file of numbers", got, remedy)) from error


def npz_arrays(file: str) -> dict[str, np.ndarray]:
    """Returns the arrays of a .npz file by name; pickles are refused.

    Raises:
        DataError: If the file is missing, damaged, or declares more than it holds.
    """
    try:
        _check_npz_headers(file)
        with np.load(file, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except FileNotFoundError as error:
        raise _bad_npz(file, "a .npz file", "no such file") from error
    # On damaged bytes zipfile and NumPy raise a dozen kinds, zlib.error and
    # NotImplementedError among them.
    except Exception as error:
        got = str(error) or type(error).__name__
        raise _bad_npz(file, "a .npz file of plain arrays", got) from error


def _check_npz_headers(file: str) -> None:
    """Refuses members whose header declares another size than the archive holds."""
    with zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            with archive.open(info) as member:
                version = np.lib.format.read_magic(member)
                read = {
                    (1, 0): np.lib.format.read_array_header_1_0,
                    (2, 0): np.lib.format.read_array_header_2_0,
                }.get(version)
                if read is None:
                    raise ValueError(f"{info.filename}: .npy version {version}")
                shape, _, dtype = read(member)
                declared = math.prod(shape) * dtype.itemsize
                held = info.file_size - member.tell()
            if dtype.hasobject:
                raise ValueError(f"{info.filename} holds Python objects")
            if declared != held:
                raise ValueError(
                    f"{info.filename} declares {declared:,} bytes and holds {held:,}"
                )


def _bad_npz(file: str, expected: str, got: str) -> DataError:
    remedy = "Write it with numpy.savez(file, x=..., y=...)."
    return DataError(Fault(f"npz:{file}", expected, got, remedy))


def tfds(name: str) -> Source:
    """Reads a tensorflow-datasets set with (image or features, label).

    Prepared data is read from `TFDS_DATA_DIR` (or `~/tensorflow_datasets`); other data is
    downloaded there first, checksums enforced.

    Raises:
        DataError: If there is no such set, it is neither prepared nor reachable, or it has
            no pair of input and label.
    """
    import tensorflow_datasets

    builder = _tfds_builder(tensorflow_datasets, name)
    if not builder.is_prepared():
        _check_reachable(name, list(builder.url_infos))
        _prepare(tensorflow_datasets, builder, name)
    if builder.info.supervised_keys is None or "train" not in builder.info.splits:
        raise DataError(
            Fault(
                f"tfds:{name}",
                "a set with a train split of (image or features, label)",
                f"splits {', '.join(builder.info.splits) or 'none'}",
                "Choose another set, or save it as .npz and use npz:FILE.",
            )
        )

    reading = tensorflow_datasets.ReadConfig(
        try_autocache=False, num_parallel_calls_for_decode=_DECODED_AT_ONCE
    )

    def rows(split: str) -> Rows:
        whole = builder.as_dataset(
            split=split, batch_size=-1, as_supervised=True, read_config=reading
        )
        x, y = tensorflow_datasets.as_numpy(whole)
        return Rows(x, y)

    target = builder.info.features[builder.info.supervised_keys[1]]
    labels = tuple(target.names) if getattr(target, "names", None) else None
    test = rows("test") if "test" in builder.info.splits else None
    return Source(rows("train"), test, labels)


def _tfds_builder(library: Any, name: str) -> Any:
    # Without this, building an unprepared set asks a cloud bucket first, for minutes
    # where there is no network.
    library.core.utils.gcs_utils._is_gcs_disabled = True
    try:
        return library.builder(name)
    # An ImportError for `huggingface:...`, whose package is another one.
    except (
        library.core.DatasetNotFoundError,
        ValueError,
        AssertionError,
        ImportError,
    ) as error:
        raise DataError(
            Fault(
                "data.source",
                "a tensorflow-datasets set",
                repr(f"tfds:{name}"),
                nearest(name, library.list_builders(with_community_datasets=False))
                or "https://www.tensorflow.org/datasets/catalog lists them.",
            )
        ) from error


def _check_reachable(name: str, urls: Iterable[str]) -> None:
    """Refuses within seconds what tensorflow-datasets would wait minutes for."""
    answers: list[bool] = []

    def ask(url: str) -> None:
        try:
            request = urllib.request.Request(url, method="HEAD")
            urllib.request.urlopen(request, timeout=_REACH_SECONDS).close()
            answers.append(True)
        except urllib.error.HTTPError:
            answers.append(True)  # somebody answered: the download will say the rest
        except (OSError, ValueError):
            answers.append(False)

    url = next(iter(urls), "https://storage.googleapis.com")
    # A thread, because looking up a host's name has no timeout of its own.
    asking = threading.Thread(target=ask, args=(url,), daemon=True)
    asking.start()
    asking.join(_REACH_SECONDS)
    if not any(answers):
        raise _unprepared(name, f"no answer from {url.split('/')[2]}")


def _prepare(library: Any, builder: Any, name: str) -> None:
    config = library.download.DownloadConfig(verify_ssl=True)
    try:
        builder.download_and_prepare(download_config=config)
    # Whatever fails here (network, checksum, disk, a missing package) has the same cures.
    except Exception as error:
        raise _unprepared(name, f"{type(error).__name__}: {error}") from error


def _unprepared(name: str, got: str) -> DataError:
    here = os.environ.get("TFDS_DATA_DIR", "not set")
    return DataError(
        Fault(
            f"tfds:{name}",
            "prepared data, or a network to download it",
            got,
            "Three ways out: set TFDS_DATA_DIR to a folder that holds it prepared "
            f"(it is {here}), use idx:FOLDER with MNIST-format files, or connect to a "
            "network.",
        )
    )
