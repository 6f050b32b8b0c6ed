import ast
import dataclasses
import pathlib
import re
import subprocess
import sys
import typing
from types import SimpleNamespace

import numpy as np
import pytest

import kfc
from kfc.data import Prepared, Rows, Task, prepare, weighted
from kfc.data.fold_splits import FoldRequest, as_folds, split_fold
from kfc.data.row_checks import check_rows
from kfc.data.splits import SplitRequest, split
from kfc.data.tables import RowLabels
from kfc.errors import Finding, KfcError, SpecError
from kfc.findings import CHECKS, Check, checks_of, run_check, run_checks
from kfc.runs.table_rows import encoded_rows, typed_rows
from kfc.spec import FoldSpec, load_spec
from kfc.spec.schema import AcceptedCheck

X = np.random.default_rng(0).random((60, 4))
Y = np.arange(60) % 3
DARK = np.arange(60 * 6, dtype=np.uint8).reshape(60, 3, 2) % 50
SECONDS = 1.7e9 + X  # float32 keeps one value of them
TABLE = {"size": X[:, 0], "kind": np.array(["a", "b"])[Y % 2], "label": Y}


def changed(values, cell, value):
    values = values.copy()
    values[cell] = value
    return values


def fitted(x, y, **spec):
    return lambda: prepare(load_spec(spec), (x, y))


def weights(class_weight, weight=None, class_names=("0", "1", "2")):
    spec = load_spec({"training": {"class_weight": class_weight}})
    task = Task((4,), "float32", class_names)
    return lambda: weighted(Rows(X, Y, weight), spec, task)


def rows(x, y, weight=None):
    return lambda: check_rows(Rows(x, y, weight), "rows")


def cut(y, share, stratify=True):
    return lambda: split(SplitRequest(np.array(y), share, 0, stratify, where="rows"))


def table(**columns):
    return lambda: prepare(load_spec({"data": {"target": "label"}}), {**TABLE, **columns})


def table_by(groups, **columns):
    spec = load_spec({"data": {"target": "label", "groups": groups}})
    return lambda: prepare(spec, {**TABLE, **columns})


def member(class_names):
    return SimpleNamespace(
        task=Task((4,), "float32", class_names), folder=pathlib.Path("0001")
    )


def declared(values, **columns):
    spec = load_spec({"data": {"target": "label", "columns": columns}})
    return lambda: prepare(spec, {**TABLE, **values})


def held_out(**columns):
    parts = {"train": TABLE, "test": {**TABLE, **columns}}
    return lambda: prepare(load_spec({"data": {"target": "label"}}), parts)


def applied(rows, unknown="slot", some=slice(None)):
    task = prepare(load_spec({"data": {"target": "label", "unknown": unknown}}), TABLE).task
    return encoded_rows(typed_rows(rows, task).take(np.arange(60)[some]), task)


def too_small_memory():
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("kfc.system.memory.limit_bytes", lambda: 2**20)
        spec = load_spec({})
        run_checks("before_training", spec, prepared(X, Y))


def prepared(x, y):
    some = Rows(x.astype(np.float32), y)
    return Prepared(some, some, some, Task((4,), "float32", ("0", "1", "2")), "")


def undefined_monitor():
    spec = load_spec({"training": {"early_stopping": {"monitor": "val_auc"}}})
    run_checks("before_training", spec, prepared(X, np.zeros(60, np.int32)))


def too_few_held_out():
    spec = load_spec({"training": {"interval_coverage": 0.99}})
    run_checks("before_training", spec, prepared(X, Y))


def undefined_objective():
    run_checks("before_search", "val_auc", prepared(X, np.zeros(60, np.int32)))


def of_replicas():
    keys = {"training.distribute": "mirrored", "network.normalization": "batch"}
    run_checks("distribution", load_spec("digits", keys), None, ())


TRIGGERS = {
    "conflicting_keys": lambda: load_spec({"data": {"validation": "npz:other.npz"}}),
    "input_not_array": fitted(np.ma.masked_greater(X, 0.9), Y),
    "input_empty": fitted(X[:0], Y[:0]),
    "input_shape": fitted(X[:, 0], Y),
    "input_type": fitted(X + 0j, Y),
    "input_not_finite": fitted(changed(X, (3, 2), np.nan), Y),
    "input_overflow": fitted(changed(X, (3, 2), 1e300), Y),
    "key_without_effect": fitted(X, Y, data={"test": "csv:other.csv"}),
    "column_name_empty": table(**{" ": X[:, 0]}),
    "column_name_repeated": table(**{" size": X[:, 0]}),
    "column_constant": declared(size="number", values={"size": [0.5] * 60}),
    "category_nearly_unique": declared(
        kind="category", values={"kind": [f"name {i}" for i in range(60)]}
    ),
    "number_is_id": declared(size="number", values={"size": np.arange(60)}),
    "column_not_in_training": held_out(note=X[:, 1]),
    "target_in_column": table(code=np.array(["a", "b", "c"])[Y]),
    "training_rows_repeated": held_out(),
    "target_column_missing": lambda: prepare(load_spec({"data": {"target": "no"}}), TABLE),
    "target_cell_missing": table(label=[None, *Y[1:].tolist()]),
    "no_input_column": table(size=X[:, 0] * 0, kind=[f"name {i}" for i in range(60)]),
    "input_column_missing": lambda: applied({"size": X[:, 0]}),
    "table_empty": lambda: applied(TABLE, some=slice(0)),
    "unknown_category": lambda: applied({**TABLE, "kind": ["c"] * 60}, unknown="refuse"),
    "target_not_array": rows(X, np.asarray(None)),
    "weight_not_array": rows(X, Y, np.asarray(None)),
    "target_empty": rows(X, X[:, :0]),
    "row_mismatch": fitted(X, Y[1:]),
    "input_constant": fitted(X * 0, Y),
    "target_type": fitted(X, Y + 0j),
    "target_not_finite": fitted(X, changed(X[:, 0], 4, np.inf)),
    "weight_shape": rows(X, Y, Y[1:]),
    "weight_type": rows(X, Y, Y.astype(str)),
    "weight_not_finite": rows(X, Y, changed(X[:, 0], 4, np.nan)),
    "weight_negative": rows(X, Y, -X[:, 0]),
    "weight_all_zero": rows(X, Y, Y * 0),
    "target_ambiguous": fitted(X, Y.astype(float)),
    "several_labels": fitted(X, np.c_[Y, Y]),
    "only_one_class": fitted(X, Y * 0),
    "negative_label": fitted(X, Y - 1),
    "missing_label": fitted(X, np.array(["a", "b", "nan"])[Y]),
    "labels_differ_in_blanks": fitted(X, np.array(["a", "b", "a "])[Y]),
    "dark_pictures": fitted(DARK, Y),
    "streamed_type": fitted(X, Y, data={"stream": "always"}),
    "pixel_range": fitted(X * 300, Y, data={"pixels": True}),
    "pixels_scaled": fitted(np.round(X), Y, data={"pixels": True}),
    "label_shape": fitted((X, Y), (X, np.c_[Y, Y])),
    "unknown_label": fitted((X, Y), (X, Y + 1)),
    "target_not_numeric": fitted(X, Y.astype(str), data={"task": "regression"}),
    "held_out_weight": fitted((X, Y), (X, Y, Y)),
    "held_out_type": fitted((DARK + np.uint8(200), Y), (DARK / 2, Y)),
    "held_out_shape": fitted((X, Y), (X[:, 1:], Y)),
    "input_precision": fitted(np.c_[X, SECONDS], Y),
    "target_precision": fitted(X, SECONDS[:, 0]),
    "target_constant": fitted(X, X[:, 0] * 0, data={"task": "regression"}),
    "label_column_missing": table_by(groups="no"),
    "label_cell_missing": table_by(groups="g", g=[None, *"ab" * 29, "c"]),
    "fold_not_of_rows": lambda: split_fold(
        FoldRequest(Y, FoldSpec(number=3, file="f.npz"), 0, True, given=as_folds(Y))
    ),
    "too_few_for_folds": fitted(X, Y, data={"fold": {"number": 0, "of": 21}}),
    "group_on_both_sides": lambda: split_fold(
        FoldRequest(
            Y, FoldSpec(number=0, file="f.npz"), 0, True, RowLabels(Y // 2), as_folds(Y)
        )
    ),
    "class_not_in_fold": lambda: split_fold(
        FoldRequest(Y, FoldSpec(number=0, file="f.npz"), 0, True, given=as_folds(Y))
    ),
    "one_group_alone": table_by(groups="g", g=["a"] * 60),
    "members_missing": lambda: run_check("members_missing", ()),
    "members_differ": lambda: run_check(
        "members_differ", (member(("a", "b")), member(("c",)))
    ),
    "class_of_one_row": fitted(X, np.arange(60)),
    "part_without_class": cut([0, 1, 2] * 4, 2),
    "no_row_left": cut([0.5], 0.5, stratify=False),
    "class_not_in_training": cut([0] * 9 + [1] * 2 + [2] * 2, 9),
    "unscaled_input": fitted(X * 255, Y, data={"scale": "none"}),
    "scaled_not_finite": lambda: prepare(
        load_spec({"data": {"scale": "standard"}}),
        ((X * 1e-30, Y), (changed(X, (3, 2), 1e20), Y)),
    ),
    "sample_weight_all_zero": weights(None, weight=Y * 0),
    "class_weight_of_numbers": weights("balanced", class_names=()),
    "class_weight_unknown": weights({"3": 1.0}),
    "class_weight_all_zero": weights({"0": 0.0, "1": 0.0, "2": 0.0}),
    "class_weight_overflow": weights({"0": 1e300}),
    "monitor_undefined": undefined_monitor,
    "too_few_for_intervals": too_few_held_out,
    "not_distributed": of_replicas,
    "objective_undefined": undefined_objective,
    "memory_too_small": too_small_memory,
    "no_gradient": lambda: run_check(
        "no_gradient", [SimpleNamespace(path="a/kernel")], [None]
    ),
    "loss_not_finite": lambda: run_check("loss_not_finite", 3, 0, 10),
    "weights_not_finite": lambda: run_check("weights_not_finite", False, 0, 10),
    "metric_not_finite": lambda: run_check("metric_not_finite", {"loss": np.inf}, "epoch 1"),
}
"""Code -> a call that the check refuses, or warns of."""


def findings_of(check):
    if check.severity == "warning":
        found = TRIGGERS[check.code]().warnings
        return [finding for finding in found if finding.code == check.code]
    with pytest.raises(KfcError) as caught:
        TRIGGERS[check.code]()
    assert type(caught.value) is check.error
    return caught.value.findings


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.code)
def test_every_check_of_the_table_finds_its_problem_with_its_code(check):
    findings = findings_of(check)
    assert findings
    for finding in findings:
        assert (finding.code, finding.severity) == (check.code, check.severity)
        facts = finding.as_json()
        assert all(facts[key] for key in ("code", "severity", "cause", "path", "cure"))
        for value in finding.evidence.values():
            assert isinstance(value, (int, float))


def test_the_codes_of_the_table_are_unique_and_plain():
    codes = [check.code for check in CHECKS]
    assert len(set(codes)) == len(codes)
    assert all(re.fullmatch("[a-z][a-z0-9_]*", code) for code in codes)
    assert set(TRIGGERS) == set(codes)


def test_every_stage_has_checks_and_every_check_a_stage_and_a_severity():
    hints = typing.get_type_hints(Check)
    assert {check.stage for check in CHECKS} == set(typing.get_args(hints["stage"]))
    assert {check.severity for check in CHECKS} <= set(typing.get_args(hints["severity"]))


def test_the_checks_of_a_stage_keep_the_order_of_the_table():
    for stage in {check.stage for check in CHECKS}:
        assert checks_of(stage) == tuple(check for check in CHECKS if check.stage == stage)


def test_a_spec_may_accept_every_warning_and_only_checks_of_the_table():
    accepted = set(typing.get_args(AcceptedCheck))
    assert accepted <= {check.code for check in CHECKS}
    assert accepted >= {check.code for check in CHECKS if check.severity == "warning"}


def test_only_the_table_gives_a_finding_its_code():
    package = pathlib.Path(kfc.__file__).parent
    for path in package.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Finding":
                assert "code" not in {keyword.arg for keyword in node.keywords}, path


def odd(value):
    """A check for the tests below."""
    return [Finding("here", "even numbers", str(value))] if value % 2 else None


ODD = Check("odd", "data", SpecError, "odd_check")


@pytest.fixture
def one_check(monkeypatch):
    """Replaces the table by a check of this module, first as a warning, then as an error."""
    monkeypatch.setitem(sys.modules, "odd_check", SimpleNamespace(odd=odd))
    warning = dataclasses.replace(ODD, severity="warning")
    monkeypatch.setattr("kfc.findings.CHECKS", (warning, ODD))
    return warning


def test_a_warning_is_found_and_does_not_refuse(one_check):
    (finding,) = one_check.find(3)
    assert (finding.code, finding.severity) == ("odd", "warning")
    assert one_check.run(3) == (finding,)
    with pytest.raises(SpecError, match="here: expected even numbers, got 3"):
        run_checks("data", 3)
    assert run_checks("data", 4) == ()


def test_the_warnings_of_a_stage_are_returned(one_check, monkeypatch):
    monkeypatch.setattr("kfc.findings.CHECKS", (one_check,))
    (finding,) = run_checks("data", 3)
    assert (finding.code, finding.severity) == ("odd", "warning")


def test_an_accepted_check_is_left_out(one_check):
    run_checks("data", 3, accept=["odd"])


def test_a_code_that_is_not_in_the_table_cannot_be_run():
    with pytest.raises(KeyError):
        run_check("no_such_check")


def test_the_table_is_listed_without_numpy_and_tensorflow():
    code = (
        "import sys, kfc.findings; print(len(kfc.findings.CHECKS)); "
        "sys.exit(bool({'numpy', 'tensorflow', 'keras'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
