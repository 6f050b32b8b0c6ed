import numpy as np
import pandas as pd
import pytest

from kfc.data import Task
from kfc.errors import DataError
from kfc.runs.predictions import raw_rows

RNG = np.random.default_rng(0)


def task(*shape, dtype="float32", feature_names=()):
    return Task(shape, dtype, ("a", "b"), feature_names=feature_names)


def refused(x, of):
    with pytest.raises(DataError) as caught:
        raw_rows(x, of)
    (finding,) = caught.value.findings
    assert finding.where.startswith("rows to predict")
    return finding


@pytest.mark.parametrize(
    ("trained", "shape"),
    [
        ((6, 4, 3), (6, 4, 3)),
        ((6, 4, 3), (72,)),
        ((6, 4, 3), (72, 1)),
        ((6, 4, 3), (1, 6, 4, 3)),
        ((6, 4, 1), (6, 4)),
        ((6, 4), (6, 4, 1)),
        ((6, 4), (1, 6, 4)),
        ((6, 4), (24,)),
        ((24,), (24, 1)),
        ((24,), (1, 24)),
        ((24,), (6, 4)),
        ((24,), (6, 4, 1)),
        ((1, 24), (24,)),
        ((1,), (1, 1)),
    ],
)
@pytest.mark.parametrize("rows", [1, 5, 6, 24])
def test_rows_may_be_flattened_or_differ_by_axes_of_size_1(trained, shape, rows):
    x = RNG.random((rows, *shape), dtype=np.float32)
    got = raw_rows(x, task(*trained))
    np.testing.assert_array_equal(got, x.reshape(rows, *trained))


@pytest.mark.parametrize(
    ("trained", "shape"),
    [
        ((6, 4, 3), (3, 6, 4)),
        ((6, 4, 3), (4, 6, 3)),
        ((6, 4, 3), (24, 3)),
        ((6, 4, 3), (6, 12)),
        ((6, 4), (4, 6)),
        ((6, 4), (2, 12)),
        ((24,), (23,)),
        ((24,), (5, 5)),
        ((72,), (6, 4, 3)),
        ((6, 6, 3), (3, 6, 6)),
    ],
)
def test_rows_of_another_shape_are_refused_with_both_shapes(trained, shape):
    finding = refused(RNG.random((5, *shape)), task(*trained))
    assert str(trained) in finding.expected
    assert finding.got == f"rows of shape {shape}"


@pytest.mark.parametrize("shape", [(6, 4), (24,)])
def test_a_single_row_is_told_to_get_an_axis(shape):
    finding = refused(RNG.random(shape), task(*shape))
    assert (finding.got, finding.remedy) == ("a single one", "Use x[None] for one row.")


def test_one_row_behind_an_axis_is_a_row_though_its_shape_is_that_of_the_training():
    x = RNG.random((1, 24), dtype=np.float32)
    np.testing.assert_array_equal(raw_rows(x, task(1, 24)), x.reshape(1, 1, 24))


def test_numbers_without_an_axis_of_features_are_refused():
    assert refused(RNG.random(24), task(1)).expected == "inputs (rows, features)"


def test_columns_in_another_order_are_refused():
    frame = pd.DataFrame(RNG.random((5, 2)), columns=["b", "a"])
    assert refused(frame, task(2, feature_names=("a", "b"))).got == "b, a"
    got = raw_rows(frame[["a", "b"]], task(2, feature_names=("a", "b")))
    np.testing.assert_array_equal(got, frame[["a", "b"]].to_numpy(np.float32))


def test_what_is_no_pixel_is_refused():
    of = task(2, 2, dtype="uint8")
    assert raw_rows(np.full((3, 4), 255.0), of).dtype == np.uint8
    for bad in (0.5, -1, 256):
        assert "raw pixels" in refused(np.full((3, 4), bad), of).expected


def test_masked_cells_are_refused():
    x = np.ma.masked_equal(np.arange(20.0).reshape(5, 4), 7)
    assert refused(x, task(4)).expected == "values without a mask"
