"""The table of checks: each may refuse a spec, its data or its training.

A row has a code and a name, the stage at which the check runs, the error that refuses, and the
module of the function that looks for the problem, which has the name of the row. The function
is in the folder whose objects it looks at. The table has module names instead of functions, as
a registry does, so that every folder can run checks, and so that listing them imports no
TensorFlow.

The first digit of a code says when the problem shows: KFC1xx in the spec, KFC2xx in the data,
KFC3xx in the first steps, KFC4xx while training. A code is never used again for another
problem. `kfc doctor --explain CODE` prints its page, `docs/findings/CODE.md`.
"""

from __future__ import annotations

import importlib
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
    "explained",
    "before_training",
    "distribution",
    "before_search",
    "while_training",
    "trained",
    "averaging",
    "parts",
    "learned_parts",
    "rows",
    "targets",
    "loss",
    "structure",
    "outputs",
    "start",
    "steps",
]


@dataclass(frozen=True)
class Check:
    """One row of the table.

    Args:
        code: Number of the problem, such as `KFC205`; a spec may list it in `accept`.
        name: Name of the problem, which a spec may list as well.
        stage: Moment at which the check runs.
        error: Class of the error that refuses.
        module: Module of the function called `name`, which returns a `Finding`, several of
            them, or None.
        severity: `error` for a check that refuses, otherwise `warning`.
        may_accept: Whether a spec may accept an error, as it may every warning.
    """

    code: str
    name: str
    stage: Stage
    error: type[KfcError]
    module: str
    severity: Severity = "error"
    may_accept: bool = False

    @property
    def acceptable(self) -> bool:
        """Whether `accept` of a spec may list the check."""
        return self.may_accept or self.severity == "warning"

    def find(self, *arguments: Any, **options: Any) -> tuple[Finding, ...]:
        """Runs the check and returns its findings, none where nothing is wrong."""
        function = getattr(importlib.import_module(self.module), self.name)
        found = function(*arguments, **options) or ()
        found = (found,) if isinstance(found, Finding) else found
        about: dict[str, Any] = {"code": self.code, "name": self.name}
        return tuple(replace(each, severity=self.severity, **about) for each in found)

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


_ROW_LABELS = "kfc.data.tables.row_labels"
_WEIGHTS = "kfc.data.sample_weight"
_METRICS = "kfc.training.metric_checks"
_NAMES = "kfc.data.tables.column_names"
_PREDICTED = "kfc.explaining.predicted_checks"
_FINITE = "kfc.training.finite_checks"
_PARTS = "kfc.data.part_checks"
_VALUES = "kfc.data.value_checks"
_LEARNED = "kfc.data.learned_checks"
_TARGETS = "kfc.first_steps.target_checks"
_STRUCTURE = "kfc.first_steps.structure_checks"
_OUTPUTS = "kfc.first_steps.output_checks"
_START = "kfc.first_steps.start_checks"
_UPDATES = "kfc.first_steps.update_checks"
_SETTINGS = "kfc.first_steps.setting_checks"
_ROW_WEIGHTS = "kfc.first_steps.row_weight_checks"
_STOPPING = "kfc.first_steps.stopping_checks"
_ROWS = "kfc.first_steps.model_input_checks"
_LOSS = "kfc.first_steps.loss_checks"
_STEPS = "kfc.first_steps.step_checks"
_SCALED = "kfc.data.scaled_checks"
_TABLES = "kfc.data.tables.table_source"
_TRAINED = "kfc.runs.trained_checks"
_COLUMNS = "kfc.data.tables.column_checks"
_LEAKS = "kfc.data.target_leaks"
_REPEATED = "kfc.data.repeated_rows"
_MEMORY = "kfc.training.engine.memory_estimate"
_UNCERTAINTY = "kfc.runs.uncertainty"
_DISTRIBUTION = "kfc.training.distributing.distribution_checks"

CHECKS = (
    # A spec is loaded: (spec).
    Check("KFC101", "conflicting_keys", "spec", SpecError, "kfc.spec.cross_checks"),
    # Inputs are read, to train on, to measure or to predict: (x, where, feature_names).
    Check("KFC201", "input_not_array", "inputs", DataError, "kfc.data.input_checks"),
    Check("KFC202", "input_empty", "inputs", DataError, "kfc.data.input_checks"),
    Check("KFC203", "input_shape", "inputs", DataError, "kfc.data.input_checks"),
    Check("KFC204", "input_type", "inputs", DataError, "kfc.data.input_checks"),
    Check("KFC205", "input_not_finite", "inputs", DataError, "kfc.data.input_checks"),
    Check("KFC206", "input_overflow", "inputs", DataError, "kfc.data.input_checks"),
    # Rows are about to be read: (spec, their form).
    Check("KFC102", "key_without_effect", "source", SpecError, "kfc.data.source_reading"),
    # The names of a table are read: (names, where).
    Check("KFC207", "column_name_empty", "names", DataError, _NAMES),
    Check("KFC208", "column_name_repeated", "names", DataError, _NAMES),
    # A table is read: (table, target).
    Check("KFC209", "target_column_missing", "table", DataError, _TABLES),
    Check("KFC210", "target_cell_missing", "table", DataError, _TABLES),
    # The columns of a training table have types: (table, target, reports).
    Check("KFC211", "no_input_column", "columns", DataError, _TABLES),
    Check("KFC212", "column_constant", "columns", DataError, _COLUMNS, "warning"),
    Check("KFC213", "category_nearly_unique", "columns", DataError, _COLUMNS, "warning"),
    Check("KFC214", "number_is_id", "columns", DataError, _COLUMNS, "warning"),
    Check("KFC270", "category_of_measurements", "columns", DataError, _COLUMNS, "warning"),
    # A table of test or validation rows is read: (training table, other table).
    Check("KFC215", "column_not_in_training", "other_table", DataError, _COLUMNS, "warning"),
    # The columns of a table are selected: (table, names, part).
    Check("KFC216", "input_column_missing", "table_columns", DataError, _TABLES),
    # A table is encoded: (encoding, training rows, other tables by their name in messages).
    Check("KFC217", "target_in_column", "encoded_table", DataError, _LEAKS, "warning"),
    Check(
        "KFC218", "training_rows_repeated", "encoded_table", DataError, _REPEATED, "warning"
    ),
    # Another table is encoded for a trained network: (typed, table, where).
    Check("KFC219", "table_empty", "encoding_table", DataError, "kfc.runs.table_rows"),
    Check("KFC220", "unknown_category", "encoding_table", DataError, "kfc.runs.table_rows"),
    # Rows with targets are read: (rows, where).
    Check("KFC221", "target_not_array", "data", DataError, "kfc.data.row_checks"),
    Check("KFC222", "weight_not_array", "data", DataError, "kfc.data.row_checks"),
    Check("KFC223", "target_empty", "data", DataError, "kfc.data.row_checks"),
    Check("KFC224", "row_mismatch", "data", DataError, "kfc.data.row_checks"),
    Check("KFC225", "input_constant", "data", DataError, "kfc.data.row_checks"),
    Check("KFC226", "target_type", "data", DataError, "kfc.data.row_checks"),
    Check("KFC227", "target_not_finite", "data", DataError, "kfc.data.row_checks"),
    Check("KFC228", "weight_shape", "data", DataError, "kfc.data.row_checks"),
    Check("KFC229", "weight_type", "data", DataError, "kfc.data.row_checks"),
    Check("KFC230", "weight_not_finite", "data", DataError, "kfc.data.row_checks"),
    Check("KFC231", "weight_negative", "data", DataError, "kfc.data.row_checks"),
    Check("KFC232", "weight_all_zero", "data", DataError, "kfc.data.row_checks"),
    # The task is chosen, by the spec or else by the targets: (source, name, task).
    Check("KFC233", "target_ambiguous", "task", DataError, "kfc.data.targets"),
    # The classes of a classification are numbered: (source, name, task).
    Check("KFC234", "several_labels", "classes", DataError, "kfc.data.targets"),
    Check("KFC235", "only_one_class", "classes", DataError, "kfc.data.targets"),
    Check("KFC236", "negative_label", "classes", DataError, "kfc.data.targets"),
    Check("KFC237", "missing_label", "classes", DataError, "kfc.data.targets"),
    Check("KFC238", "labels_differ_in_blanks", "classes", DataError, "kfc.data.targets"),
    # The inputs may be pixels: (x, where, divided).
    Check("KFC239", "dark_pictures", "pixels", DataError, "kfc.data.encoding"),
    # Rows are encoded: (rows, where, classes, pixels).
    Check("KFC240", "streamed_type", "encoding", DataError, "kfc.data.encoding"),
    Check("KFC241", "pixel_range", "encoding", DataError, "kfc.data.encoding"),
    Check("KFC242", "pixels_scaled", "encoding", DataError, "kfc.data.encoding"),
    Check("KFC243", "label_shape", "encoding", DataError, "kfc.data.targets"),
    Check("KFC244", "unknown_label", "encoding", DataError, "kfc.data.targets"),
    Check("KFC245", "target_not_numeric", "encoding", DataError, "kfc.data.encoding"),
    # The raw training rows are compared with their encoding: (rows, where, regression).
    Check("KFC246", "input_precision", "training_data", DataError, "kfc.data.precision"),
    Check("KFC247", "target_precision", "training_data", DataError, "kfc.data.precision"),
    Check("KFC248", "target_constant", "training_data", DataError, "kfc.data.row_checks"),
    # Rows that are only measured join the training rows: (train, rows, where, cast).
    Check("KFC249", "held_out_weight", "held_out", DataError, "kfc.data.encoding"),
    Check("KFC250", "held_out_type", "held_out", DataError, "kfc.data.encoding"),
    Check("KFC251", "held_out_shape", "held_out", DataError, "kfc.data.encoding"),
    # Columns arrange the rows of a table: (table, key, name).
    Check("KFC252", "label_column_missing", "row_labels", DataError, _ROW_LABELS),
    Check("KFC253", "label_cell_missing", "row_labels", DataError, _ROW_LABELS),
    # Rows are split into the two parts of a fold: (request).
    Check("KFC254", "fold_not_of_rows", "fold", DataError, "kfc.data.fold_splits"),
    Check("KFC255", "too_few_for_folds", "fold", DataError, "kfc.data.fold_splits"),
    Check("KFC256", "group_on_both_sides", "fold", DataError, "kfc.data.fold_splits"),
    Check("KFC257", "class_not_in_fold", "fold", DataError, "kfc.data.fold_splits"),
    # Rows are split into two parts: (request).
    Check("KFC258", "one_group_alone", "split", DataError, "kfc.data.splits"),
    Check("KFC259", "class_of_one_row", "split", DataError, "kfc.data.splits"),
    Check("KFC260", "part_without_class", "split", DataError, "kfc.data.splits"),
    Check("KFC261", "no_row_left", "split", DataError, "kfc.data.splits"),
    Check("KFC262", "class_not_in_training", "split", DataError, "kfc.data.splits"),
    # A scaling is fitted: (scaling, x, where, scale), with the training rows.
    Check("KFC263", "unscaled_input", "scaling", DataError, _SCALED, may_accept=True),
    # Inputs are scaled, to train on, to measure or to predict: (scaling, x, where, names).
    Check("KFC264", "scaled_not_finite", "scaled", DataError, _SCALED),
    # Sample weights and class weights are combined: (train, spec, task).
    Check("KFC265", "sample_weight_all_zero", "weighting", DataError, _WEIGHTS),
    Check("KFC103", "class_weight_of_numbers", "weighting", SpecError, _WEIGHTS),
    Check("KFC104", "class_weight_unknown", "weighting", SpecError, _WEIGHTS),
    Check("KFC105", "class_weight_all_zero", "weighting", SpecError, _WEIGHTS),
    Check("KFC106", "class_weight_overflow", "weighting", SpecError, _WEIGHTS),
    # The training of a spec is predicted: (spec, explanation).
    Check("KFC180", "inputs_too_large", "explained", SpecError, _PREDICTED, "warning"),
    Check("KFC181", "weights_too_large", "explained", SpecError, _PREDICTED, "warning"),
    Check("KFC182", "units_equal", "explained", SpecError, _PREDICTED, "warning"),
    Check("KFC183", "signal_vanishes", "explained", SpecError, _PREDICTED, "warning"),
    Check("KFC184", "units_constant", "explained", SpecError, _PREDICTED, "warning"),
    Check("KFC185", "slopes_flat", "explained", SpecError, _PREDICTED, "warning"),
    Check("KFC186", "gradient_fades", "explained", SpecError, _PREDICTED, "warning"),
    Check("KFC187", "rate_too_large", "explained", SpecError, _PREDICTED, "warning"),
    Check("KFC188", "rate_too_small", "explained", SpecError, _PREDICTED, "warning"),
    Check("KFC189", "rate_hardly_reached", "explained", SpecError, _PREDICTED, "warning"),
    # The network is about to be built: (spec, prepared), with `processes` that train at once.
    Check("KFC107", "monitor_undefined", "before_training", DataError, _METRICS),
    Check("KFC108", "memory_too_small", "before_training", SpecError, _MEMORY),
    Check("KFC109", "too_few_for_intervals", "before_training", DataError, _UNCERTAINTY),
    # Devices or processes are about to share each batch: (spec, prepared, callbacks).
    Check("KFC113", "not_distributed", "distribution", SpecError, _DISTRIBUTION),
    # A search is about to begin: (objective, prepared).
    Check("KFC110", "objective_undefined", "before_search", DataError, _METRICS),
    # Runs are averaged: (runs).
    Check("KFC111", "members_missing", "averaging", SpecError, "kfc.ensembles.ensemble"),
    Check("KFC112", "members_differ", "averaging", SpecError, "kfc.ensembles.ensemble"),
    # Training runs; each check has arguments of its own.
    Check("KFC401", "no_gradient", "while_training", NumbersError, "kfc.training.step"),
    Check("KFC402", "loss_not_finite", "while_training", NumbersError, _FINITE),
    Check("KFC403", "weights_not_finite", "while_training", NumbersError, _FINITE),
    Check("KFC404", "metric_not_finite", "while_training", NumbersError, _FINITE),
    # A training has ended: (what is known of it).
    Check("KFC410", "no_better_than_constant", "trained", NumbersError, _TRAINED, "warning"),
    Check("KFC411", "loss_has_grown", "trained", NumbersError, _TRAINED, "warning"),
    Check("KFC412", "loss_oscillates", "trained", NumbersError, _TRAINED, "warning"),
    Check("KFC413", "held_out_loss_has_grown", "trained", NumbersError, _TRAINED, "warning"),
    Check("KFC414", "units_have_died", "trained", NumbersError, _TRAINED, "warning"),
    Check("KFC415", "loss_stands_still", "trained", NumbersError, _TRAINED, "warning"),
    # All parts are encoded: (parts).
    Check("KFC271", "class_not_in_part", "parts", DataError, _PARTS, "warning"),
    Check("KFC272", "class_shares_differ", "parts", DataError, _PARTS, "warning"),
    Check("KFC273", "one_class_dominates", "parts", DataError, _PARTS, "warning"),
    Check("KFC274", "rows_sorted", "parts", DataError, _PARTS, "warning"),
    Check("KFC275", "features_constant", "parts", DataError, _PARTS, "warning"),
    Check("KFC276", "features_repeated", "parts", DataError, _PARTS, "warning"),
    Check("KFC277", "targets_conflict", "parts", DataError, _PARTS, "warning"),
    Check("KFC266", "value_for_missing", "parts", DataError, _PARTS, "warning"),
    Check("KFC268", "bytes_wrapped", "parts", DataError, _VALUES, "warning"),
    Check("KFC269", "labels_differ_in_case", "parts", DataError, _VALUES, "warning"),
    Check("KFC267", "value_far_away", "parts", DataError, _VALUES, "warning"),
    # The doctor has a forest learn them: (parts).
    Check("KFC278", "parts_differ", "learned_parts", DataError, _LEARNED, "warning"),
    Check("KFC279", "targets_unrelated", "learned_parts", DataError, _LEARNED, "warning"),
    Check(
        "KFC280", "held_out_targets_differ", "learned_parts", DataError, _LEARNED, "warning"
    ),
    # A plain Keras model gets its rows: (subject).
    Check("KFC291", "value_not_embedded", "rows", DataError, _ROWS),
    Check("KFC292", "rows_not_computed", "rows", DataError, _ROWS),
    # A plain Keras model meets its targets: (subject).
    Check("KFC281", "targets_are_text", "targets", DataError, _TARGETS),
    Check("KFC282", "one_hot_for_codes", "targets", DataError, _TARGETS),
    Check("KFC283", "codes_for_one_hot", "targets", DataError, _TARGETS),
    Check("KFC284", "codes_for_numbers", "targets", DataError, _TARGETS),
    Check("KFC285", "target_broadcast", "targets", DataError, _TARGETS),
    Check("KFC286", "label_out_of_range", "targets", DataError, _TARGETS),
    Check("KFC287", "label_not_binary", "targets", DataError, _TARGETS),
    Check("KFC288", "targets_of_several_classes", "targets", DataError, _TARGETS),
    Check("KFC289", "code_not_whole", "targets", DataError, _TARGETS),
    Check("KFC290", "target_outside_loss", "targets", DataError, _TARGETS),
    Check(
        "KFC312", "one_output_for_classes", "targets", NumbersError, _OUTPUTS, may_accept=True
    ),
    # The loss of a plain Keras model gets right and wrong answers: (subject).
    Check("KFC361", "loss_not_computed", "loss", NumbersError, _LOSS),
    Check("KFC362", "loss_arguments_swapped", "loss", NumbersError, _LOSS),
    Check("KFC363", "loss_ignores_rows", "loss", NumbersError, _LOSS),
    Check("KFC364", "loss_prefers_wrong", "loss", NumbersError, _LOSS),
    # Layers are looked at: (subject).
    Check("KFC301", "dropout_too_high", "structure", NumbersError, _STRUCTURE, "warning"),
    Check("KFC302", "no_activation", "structure", NumbersError, _STRUCTURE, "warning"),
    Check(
        "KFC303", "squared_error_for_classes", "structure", NumbersError, _STRUCTURE, "warning"
    ),
    Check("KFC304", "rows_depend_on_others", "structure", NumbersError, _STRUCTURE, "warning"),
    Check("KFC305", "batch_of_one", "structure", NumbersError, _STRUCTURE, "warning"),
    Check("KFC306", "nothing_to_train", "structure", NumbersError, _STRUCTURE),
    Check("KFC307", "rate_collapses", "structure", NumbersError, _STRUCTURE, "warning"),
    Check("KFC308", "dropout_on_outputs", "structure", NumbersError, _STRUCTURE, "warning"),
    Check("KFC309", "softmax_hidden", "structure", NumbersError, _STRUCTURE, "warning"),
    Check("KFC351", "rate_not_positive", "structure", NumbersError, _SETTINGS),
    Check("KFC352", "frozen_untrained", "structure", NumbersError, _SETTINGS, "warning"),
    Check("KFC353", "norm_of_one", "structure", NumbersError, _SETTINGS, "warning"),
    Check("KFC354", "average_too_slow", "structure", NumbersError, _SETTINGS, "warning"),
    Check("KFC355", "label_smoothing_high", "structure", NumbersError, _SETTINGS, "warning"),
    Check("KFC334", "class_hardly_counts", "structure", NumbersError, _ROW_WEIGHTS, "warning"),
    Check("KFC335", "few_rows_count", "structure", NumbersError, _ROW_WEIGHTS, "warning"),
    Check(
        "KFC338", "weight_average_too_slow", "structure", NumbersError, _SETTINGS, "warning"
    ),
    Check(
        "KFC337", "constraint_removes_weights", "structure", NumbersError, _SETTINGS, "warning"
    ),
    Check("KFC115", "validation_too_large", "structure", SpecError, _STOPPING, "warning"),
    Check("KFC114", "mode_reversed", "structure", SpecError, _STOPPING, "warning"),
    # A plain Keras model meets its loss: (subject).
    Check("KFC311", "softmax_of_one", "outputs", NumbersError, _OUTPUTS, may_accept=True),
    Check("KFC313", "relu_output", "outputs", NumbersError, _OUTPUTS, may_accept=True),
    Check("KFC314", "sigmoid_for_classes", "outputs", NumbersError, _OUTPUTS, may_accept=True),
    Check("KFC315", "softmax_twice", "outputs", NumbersError, _OUTPUTS, may_accept=True),
    Check(
        "KFC316", "logits_as_probabilities", "outputs", NumbersError, _OUTPUTS, may_accept=True
    ),
    Check(
        "KFC317", "logits_within_bounds", "outputs", NumbersError, _OUTPUTS, may_accept=True
    ),
    Check("KFC318", "target_out_of_reach", "outputs", NumbersError, _OUTPUTS, may_accept=True),
    Check("KFC319", "output_outside_loss", "outputs", NumbersError, _OUTPUTS),
    Check("KFC310", "outputs_unused", "outputs", NumbersError, _OUTPUTS, "warning"),
    Check("KFC320", "binary_loss_for_classes", "outputs", NumbersError, _OUTPUTS, "warning"),
    # The untrained network has computed some rows: (start).
    Check("KFC321", "start_not_finite", "start", NumbersError, _START, may_accept=True),
    Check("KFC322", "gradient_missing", "start", NumbersError, _START, may_accept=True),
    Check("KFC323", "units_identical", "start", NumbersError, _START, may_accept=True),
    Check("KFC356", "loss_hardly_changes", "start", NumbersError, _START, "warning"),
    Check("KFC357", "one_number_passes", "start", NumbersError, _START, "warning"),
    Check("KFC349", "few_numbers_pass", "start", NumbersError, _START, "warning"),
    Check("KFC324", "target_unscaled", "start", NumbersError, _START, "warning"),
    Check("KFC325", "start_loss_high", "start", NumbersError, _START, "warning"),
    Check("KFC326", "units_dead", "start", NumbersError, _START, "warning"),
    Check("KFC327", "units_saturated", "start", NumbersError, _START, "warning"),
    Check("KFC328", "gradient_vanishes", "start", NumbersError, _START, "warning"),
    Check("KFC329", "gradient_explodes", "start", NumbersError, _START, "warning"),
    Check("KFC340", "update_not_finite", "start", NumbersError, _UPDATES, "warning"),
    Check("KFC330", "update_too_large", "start", NumbersError, _UPDATES, "warning"),
    Check("KFC331", "update_too_small", "start", NumbersError, _UPDATES, "warning"),
    Check("KFC332", "penalty_dominates", "start", NumbersError, _START, "warning"),
    Check("KFC333", "decay_dominates", "start", NumbersError, _UPDATES, "warning"),
    Check("KFC358", "option_stops_updates", "start", NumbersError, _UPDATES, "warning"),
    Check("KFC359", "steps_too_few", "start", NumbersError, _UPDATES, "warning"),
    Check("KFC360", "momentum_too_long", "start", NumbersError, _UPDATES, "warning"),
    Check("KFC336", "weights_scale_updates", "start", NumbersError, _ROW_WEIGHTS, "warning"),
    Check("KFC339", "min_delta_too_large", "start", NumbersError, _STOPPING, "warning"),
    # A copy of it has made some steps: (steps).
    Check("KFC341", "steps_diverge", "steps", NumbersError, _STEPS, "warning"),
    Check("KFC365", "steps_lead_nowhere", "steps", NumbersError, _STEPS, "warning"),
    Check("KFC342", "output_constant", "steps", NumbersError, _STEPS, may_accept=True),
    Check("KFC343", "one_batch_not_learned", "steps", NumbersError, _STEPS, "warning"),
    Check("KFC344", "signal_grows", "steps", NumbersError, _STEPS, "warning"),
    Check("KFC345", "inputs_too_small", "steps", NumbersError, _STEPS, "warning"),
    Check("KFC346", "weights_vanish", "steps", NumbersError, _STEPS, "warning"),
    Check("KFC347", "weights_stand_still", "steps", NumbersError, _STEPS, "warning"),
    Check("KFC348", "target_too_small", "steps", NumbersError, _STEPS, "warning"),
    Check("KFC350", "target_offset", "steps", NumbersError, _STEPS, "warning"),
)
"""Every check, in the order in which the checks of a stage run."""
