"""The table of checks: each may refuse a spec, its data or its training.

A row has a code, the stage at which the check runs, the error that refuses, and the module of
the function that looks for the problem, whose name is the code. The function is in the folder
whose objects it looks at. The table has module names instead of functions, as a registry does,
so that every folder can run checks, and so that listing them imports no TensorFlow.

A check returns its findings without a code: the code and the severity come from the table.
"""

from __future__ import annotations

import importlib
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any, Literal

from kfc.errors import DataError, Finding, KfcError, NumbersError, Severity, SpecError

Stage = Literal[
    "spec",
    "inputs",
    "source",
    "names",
    "table",
    "columns",
    "other_table",
    "table_columns",
    "encoded_table",
    "encoding_table",
    "data",
    "task",
    "classes",
    "pixels",
    "encoding",
    "training_data",
    "held_out",
    "row_labels",
    "fold",
    "split",
    "scaling",
    "scaled",
    "weighting",
    "before_training",
    "distribution",
    "before_search",
    "while_training",
    "averaging",
]


@dataclass(frozen=True)
class Check:
    """One row of the table.

    Args:
        code: Name of the problem, which a spec may list in `accept`.
        stage: Moment at which the check runs.
        error: Class of the error that refuses.
        module: Module of the function called `code`, which returns a `Finding`, several of
            them, or None.
        severity: `error` for a check that refuses, otherwise `warning`.
    """

    code: str
    stage: Stage
    error: type[KfcError]
    module: str
    severity: Severity = "error"

    def find(self, *arguments: Any, **options: Any) -> tuple[Finding, ...]:
        """Runs the check and returns its findings, none where nothing is wrong."""
        function = getattr(importlib.import_module(self.module), self.code)
        found = function(*arguments, **options) or ()
        found = (found,) if isinstance(found, Finding) else found
        return tuple(replace(each, code=self.code, severity=self.severity) for each in found)

    def run(self, *arguments: Any, **options: Any) -> tuple[Finding, ...]:
        """Runs the check and refuses where its severity is `error`.

        Returns:
            The findings of a warning; none of an error.

        Raises:
            KfcError: The `error` of this row, with all findings.
        """
        found = self.find(*arguments, **options)
        if found and self.severity == "error":
            raise self.error(*found)
        return found


_TABLES = "kfc.data.tables.table_source"
_COLUMNS = "kfc.data.tables.column_checks"

CHECKS = (
    # A spec is loaded: (spec).
    Check("conflicting_keys", "spec", SpecError, "kfc.spec.cross_checks"),
    # Inputs are read, to train on, to measure or to predict: (x, where, feature_names).
    Check("input_not_array", "inputs", DataError, "kfc.data.input_checks"),
    Check("input_empty", "inputs", DataError, "kfc.data.input_checks"),
    Check("input_shape", "inputs", DataError, "kfc.data.input_checks"),
    Check("input_type", "inputs", DataError, "kfc.data.input_checks"),
    Check("input_not_finite", "inputs", DataError, "kfc.data.input_checks"),
    Check("input_overflow", "inputs", DataError, "kfc.data.input_checks"),
    # Rows are about to be read: (spec, their form).
    Check("key_without_effect", "source", SpecError, "kfc.data.source_reading"),
    # The names of a table are read: (names, where).
    Check("column_name_empty", "names", DataError, "kfc.data.tables.column_names"),
    Check("column_name_repeated", "names", DataError, "kfc.data.tables.column_names"),
    # A table is read: (table, target).
    Check("target_column_missing", "table", DataError, _TABLES),
    Check("target_cell_missing", "table", DataError, _TABLES),
    # The columns of a training table have types: (table, target, reports).
    Check("no_input_column", "columns", DataError, _TABLES),
    Check("column_constant", "columns", DataError, _COLUMNS, "warning"),
    Check("category_nearly_unique", "columns", DataError, _COLUMNS, "warning"),
    Check("number_is_id", "columns", DataError, _COLUMNS, "warning"),
    # A table of test or validation rows is read: (training table, other table).
    Check("column_not_in_training", "other_table", DataError, _COLUMNS, "warning"),
    # The columns of a table are selected: (table, names, part).
    Check("input_column_missing", "table_columns", DataError, _TABLES),
    # A table is encoded: (encoding, training rows, other tables by their name in messages).
    Check(
        "target_in_column",
        "encoded_table",
        DataError,
        "kfc.data.target_leaks",
        "warning",
    ),
    Check(
        "training_rows_repeated",
        "encoded_table",
        DataError,
        "kfc.data.repeated_rows",
        "warning",
    ),
    # Another table is encoded for a trained network: (typed, table, where).
    Check("table_empty", "encoding_table", DataError, "kfc.runs.table_rows"),
    Check("unknown_category", "encoding_table", DataError, "kfc.runs.table_rows"),
    # Rows with targets are read: (rows, where).
    Check("target_not_array", "data", DataError, "kfc.data.row_checks"),
    Check("weight_not_array", "data", DataError, "kfc.data.row_checks"),
    Check("target_empty", "data", DataError, "kfc.data.row_checks"),
    Check("row_mismatch", "data", DataError, "kfc.data.row_checks"),
    Check("input_constant", "data", DataError, "kfc.data.row_checks"),
    Check("target_type", "data", DataError, "kfc.data.row_checks"),
    Check("target_not_finite", "data", DataError, "kfc.data.row_checks"),
    Check("weight_shape", "data", DataError, "kfc.data.row_checks"),
    Check("weight_type", "data", DataError, "kfc.data.row_checks"),
    Check("weight_not_finite", "data", DataError, "kfc.data.row_checks"),
    Check("weight_negative", "data", DataError, "kfc.data.row_checks"),
    Check("weight_all_zero", "data", DataError, "kfc.data.row_checks"),
    # The task is chosen, by the spec or else by the targets: (source, name, task).
    Check("target_ambiguous", "task", DataError, "kfc.data.targets"),
    # The classes of a classification are numbered: (source, name, task).
    Check("several_labels", "classes", DataError, "kfc.data.targets"),
    Check("only_one_class", "classes", DataError, "kfc.data.targets"),
    Check("negative_label", "classes", DataError, "kfc.data.targets"),
    Check("missing_label", "classes", DataError, "kfc.data.targets"),
    Check("labels_differ_in_blanks", "classes", DataError, "kfc.data.targets"),
    # The inputs may be pixels: (x, where, divided).
    Check("dark_pictures", "pixels", DataError, "kfc.data.encoding"),
    # Rows are encoded: (rows, where, classes, pixels).
    Check("streamed_type", "encoding", DataError, "kfc.data.encoding"),
    Check("pixel_range", "encoding", DataError, "kfc.data.encoding"),
    Check("pixels_scaled", "encoding", DataError, "kfc.data.encoding"),
    Check("label_shape", "encoding", DataError, "kfc.data.targets"),
    Check("unknown_label", "encoding", DataError, "kfc.data.targets"),
    Check("target_not_numeric", "encoding", DataError, "kfc.data.encoding"),
    # The raw training rows are compared with their encoding: (rows, where, regression).
    Check("input_precision", "training_data", DataError, "kfc.data.precision"),
    Check("target_precision", "training_data", DataError, "kfc.data.precision"),
    Check("target_constant", "training_data", DataError, "kfc.data.row_checks"),
    # Rows that are only measured join the training rows: (train, rows, where, cast).
    Check("held_out_weight", "held_out", DataError, "kfc.data.encoding"),
    Check("held_out_type", "held_out", DataError, "kfc.data.encoding"),
    Check("held_out_shape", "held_out", DataError, "kfc.data.encoding"),
    # Columns arrange the rows of a table: (table, key, name).
    Check("label_column_missing", "row_labels", DataError, "kfc.data.tables.row_labels"),
    Check("label_cell_missing", "row_labels", DataError, "kfc.data.tables.row_labels"),
    # Rows are split into the two parts of a fold: (request).
    Check("fold_not_of_rows", "fold", DataError, "kfc.data.fold_splits"),
    Check("too_few_for_folds", "fold", DataError, "kfc.data.fold_splits"),
    Check("group_on_both_sides", "fold", DataError, "kfc.data.fold_splits"),
    Check("class_not_in_fold", "fold", DataError, "kfc.data.fold_splits"),
    # Rows are split into two parts: (request).
    Check("one_group_alone", "split", DataError, "kfc.data.splits"),
    Check("class_of_one_row", "split", DataError, "kfc.data.splits"),
    Check("part_without_class", "split", DataError, "kfc.data.splits"),
    Check("no_row_left", "split", DataError, "kfc.data.splits"),
    Check("class_not_in_training", "split", DataError, "kfc.data.splits"),
    # A scaling is fitted: (scaling, x, where, scale), with the training rows.
    Check("unscaled_input", "scaling", DataError, "kfc.data.scaled_checks"),
    # Inputs are scaled, to train on, to measure or to predict: (scaling, x, where, names).
    Check("scaled_not_finite", "scaled", DataError, "kfc.data.scaled_checks"),
    # Sample weights and class weights are combined: (train, spec, task).
    Check("sample_weight_all_zero", "weighting", DataError, "kfc.data.sample_weight"),
    Check("class_weight_of_numbers", "weighting", SpecError, "kfc.data.sample_weight"),
    Check("class_weight_unknown", "weighting", SpecError, "kfc.data.sample_weight"),
    Check("class_weight_all_zero", "weighting", SpecError, "kfc.data.sample_weight"),
    Check("class_weight_overflow", "weighting", SpecError, "kfc.data.sample_weight"),
    # The network is about to be built: (spec, prepared), with `processes` that train at once.
    Check("monitor_undefined", "before_training", DataError, "kfc.training.metric_checks"),
    Check(
        "memory_too_small", "before_training", SpecError, "kfc.training.engine.memory_estimate"
    ),
    Check("too_few_for_intervals", "before_training", DataError, "kfc.runs.uncertainty"),
    # Devices or processes are about to share each batch: (spec, prepared, callbacks).
    Check(
        "not_distributed",
        "distribution",
        SpecError,
        "kfc.training.distributing.distribution_checks",
    ),
    # A search is about to begin: (objective, prepared).
    Check("objective_undefined", "before_search", DataError, "kfc.training.metric_checks"),
    # Runs are averaged: (runs).
    Check("members_missing", "averaging", SpecError, "kfc.ensembles.ensemble"),
    Check("members_differ", "averaging", SpecError, "kfc.ensembles.ensemble"),
    # Training runs; each check has arguments of its own.
    Check("no_gradient", "while_training", NumbersError, "kfc.training.step"),
    Check("loss_not_finite", "while_training", NumbersError, "kfc.training.finite_checks"),
    Check("weights_not_finite", "while_training", NumbersError, "kfc.training.finite_checks"),
    Check("metric_not_finite", "while_training", NumbersError, "kfc.training.finite_checks"),
)
"""Every check, in the order in which the checks of a stage run."""

_BY_CODE = {check.code: check for check in CHECKS}


def checks_of(stage: Stage) -> tuple[Check, ...]:
    """Returns the checks of a stage, in the order in which they run."""
    return tuple(check for check in CHECKS if check.stage == stage)


def run_checks(
    stage: Stage, *arguments: Any, accept: Collection[str] = (), **options: Any
) -> tuple[Finding, ...]:
    """Runs the checks of a stage; the first error that finds a problem refuses.

    A later check relies on the earlier ones: NaN is looked for among real numbers.

    Args:
        stage: Stage whose checks run.
        *arguments: Arguments of these checks.
        accept: Codes of the checks that are left out.
        **options: Keyword arguments of these checks.

    Returns:
        The findings of the warnings.

    Raises:
        KfcError: The error of the check that refuses.
    """
    return tuple(
        finding
        for check in checks_of(stage)
        if check.code not in accept
        for finding in check.run(*arguments, **options)
    )


def run_check(code: str, *arguments: Any) -> None:
    """Runs one check.

    Args:
        code: Code of the check.
        *arguments: Arguments of the check.

    Raises:
        KfcError: The error of the check, if it finds a problem.
    """
    _BY_CODE[code].run(*arguments)
