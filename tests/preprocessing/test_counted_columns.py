import numpy as np
import pytest

from kfc.preprocessing.counted_columns import CountedColumns
from kfc.preprocessing.numeric import NumericScaling

VALUES = np.array([-1.0, 0.0, 1.0])


def columns(rows, seed=0):
    """Columns of -1, 0 and 1, some of them constant or nearly so, and their counts."""
    rng = np.random.default_rng(seed)
    shares = ([0, 1, 0], [0, 0.97, 0.03], [0.5, 0, 0.5], [0.2, 0.3, 0.5], [0, 0.6, 0.4])
    x = np.stack([rng.choice(VALUES, rows, p=share) for share in shares], axis=1)
    counts = np.stack([[(column == value).sum() for value in VALUES] for column in x.T])
    return x.astype(np.float32), CountedColumns(np.tile(VALUES, (len(shares), 1)), counts)


@pytest.mark.parametrize("rows", [1, 2, 3, 4, 5, 101, 1000])
def test_statistics_of_counts_are_those_of_the_rows(rows):
    x, counted = columns(rows)
    assert counted.shape == x.shape
    np.testing.assert_array_equal(counted.ranges(), (x.min(axis=0), x.max(axis=0)))
    np.testing.assert_allclose(
        counted.moments(),
        (x.mean(axis=0, dtype=float), x.std(axis=0, dtype=float)),
        atol=1e-12,
    )
    expected = np.quantile(x.astype(np.float64), (0.25, 0.5, 0.75), axis=0)
    np.testing.assert_allclose(counted.quartiles(), expected, atol=1e-12)


@pytest.mark.parametrize("name", ["unit", "centered", "standard", "robust", "robust_clip"])
def test_a_scaling_of_counts_is_that_of_the_rows(name):
    x, counted = columns(500)
    of_counts, of_rows = NumericScaling.fit(name, counted), NumericScaling.fit(name, x)
    np.testing.assert_allclose(of_counts.apply(x), of_rows.apply(x), rtol=1e-5, atol=1e-6)


def test_rare_and_balanced_columns_are_clipped_as_in_the_paper():
    x, counted = columns(1000)
    scaled = NumericScaling.fit("robust_clip", counted).apply(x)
    assert set(scaled[:, 0]) == {0}
    np.testing.assert_allclose(sorted(set(scaled[:, 1])), [0, 2 / np.sqrt(1 + 4 / 9)])
    np.testing.assert_allclose(sorted(set(scaled[:, 4])), [0, 1 / np.sqrt(1 + 1 / 9)])
