"""Writes a script of at most 80 lines that trains the network of a spec without kfc.

The text is in `script.py.jinja` and `data.py.jinja`; this module computes the values that the
two templates fill in.
"""

from __future__ import annotations

import functools
import json
import math
import os
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from kfc.data import Prepared, Source, prepare, read_source
from kfc.data.tables import is_table_source
from kfc.ejecting.refusals import check_ejectable, check_resolved, refused
from kfc.ejecting.script_layers import script_layers
from kfc.ejecting.script_scaling import scaling_lines
from kfc.ejecting.script_splits import script_splits, splits_by_sklearn
from kfc.ejecting.script_table import (
    ScriptTable,
    check_table_lines,
    script_table,
    table_scaling,
)
from kfc.runs import make_plan
from kfc.spec import Spec, SpecLike, load_spec
from kfc.training.engine import EVALUATION_BATCH, compiles_steps_only

MAX_LINES = 80
MAX_COLUMNS = 95

_OR = "--- or ---\n"
"""Line of a template between two alternatives."""

_SLOTS: dict[str, dict[str, str]] = {
    "adam": {"means": "m", "squares": "v"},
    "adamw": {"means": "m", "squares": "v"},
    "rmsprop": {"squares": "v"},
    "sgd": {"means": "m"},
    "tape_sgd": {},
}
"""Moving averages that an optimizer keeps for each weight: their list, and one of them."""


def eject(spec: SpecLike, overrides: Mapping[str, Any] | None = None) -> str:
    """Writes a stand-alone script that trains the network of a spec.

    The script imports NumPy, TensorFlow and the library that reads the data. On the same
    machine it ends with the weights of `kfc fit`, bit for bit, and prints their SHA-256.

    Args:
        spec: Built-in spec's name, file, dict or `kfc.Spec`.
        overrides: Dotted keys of the spec with their values, such as `{"training.epochs": 3}`.

    Returns:
        Text of the script.

    Raises:
        SpecError: If a short script cannot do the work of the spec.
        DataError: If the data cannot be read.

    Examples:
        >>> script = kfc.eject("digits", overrides={"training.epochs": 2})
        >>> len(script.splitlines()) <= 80
        True
    """
    checked = load_spec(spec, overrides)
    check_ejectable(checked)
    read = functools.cache(read_source)
    plan = make_plan(
        checked, preparer=functools.partial(prepare, read=read), insist_on_threads=False
    )
    check_ejectable(plan.spec)
    table = None
    if is_table_source(plan.spec.data.source):
        table = script_table(plan.spec, plan.prepared)
    source = table.source if table else read(str(plan.spec.data.source))
    script = _render(plan.spec, source, plan.prepared, table)
    lines = script.splitlines()
    if len(lines) > MAX_LINES or max(map(len, lines)) > MAX_COLUMNS:
        raise refused(
            "network.hidden",
            f"a script of at most {MAX_LINES} lines of {MAX_COLUMNS} columns",
            f"{len(lines)} of up to {max(map(len, lines))}",
        )
    return script


def _render(spec: Spec, source: Source, prepared: Prepared, table: ScriptTable | None) -> str:
    """Returns the template with all values filled in."""
    check_resolved(spec, source, prepared.task)
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent, "utf-8"),
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # Python, not HTML
        keep_trailing_newline=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        first_that_fits=_first_that_fits,
        indented=lambda text, width: textwrap.indent(text.rstrip("\n"), " " * width),
        quoted=functools.partial(json.dumps, ensure_ascii=False),
    )
    values = {
        "spec": spec,
        "task": prepared.task,
        "table": table,
        **_data_values(spec, source, prepared, table),
        **_network_values(spec, prepared),
        **_training_values(spec, len(prepared.train)),
    }
    if table is not None:
        lines = environment.get_template("data.py.jinja").render(values)
        check_table_lines(lines, prepared, table)
    return environment.get_template("script.py.jinja").render(values)


def _first_that_fits(text: str, indent: int = 0) -> str:
    """Returns the first of several alternatives whose lines are short enough, else the last.

    Args:
        text: Alternatives, with a line `--- or ---` between them.
        indent: Number of spaces that later precede each line.
    """
    *first, last = text.split(_OR)
    fits = (one for one in first if max(map(len, one.splitlines())) <= MAX_COLUMNS - indent)
    return next(fits, last)


def _data_values(
    spec: Spec, source: Source, prepared: Prepared, table: ScriptTable | None
) -> dict[str, Any]:
    """Returns the values of the lines that read, split and scale the data."""
    kind, _, argument = str(spec.data.source).partition(":")
    idx_files = _idx_files(Path(argument)) if kind == "idx" else []
    splits = script_splits(spec, source, prepared)
    if table is not None:
        scaling = table_scaling(spec, prepared, table)
    else:
        rows = "x[rows]" if splits else "x"
        scaling = scaling_lines(spec, source, prepared, rows=rows, columns=MAX_COLUMNS)
    return {
        "kind": kind,
        "argument": argument,
        "has_test": source.test is not None,
        "has_validation": prepared.validation is not None,
        "validation_rows": len(prepared.validation or ()),
        "target_columns": math.prod(np.asarray(source.train.y).shape[1:]),
        "idx_files": idx_files,
        "gzipped": any(file.suffix == ".gz" for file in idx_files),
        "splits": splits,
        "by_sklearn": splits_by_sklearn(spec),
        "scaling": scaling,
    }


def _idx_files(folder: Path) -> list[Path]:
    """Returns the files of images and labels that kfc reads."""
    found = []
    for part in ("train", "t10k"):
        for stem, number in (("images", "idx3"), ("labels", "idx1")):
            names = [f"{part}-{stem}{mark}{number}-ubyte" for mark in "-."]
            paths = [folder / name for name in (*names, *(f"{name}.gz" for name in names))]
            found.append(next(path for path in paths if path.is_file()))
    if len({path.suffix == ".gz" for path in found}) > 1:
        raise refused("data.source", "files all plain or all gzipped", str(folder))
    return found


def _network_values(spec: Spec, prepared: Prepared) -> dict[str, Any]:
    """Returns the values of the lines of the network and its loss."""
    task = prepared.task
    layers = script_layers(spec, task, num_rows=len(prepared.train))
    outputs = layers[-1].units
    if not task.classification:
        loss_kind = "squared_error"
    elif spec.training.loss and spec.training.loss.full_name(spec.training.loss.name) == (
        "mean_squared_error"
    ):
        loss_kind = "one_hot"
    else:
        loss_kind = "binary" if outputs == 1 else "cross_entropy"
    drops = any(layer.dropout for layer in layers)
    normalizes = any(layer.normalizes for layer in layers)
    # The type of the labels is that of kfc: XLA derives from it how it sums over a batch.
    label_type = {"one_hot": "float32", "cross_entropy": "int32"}.get(loss_kind, "")
    return {
        "layers": layers,
        "widths": [layers[0].inputs, *(layer.units for layer in layers)],
        "drops": drops,
        "normalizes": normalizes,
        "looped": drops or normalizes,
        "penalties": [layer.penalty for layer in layers if layer.penalty],
        "standardized": not task.target_scaling.is_identity,
        "loss_kind": loss_kind,
        "label_type": "" if outputs == 1 else label_type,
    }


def _cosine_values(spec: Spec, schedule: Any, num_rows: int) -> dict[str, int]:
    """Returns the steps of a cosine's warmup and of its decay."""
    steps_per_epoch = spec.training.steps_per_epoch(num_rows)
    rest = max(spec.training.epochs - schedule.warmup_epochs, 1 / steps_per_epoch)
    return {
        "warmup_steps": max(1, round(schedule.warmup_epochs * steps_per_epoch)),
        "decay_steps": max(1, round((schedule.decay_epochs or rest) * steps_per_epoch)),
    }


def _training_values(spec: Spec, num_rows: int) -> dict[str, Any]:
    """Returns the values of the lines of the update and of the loop over epochs."""
    training, optimizer = spec.training, spec.training.optimizer
    schedule = optimizer.schedule()
    has_slots = optimizer.name != "sgd" or optimizer.options["momentum"]
    drops = any(layer.dropout for layer in spec.network.layers())
    num_full, short_rows = divmod(num_rows, training.batch_size)
    steps_only = compiles_steps_only(spec)
    xla = training.engine == "xla" and bool(num_full or not steps_only)
    return {
        "xla": xla,
        "compiles_all": xla and not steps_only,
        "has_short_step": xla and steps_only and short_rows > 0,
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
        "optimizer": optimizer.name,
        "optimizer_name": "SGD" if optimizer.name == "tape_sgd" else optimizer.name.title(),
        "slots": _SLOTS[optimizer.name] if has_slots else {},
        "schedule": schedule,
        **(_cosine_values(spec, schedule, num_rows) if schedule else {}),
        "counts_steps": bool(optimizer.name.startswith("adam") or schedule or drops),
        "stopping": training.early_stopping,
        "evaluation_batch": EVALUATION_BATCH,
    }
