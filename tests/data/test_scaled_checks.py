import numpy as np
import pytest

from kfc.data import prepare
from kfc.errors import DataError
from kfc.findings import run_checks
from kfc.preprocessing import NumericScaling
from kfc.spec import load_spec
from kfc.system.memmap import DiskArray

RNG = np.random.default_rng(0)
X = RNG.random((60, 4))
Y = np.arange(60) % 3


@pytest.mark.parametrize("dtype", [np.float64, np.uint8])
def test_unscaled_pixels_are_refused_with_scale_none_unless_accepted(refused, dtype):
    data = ((X * 255).astype(dtype), Y)
    finding = refused(data, scale="none")
    assert finding.where == "data, training rows"
    assert "data.scale: none" in finding.got
    assert "accept: [unscaled_input]" in finding.remedy
    prepare(load_spec({"data": {"scale": "none"}, "accept": ["unscaled_input"]}), data)


@pytest.mark.parametrize("scale", ["unit", "centered", "standard", "robust", "quantile"])
def test_scaled_pixels_are_fine(scale):
    prepare(load_spec({"data": {"scale": scale}}), (X * 255, Y))


# --- values that are scaled to infinity ---------------------------------------------------

OTHER = RNG.normal(size=1200)
SMALL = 1e-30 * np.stack([OTHER, OTHER], 1)
SIGN = (OTHER > 0).astype(int)
STEEP = NumericScaling(np.float32(0), np.array([1, 1e-30], np.float32))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_finite_value_that_is_scaled_to_infinity_is_refused(dtype):
    x = np.zeros((50, 2), dtype)
    x[:, 0] = 1e30  # of a column that is not divided
    run_checks("scaled", STEEP, x, "rows")
    x[43, 1] = -1e20
    for rows in (x, DiskArray(x)):
        with pytest.raises(
            DataError, match=r"rows, row 43, column 'b': .* got -1\.?0*2?\d*e\+20"
        ):
            run_checks("scaled", STEEP, rows, "rows", ("a", "b"))


def test_a_scaled_overflow_of_a_later_chunk_is_found_by_its_row(monkeypatch):
    monkeypatch.setattr("kfc.system.memmap.CHUNK_BYTES", 64)
    x = np.zeros((50, 2), np.float32)
    x[43, 1] = 1e20
    with pytest.raises(DataError, match="row 43, column 1"):
        run_checks("scaled", STEEP, DiskArray(x), "rows")


@pytest.mark.parametrize("dtype", ["u1", "i4", "?", "f2"])
def test_small_values_of_any_type_stay_finite(dtype):
    run_checks("scaled", STEEP, np.ones((5, 2), dtype), "rows")


@pytest.mark.parametrize("scale", ["unit", "standard", "robust"])
@pytest.mark.parametrize("part", ["test", "training"])
def test_rows_that_overflow_after_scaling_are_refused_before_training(scale, part):
    train, test = SMALL.copy(), SMALL[:40].copy()
    if part == "test":
        test[31, 1] = 1e20
    elif scale == "robust":  # the other two learn their scale from this value too
        train[31, 1] = 1e20
    else:
        return
    spec = load_spec({"data": {"scale": scale}, "accept": ["unscaled_input"]})
    with pytest.raises(DataError) as caught:
        prepare(spec, ((train, SIGN), (test, SIGN[:40])))
    (finding,) = caught.value.findings
    assert finding.where == f"data, {part} rows, row 31, column 1"
    assert finding.got == "1e+20"


def test_no_value_overflows_where_quantiles_end():
    train = SMALL.copy()
    train[31, 1] = 1e20
    prepare(load_spec({"data": {"scale": "quantile"}}), ((train, SIGN), (1e17 * train, SIGN)))


def test_rows_to_predict_that_overflow_after_scaling_are_refused():
    from kfc.runs.predictions import raw_rows

    task = prepare(load_spec({"data": {"scale": "standard"}}), (SMALL, SIGN)).task
    x = SMALL[:5].copy()
    assert raw_rows(x, task).shape == (5, 2)
    x[3, 0] = 1e20
    with pytest.raises(DataError, match=r"rows to predict, row 3, column 0: .* stay finite"):
        raw_rows(x, task)
