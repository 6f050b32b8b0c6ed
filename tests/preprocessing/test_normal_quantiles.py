import subprocess
import sys

import numpy as np
import pytest
from scipy.special import ndtr, ndtri

from kfc.preprocessing import normal_quantiles
from kfc.preprocessing.normal_quantiles import evenly_in_quantiles, quantiles

LEAST = 1e-7


def shares():
    """Shares of which many are near one half, and near 0 and 1."""
    generator = np.random.default_rng(0)
    small = 10 ** -generator.uniform(0, 7, 20_000)
    middle = 0.5 + 1e-9 * generator.normal(size=20_000)
    found = [generator.random(100_000), small, 1 - small, middle, np.arange(1001) / 1000]
    return np.clip(np.concatenate(found), LEAST, 1 - LEAST)


def halfway_shares():
    """Shares whose quantiles are in the middle of two numbers of float32."""
    low = np.linspace(-5, 5, 500).astype(np.float32)
    high = np.nextafter(low, np.float32(9)).astype(np.float64)
    return ndtr((low + high) / 2)


@pytest.mark.parametrize("make", [shares, halfway_shares])
def test_quantiles_have_the_bits_of_scipy(make):
    found, expected = quantiles(make()), ndtri(make()).astype(np.float32)
    np.testing.assert_array_equal(found.view(np.int32), expected.view(np.int32))


def test_python_and_scipy_differ_by_less_than_the_bound():
    inverse = normal_quantiles.NormalDist().inv_cdf
    found = np.array([inverse(share) for share in shares().tolist()])
    np.testing.assert_allclose(found, ndtri(shares()), rtol=normal_quantiles._ERROR / 4)


@pytest.mark.parametrize("pieces", [16, 128])
def test_places_are_those_of_scipy(pieces):
    largest = -ndtri(LEAST)
    expected = ndtr(np.linspace(-largest, largest, pieces + 1))
    for rows in [*range(1, 400), 10_007, 65_536, 1_000_000, 123_456_789]:
        places = np.rint(expected * (rows - 1)).astype(np.int64)
        places[0], places[-1] = 0, rows - 1
        np.testing.assert_array_equal(evenly_in_quantiles(rows, pieces, LEAST), places)


def test_scipy_is_asked_where_a_place_may_be_either_of_two(monkeypatch):
    asked = evenly_in_quantiles(1000, 16, LEAST)
    monkeypatch.setattr(normal_quantiles, "_ERROR", 1.0)
    np.testing.assert_array_equal(evenly_in_quantiles(1000, 16, LEAST), asked)
    np.testing.assert_array_equal(quantiles(shares()), ndtri(shares()).astype(np.float32))


def test_a_scaling_by_quantiles_mostly_needs_no_import_of_scipy():
    check = (
        "import sys, numpy as np; from kfc.preprocessing import fit_scaling; "
        "fit_scaling('quantile', np.random.default_rng(0).random((500, 4), np.float32)); "
        "sys.exit('scipy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0
