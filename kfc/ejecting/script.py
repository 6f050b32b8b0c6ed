"""A spec -> a script of at most 80 lines that ends with the weights of `kfc fit`."""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Mapping
from typing import Any

from kfc.data import Prepared, Source, prepare, read_source
from kfc.ejecting.data_lines import RowsText
from kfc.ejecting.layers import COLUMNS, LayersText, standardized
from kfc.ejecting.refusals import check_ejectable, check_resolved, refused
from kfc.ejecting.update_lines import StepText
from kfc.runs import make_plan
from kfc.spec import Spec, SpecLike, load_spec
from kfc.training.engine import EVALUATION_BATCH

MOST_LINES = 80


def eject(spec: SpecLike, overrides: Mapping[str, Any] | None = None) -> str:
    """Writes a stand-alone script that trains the network of a spec.

    It imports NumPy, TensorFlow and what reads the data; it ends with the weights of `kfc
    fit`, bit for bit, on the same machine, and prints their SHA-256.

    Args:
        spec: A built-in spec's name, a file, a dict or a `kfc.Spec`.
        overrides: Dotted path -> value, such as `{"training.epochs": 3}`.

    Returns:
        The text of the script.

    Raises:
        SpecError: If a short script cannot do what the spec says.
        DataError: If the data cannot be read.
    """
    checked = load_spec(spec, overrides)
    check_ejectable(checked)
    read = functools.cache(read_source)
    plan = make_plan(
        checked, preparer=functools.partial(prepare, read=read), insist_on_threads=False
    )
    check_ejectable(plan.spec)
    check_resolved(plan.spec, plan.prepared.task)
    source = read(str(plan.spec.data.source))
    lines = _Script(plan.spec, source, plan.prepared).lines()
    if len(lines) > MOST_LINES or max(map(len, lines)) > COLUMNS:
        raise refused(
            "network.hidden",
            f"a script of at most {MOST_LINES} lines of {COLUMNS} columns",
            f"{len(lines)} of up to {max(map(len, lines))}",
        )
    return "\n".join([*lines, ""])


class _Script:
    def __init__(self, spec: Spec, source: Source, prepared: Prepared) -> None:
        self.spec, self.task, num_rows = spec, prepared.task, len(prepared.train)
        self.prepared = prepared
        stopping = spec.training.early_stopping
        self.layers = LayersText(spec, prepared.task, num_rows=num_rows)
        column = not self.task.classification or self.layers.outputs == 1
        self.steps = StepText(
            spec,
            prepared.task,
            self.layers,
            num_rows=num_rows,
            loss_alone=bool(stopping and stopping.monitor == "val_loss"),
        )
        kind = self.steps.label_type
        self.rows = RowsText(spec, source, prepared, column=column, label_type=kind)

    def lines(self) -> list[str]:
        """Returns the script."""
        return [
            *self._head(),
            *self.rows.lines(),
            *self._target_scaling(),
            "",
            *self.layers.weights(),
            *self.steps.state(),
            "",
            "",
            *self.layers.network(),
            "",
            "",
            *self.steps.loss(),
            *self.steps.step(),
            "",
            "",
            *self._loop(),
        ]

    def _head(self) -> list[str]:
        widths = "-".join(map(str, self.layers.widths))
        xla = self.spec.training.engine == "xla"
        modules = sorted([*self.rows.standard_imports, "hashlib", *(["os"] if xla else [])])
        lines = [
            f'"""{self.spec.name}: {widths}, by hand, to the same bits as `kfc fit`."""',
            "",
            *(f"import {module}" for module in modules),
            "",
        ]
        if xla:
            flags = json.dumps(os.environ.get("XLA_FLAGS", ""))
            lines += [f'os.environ["XLA_FLAGS"] = {flags}  # before TensorFlow starts']
        lines += ["import numpy as np", "import tensorflow as tf", *self.rows.imports, ""]
        if not xla:  # as kfc's graphs
            option = 'set_experimental_options({"disable_meta_optimizer": True})'
            lines.append(f"tf.config.optimizer.{option}  # as written")
        if threads := self.spec.training.threads:
            lines += [
                f"tf.config.threading.set_intra_op_parallelism_threads({threads})",
                f"tf.config.threading.set_inter_op_parallelism_threads({threads})",
            ]
        return lines

    def _target_scaling(self) -> list[str]:
        """Returns the lines that fit the scaling of a regression's targets."""
        if self.task.classification or not standardized(self.task):
            return []
        if self.task.outputs > 1:
            raise refused("data.scale_target", "none for several targets", "standard")
        return self.task.target_scaling.script_lines()

    # --- the loop ------------------------------------------------------------------------

    def _measure(self, part: str) -> str:
        x, y = f"x_{part}", f"y_{part}"
        if not self.task.classification:
            return f"np.mean(np.abs(network({x}) - {y}))"
        if self.layers.outputs == 1:
            return f"np.mean((network({x}) > 0) == {y})"
        return f"np.mean(np.argmax(network({x}), axis=1) == {y})"

    def _loop(self) -> list[str]:
        training, seed = self.spec.training, self.spec.seed
        order = (
            f"np.random.Generator(np.random.Philox(key=[{seed}, epoch])).permutation(len(x))"
        )
        if not training.shuffle:
            order = "np.arange(len(x))"
        before, inside, after = self._stopping()
        part = "val" if self.prepared.validation else "test"
        name = "accuracy" if self.task.classification else "mae"
        told = [f'    print(epoch + 1, "{part}_{name}", {self._measure(part)})']
        if "measured" in "".join(inside) or len(told[0]) > COLUMNS:
            told = [
                f"    measured = {self._measure(part)}",
                f'    print(epoch + 1, "{part}_{name}", measured)',
            ]
        return [
            *before,
            f"for epoch in range({training.epochs}):",
            f"    order = {order}",
            f"    for batch in np.split(order, range({training.batch_size}, len(x), "
            f"{training.batch_size})):",
            "        train_step(x[batch], y[batch])",
            *told,
            *inside,
            *after,
            f'print("test_{name}", {self._measure("test")})',
            'content = b"".join(w.numpy().tobytes() for w in weights)',
            'print("weights_sha256", hashlib.sha256(content).hexdigest())',
        ]

    def _stopping(self) -> tuple[list[str], list[str], list[str]]:
        """Returns what early stopping needs before, in and after the loop over epochs."""
        stopping = self.spec.training.early_stopping
        if stopping is None:
            return [], [], []
        delta = stopping.min_delta
        if stopping.monitor == "val_loss":
            start, value = "np.inf", self._val_loss()
            better = f"value + {delta!r} < best" if delta else "value < best"
        else:
            start, value = "-np.inf", ["    value = float(np.float32(measured))"]
            better = f"value - {delta!r} > best" if delta else "value > best"
        restore = stopping.restore_best_weights
        kept = ", [w.numpy() for w in weights]" if restore else ""
        names = ", best_weights" if restore else ""
        return (
            [f"best = {start}"],
            [
                *value,
                f"    if {better}:",
                f"        best, best_epoch{names} = value, epoch{kept}",
                f"    if epoch - best_epoch >= {max(1, stopping.patience)}:",
                "        break",
            ],
            [
                "for w, best_w in zip(weights, best_weights, strict=True):",
                "    w.assign(best_w)",
            ]
            if restore
            else [],
        )

    def _val_loss(self) -> list[str]:
        """Returns the lines that find `val_loss` as an evaluation of kfc rounds it."""
        if len(self.prepared.validation or ()) <= EVALUATION_BATCH:
            return ["    value = float(mean_loss(x_val, y_val) * len(x_val) / len(x_val))"]
        size = EVALUATION_BATCH
        return [
            f"    parts = np.split(np.arange(len(x_val)), range({size}, len(x_val), {size}))",
            "    total = sum(mean_loss(x_val[p], y_val[p]) * len(p) for p in parts)",
            "    value = float(total / len(x_val))",
        ]
