"""The built-in sources: data sets of scikit-learn, and IDX, `.npz` and `.npy` files.

A source is a function that takes the text after the colon, `digits` of `sklearn:digits`, and
returns a `Source` with unchanged values. A library is imported when its source is used.
"""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from kfc.data.rows import Rows, Source
from kfc.data.sources.idx import read_idx
from kfc.data.sources.name_lists import join_names
from kfc.data.sources.numpy_files import names_in_npz, read_npy, read_npz
from kfc.errors import DataError, Finding, nearest
from kfc.system import DiskArray, user_paths

SKLEARN = ("breast_cancer", "diabetes", "digits", "iris", "wine")


def sklearn(name: str) -> Source:
    """Reads one of the real data sets that scikit-learn contains; needs no network.

    Raises:
        DataError: If scikit-learn contains no such set.
    """
    if name not in SKLEARN:
        known = ", ".join(SKLEARN)
        raise DataError(
            Finding(
                "data.source",
                "a data set inside scikit-learn",
                repr(f"sklearn:{name}"),
                f"{nearest(name, SKLEARN)}Known: {known}.",
            )
        )
    import sklearn.datasets

    bunch = getattr(sklearn.datasets, f"load_{name}")()
    names = getattr(bunch, "target_names", None)
    return Source(
        Rows(bunch.data, bunch.target),
        class_names=None if names is None else tuple(map(str, names)),
        # The pixels of digits have names too, but the row is a picture.
        feature_names=() if name == "digits" else tuple(map(str, bunch.feature_names)),
    )


def idx(folder: str) -> Source:
    """Reads a folder of MNIST-format files, plain or gzipped.

    Raises:
        DataError: If a file is missing or damaged.
    """
    path = user_paths.expanded(folder)
    if not path.is_dir():
        raise DataError(
            Finding(
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
        Finding(
            str(folder),
            f"{names[0]} or {names[0]}.gz",
            "no such file",
            "Use the file names of MNIST: train-images-..., train-labels-... and t10k-....",
        )
    )


_ARRAYS = ("x", "y", "x_test", "y_test")
"""Names of the arrays that `npz:` and `npy:` read."""

_REMEDIES = {
    "weight": "Pass sample weights in Python, as data=(x, y, sample_weight).",
    "val": "Save validation rows as x and y in a file of their own, for data.validation.",
}
"""Remedy for an array with such a word in its name."""


def npz(file: str) -> Source:
    """Reads the arrays `x` and `y`, and perhaps `x_test` and `y_test`, of a `.npz` file.

    Raises:
        DataError: If the file is missing or damaged, if an array is missing or has an unknown
            name, or if its header declares another size.
    """
    path = user_paths.expanded(file)
    _check_names(file, names_in_npz(path))
    arrays = read_npz(path, needed=("x", "y"), only=_ARRAYS)
    if ("x_test" in arrays) != ("y_test" in arrays):
        expected, got = "x_test and y_test together", "only one of them"
        raise DataError(
            Finding(file, expected, got, "Save both with numpy.savez, or neither.")
        )
    test = Rows(arrays["x_test"], arrays["y_test"]) if "x_test" in arrays else None
    return Source(Rows(arrays["x"], arrays["y"]), test)


def npy(folder: str) -> Source:
    """Reads `x.npy` and `y.npy`, and perhaps `x_test.npy` and `y_test.npy`, of a folder.

    Inputs stay on the disk until they are needed, so they may be larger than memory.

    Raises:
        DataError: If a file is missing or damaged, if it has an unknown name, or if its
            header declares another size.
    """
    path = user_paths.expanded(folder)
    names = _names_in_folder(path)
    _check_names(folder, names)

    def rows(suffix: str) -> Rows:
        x = DiskArray(read_npy(path / f"x{suffix}.npy", mapped=True))
        return Rows(x, read_npy(path / f"y{suffix}.npy"))

    return Source(rows(""), rows("_test") if names & {"x_test", "y_test"} else None)


def _names_in_folder(folder: Path) -> set[str]:
    """Returns the names of the `.npy` files in a folder, without hidden ones."""
    try:
        files = list(folder.iterdir())
    except (OSError, ValueError):  # reading the files gives the message
        return set()
    return {
        file.stem
        for file in files
        if file.suffix.lower() == ".npy" and not file.name.startswith(".")
    }


def _check_names(where: str, names: Collection[str]) -> None:
    """Refuses arrays with other names, which may be misspelt."""
    unknown = sorted({*names} - {*_ARRAYS})
    # Reading the arrays gives the message about a missing one.
    if not unknown or not {"x", "y"} <= {*names}:
        return
    remedy = nearest(unknown[0], _ARRAYS) or "Rename or remove the others."
    for word, better in _REMEDIES.items():
        if any(word in name.lower() for name in unknown):
            remedy = better
    expected = f"no other arrays than {', '.join(_ARRAYS)}"
    raise DataError(Finding(where, expected, join_names(unknown, most=10), remedy.rstrip()))
