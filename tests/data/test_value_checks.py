"""Single values far from all others, and long tails, which are no fault."""

import numpy as np
import pytest

import kfc
from kfc.data import Parts, Rows
from kfc.data.value_checks import bytes_wrapped, labels_differ_in_case, value_far_away

GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(400, 3)).astype("float32")
Y = X[:, :1] + 0.1


def found(x=X, y=Y, **options):
    return value_far_away(Parts(Rows(x, y), **options))


def changed(values, row, value):
    values = values.copy()
    values[row] = value
    return values


def test_a_target_with_a_typing_error_is_named_with_its_value():
    (finding,) = found(y=changed(Y, 7, 1e6))
    assert finding.where == "targets of the training rows"
    assert finding.got.startswith("1e+06, while the others are from -")
    assert finding.evidence["value"] == 1e6
    assert finding.cure == {}


@pytest.mark.parametrize("value", [1e9, -1e9])
def test_an_input_far_from_all_others_is_limited_by_a_scaling(value):
    (finding,) = found(changed(X, (7, 1), value))
    assert finding.where == "training rows, column x[1]"
    assert finding.cure == {"data.scale": "robust_clip"}
    assert found(changed(X, (7, 1), value), limited=True) == []


@pytest.mark.parametrize(
    "tail",
    [
        GENERATOR.lognormal(0, 2, 400),
        GENERATOR.pareto(1.5, 400),
        np.arange(400) == 3,  # a flag of one row
        np.where(np.arange(400) % 20, 0, 20 * np.arange(400)) ** 1.5
        * 8 ** (np.arange(400) == 380),
        np.where(np.arange(400) % 40 == 3, 99999.0, GENERATOR.normal(size=400)),
        np.full(400, 3.0),
    ],
)
def test_long_tails_flags_and_constants_are_no_fault(tail):
    tail = tail.astype("float32")
    assert found(np.c_[X, tail], tail[:, None]) == []


def test_bytes_that_became_negative_are_named():
    pixels = np.where(
        GENERATOR.random((300, 20)) < 0.5, 0, GENERATOR.integers(1, 256, (300, 20))
    )
    wrapped = pixels.astype(np.uint8).astype(np.int8)
    for x in (wrapped, wrapped.astype("float32")):
        finding = bytes_wrapped(Parts(Rows(x, Y[:300])))
        assert finding.got.startswith("integers from -128 to 127; ")
    for x in (
        pixels.astype("float32"),
        np.rint(GENERATOR.normal(0, 40, (300, 20))).clip(-128, 127).astype(np.int8),
        GENERATOR.integers(-1, 2, (300, 20)).astype(np.int8),
        pixels.astype(np.uint8),
    ):
        assert bytes_wrapped(Parts(Rows(x, Y[:300]))) is None


@pytest.mark.parametrize(
    ("class_names", "words"),
    [(("No", "YES", "Yes"), 1), (("a", "A"), 0), (("No", "Nos"), 0), ((), 0)],
)
def test_classes_that_are_one_word_are_named(class_names, words):
    finding = labels_differ_in_case(Parts(Rows(X, Y), class_names=class_names))
    assert (finding.evidence["words"] if finding else 0) == words


def test_the_doctor_cures_an_input_and_not_a_target():
    spec = {"data": {"scale": "standard"}, "network": {"hidden": [8]}}
    data = changed(X, (8, 1), 1e9), np.sin(3 * X[:, 0]) * X[:, 2]  # row 7 is a test row
    diagnosis = kfc.doctor(spec, data=data)
    assert diagnosis.codes == ("KFC267",)
    assert diagnosis.changes == {"data.scale": "robust_clip"}
    assert kfc.doctor(spec, diagnosis.changes, data=data).codes == ()
