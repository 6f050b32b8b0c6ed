"""A spec and its rows -> the lines that read, split and scale the same rows with NumPy.

Scikit-learn splits its own data sets. Elsewhere the script has no scikit-learn, so it does by
hand what `train_test_split` does: NumPy's old generator shuffles class by class. How many rows
of each class a part gets is decided here, and written into the script.
"""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np

from kfc.data import Prepared, Source
from kfc.ejecting.layers import COLUMNS
from kfc.ejecting.refusals import refused
from kfc.ejecting.split_lines import Splitter
from kfc.preprocessing import ScriptLines
from kfc.spec import Spec

_TEST_SHARE = 0.2  # of a source without test rows, as in `kfc.data.preparation`


class RowsText:
    """The part of a script that makes `x`, `y`, `x_val`, `y_val`, `x_test` and `y_test`.

    Args:
        spec: A resolved spec.
        source: Its data as they came.
        prepared: The same rows, split and measured.
        column: Whether targets are to be floats, (rows, outputs).
        label_type: What they are to be otherwise, `int32` or `float32`: as in kfc, since XLA
            derives from it how it sums over a batch.

    Raises:
        SpecError: If a script cannot make them by simple means.
    """

    def __init__(
        self, spec: Spec, source: Source, prepared: Prepared, *, column: bool, label_type: str
    ) -> None:
        self._spec, self._source, self._prepared = spec, source, prepared
        self._column, self._label_type = column, label_type
        self._kind, _, self._argument = str(spec.data.source).partition(":")
        self._classification = prepared.task.classification
        self._check_targets()

    @property
    def standard_imports(self) -> list[str]:
        """Modules of Python's own that the lines need."""
        return ["gzip"] if self._kind == "idx" and ".gz" in str(self._idx_files()) else []

    @property
    def imports(self) -> list[str]:
        """Import statements of the loader."""
        if self._kind == "tfds":
            return ["import tensorflow_datasets as tfds"]
        if self._kind == "sklearn":
            return [
                f"from sklearn.datasets import load_{self._argument}",
                "from sklearn.model_selection import train_test_split",
            ]
        return []

    def lines(self) -> list[str]:
        """Returns the lines that follow the imports."""
        readers = {
            "idx": self._idx,
            "npz": self._npz,
            "sklearn": self._sklearn,
            "tfds": self._tfds,
        }
        splits = self._splits()
        return [
            *readers[self._kind](),
            *self._numbers(),
            *splits,
            *self._scaling(),
            *self._targets(),
            *self._taken(),
        ]

    def _check_targets(self) -> None:
        """Refuses labels that are not the numbers of their classes."""
        y = np.asarray(self._source.train.y)
        if self._classification:
            classes = np.arange(len(self._prepared.task.class_names))
            if y.ndim != 1 or y.dtype.kind not in "iu" or set(np.unique(y)) - set(classes):
                got = ", ".join(str(value) for value in np.unique(y)[:3])
                raise refused("data.source", "classes numbered 0, 1, 2, ...", f"{got}, ...")

    # --- reading -------------------------------------------------------------------------

    def _sklearn(self) -> list[str]:
        return [f"x, y = load_{self._argument}(return_X_y=True)"]

    def _tfds(self) -> list[str]:
        splits = '["train", "test"]' if self._source.test else '["train"]'
        parts = "(x, y), (x_test, y_test)" if self._source.test else "((x, y),)"
        name = json.dumps(self._argument)
        return [
            f"sets = tfds.load({name}, split={splits}, batch_size=-1, as_supervised=True)",
            f"{parts} = tfds.as_numpy(sets)",
        ]

    def _npz(self) -> list[str]:
        lines = [f"arrays = np.load({json.dumps(self._argument)})"]
        lines += ['x, y = arrays["x"], arrays["y"]']
        if self._source.test:
            lines += ['x_test, y_test = arrays["x_test"], arrays["y_test"]']
        return lines

    def _idx(self) -> list[str]:
        files, features = self._idx_files(), math.prod(self._prepared.task.input_shape)
        zipped = files[0].suffix == ".gz"
        opened = (
            'gzip.open(f"{folder}/{name}")' if zipped else 'open(f"{folder}/{name}", "rb")'
        )
        return [
            f"folder, parts = {json.dumps(self._argument)}, []",
            "for name in (",
            *(f"    {json.dumps(file.name)}," for file in files),
            "):",
            f"    with {opened} as file:",
            '        head = 16 if "images" in name else 8  # bytes before the values',
            "        parts.append(np.frombuffer(file.read(), np.uint8, offset=head))",
            "x, y, x_test, y_test = parts",
            f"x, x_test = x.reshape(-1, {features}), x_test.reshape(-1, {features})",
        ]

    def _idx_files(self) -> list[Path]:
        """Returns the files of images and labels that kfc reads."""
        found = []
        for part in ("train", "t10k"):
            for what in ("images-idx3", "labels-idx1"):
                stem, digits = f"{part}-{what[:-5]}", what[-4:]
                names = [f"{stem}{mark}{digits}-ubyte" for mark in "-."]
                paths = [
                    Path(self._argument) / n for n in (*names, *(f"{n}.gz" for n in names))
                ]
                found.append(next(path for path in paths if path.is_file()))
        if len({path.suffix == ".gz" for path in found}) > 1:
            raise refused("data.source", "files all plain or all gzipped", self._argument)
        return found

    # --- splitting -----------------------------------------------------------------------

    def _splits(self) -> list[str]:
        """Returns the lines that make the numbers of rows, in the order of `prepare`."""
        data, lines = self._spec.data, []
        splitter = Splitter(
            np.asarray(self._source.train.y),
            seed=self._spec.seed,
            by_hand=self._kind != "sklearn",
            stratify=self._classification,
        )
        if self._source.test is None:
            lines += splitter.lines(_TEST_SHARE, "rows", "test")
        if data.rows is not None and data.rows < len(splitter.rows):
            lines += splitter.lines(data.rows, "others", "rows")
        if isinstance(data.validation, float) and data.validation > 0:
            lines += splitter.lines(data.validation, "rows", "val")
        return lines

    @property
    def _takes_rows(self) -> bool:
        """Whether some rows that were read are left out of training."""
        return bool(
            self._prepared.validation or self._source.test is None or self._spec.data.rows
        )

    def _taken(self) -> list[str]:
        """Returns the lines that take the rows of each part."""
        parts = {"x_val, y_val": "val"} if self._prepared.validation else {}
        if self._source.test is None:
            parts["x_test, y_test"] = "test"
        if self._takes_rows:
            parts["x, y"] = "rows"
        y = "y[{}]" if self._column else f"np.{self._label_type}(y[{{}}])"
        lines = [(names, f"x[{rows}], {y.format(rows)}") for names, rows in parts.items()]
        if len(lines) > 1:  # two parts on a line
            (first, one), (second, two), *others = lines
            lines = [(f"{first}, {second}", f"{one}, {two}"), *others]
        return [f"{names} = {taken}" for names, taken in lines]

    # --- numbers -------------------------------------------------------------------------

    @property
    def _loaded(self) -> list[str]:
        """Names of the inputs that were read."""
        return ["x", "x_test"] if self._source.test else ["x"]

    def _numbers(self) -> list[str]:
        """Returns the line after which every row is a vector of float32."""
        task, wide = self._prepared.task, len(self._prepared.task.input_shape) > 1
        flat = f"{{0}}.reshape(-1, {math.prod(task.input_shape)})" if wide else "{0}"
        flat = "{0}" if self._kind == "idx" else flat
        script = self._script_scaling()
        is_float = np.asarray(self._source.train.x).dtype.kind == "f"
        if script.dtype == "float32" or is_float:
            flat += f".astype(np.{script.dtype})"
        if task.scaling.is_per_feature:  # fitted below, to training rows alone
            return self._each(flat)
        return [*script.before, *self._each(script.expression.format(flat))]

    def _each(self, text: str) -> list[str]:
        """Returns the lines that do the same with all inputs read, on one line if it fits."""
        if len(self._loaded) == 1:
            return [f"x = {text.format('x')}"]
        line = f"x, x_test = ({text.format('a')} for a in (x, x_test))"
        if len(line) <= COLUMNS:
            return [line]
        return [f"{name} = {text.format(name)}" for name in self._loaded]

    def _scaling(self) -> list[str]:
        """Returns the lines that fit a scaling to training rows, and scale all rows."""
        if not self._prepared.task.scaling.is_per_feature:
            return []
        script = self._script_scaling()
        return [*script.before, *self._each(script.expression)]

    def _script_scaling(self) -> ScriptLines:
        name = self._spec.data.scale
        script = self._prepared.task.scaling.script_lines(
            name,
            np.asarray(self._prepared.train.x),
            rows="x" if not self._spec.data.rows and self._is_whole else "x[rows]",
            fused=self._spec.training.engine != "graph",
        )
        if script is None:
            raise refused("data.scale", "features of common sizes, none almost constant", name)
        return script

    @property
    def _is_whole(self) -> bool:
        return self._source.test is not None and self._prepared.validation is None

    def _targets(self) -> list[str]:
        """Returns the lines that make what the loss takes: labels, or a column of floats."""
        if not self._column:
            return [] if self._takes_rows else [f"y = np.{self._label_type}(y)"]
        names = [name.replace("x", "y") for name in self._loaded]
        columns = math.prod(np.asarray(self._source.train.y).shape[1:])
        return [f"{name} = {name}.astype(np.float32).reshape(-1, {columns})" for name in names]
