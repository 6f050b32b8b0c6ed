import numpy as np
import pytest
import sklearn.datasets
from sklearn.preprocessing import MinMaxScaler, RobustScaler, StandardScaler

from kfc.preprocessing import NumericScaling

WINE = sklearn.datasets.load_wine().data.astype(np.float32)
PIXELS = (np.arange(60).reshape(15, 2, 2) * 4).astype(np.uint8)
REFERENCES = {"unit": MinMaxScaler(), "standard": StandardScaler(), "robust": RobustScaler()}
SCALES = ("none", "unit", "centered", "standard", "robust")


@pytest.mark.parametrize("name", REFERENCES)
def test_a_scaling_equals_scikit_learns(name):
    train, test = WINE[:120], WINE[120:]
    reference = REFERENCES[name].fit(train.astype(np.float64))
    scaling = NumericScaling.fit(name, train)
    for rows in (train, test):
        np.testing.assert_allclose(
            scaling.apply(rows),
            reference.transform(rows.astype(np.float64)),
            rtol=1e-4,
            atol=1e-5,
        )


def test_centered_is_unit_minus_one_half():
    for rows in (WINE, PIXELS):
        unit, centered = NumericScaling.fit("unit", rows), NumericScaling.fit("centered", rows)
        np.testing.assert_allclose(centered.apply(rows), unit.apply(rows) - 0.5, atol=1e-6)


def test_unit_divides_8_bit_pixels_by_255_whatever_their_range():
    np.testing.assert_allclose(
        NumericScaling.fit("unit", PIXELS).apply(PIXELS),
        PIXELS.reshape(15, 4) / 255,
        atol=1e-7,
    )


def test_none_changes_nothing():
    np.testing.assert_array_equal(NumericScaling.fit("none", WINE).apply(WINE), WINE)


@pytest.mark.parametrize("name", SCALES)
@pytest.mark.parametrize("constant", [0.0, 0.1, -7.3, 1e6, 1e30])
def test_a_constant_feature_becomes_a_constant_and_never_infinite(name, constant):
    rows = WINE.copy()
    rows[:, 3] = constant
    scaled = NumericScaling.fit(name, rows).apply(rows)
    assert np.isfinite(scaled).all()
    assert np.ptp(scaled[:, 3]) == 0
    if name in ("unit", "standard", "robust"):
        np.testing.assert_allclose(scaled[:, 3], 0, atol=abs(constant) * 1e-6)


@pytest.mark.parametrize("name", ["unit", "standard", "robust"])
@pytest.mark.parametrize("factor", [1e-30, 1e-14, 1e14, 1e30])
def test_a_feature_of_any_size_is_scaled(name, factor):
    small = (WINE[:, :1].astype(np.float64) * factor).astype(np.float32)
    np.testing.assert_allclose(
        NumericScaling.fit(name, small).apply(small),
        NumericScaling.fit(name, WINE[:, :1]).apply(WINE[:, :1]),
        rtol=1e-3,
        atol=1e-3,
    )


@pytest.mark.parametrize("name", SCALES)
def test_a_scaling_is_learned_per_feature_and_in_float32(name):
    scaling = NumericScaling.fit(name, WINE)
    assert scaling.shift.dtype == scaling.divisor.dtype == np.float32
    assert scaling.shift.shape == (() if name == "none" else (13,))


@pytest.mark.parametrize("name", ["standard", "robust"])
def test_pixels_can_be_standardised_too(name):
    scaled = NumericScaling.fit(name, PIXELS).apply(PIXELS)
    assert scaled.shape == (15, 4)
    assert abs(scaled.mean()) < 0.1


def test_the_root_mean_square_is_that_of_the_scaled_rows():
    assert NumericScaling.fit("standard", WINE).rms(WINE) == pytest.approx(1, abs=1e-3)
    assert NumericScaling.fit("none", PIXELS).rms(PIXELS) == pytest.approx(
        np.sqrt((PIXELS.astype(float) ** 2).mean())
    )
