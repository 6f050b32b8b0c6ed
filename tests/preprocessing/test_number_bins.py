import json

import keras
import numpy as np
import pytest

from kfc.preprocessing import NumberBins, NumericScaling, TensorBins, fit_scaling
from kfc.preprocessing.bin_layers import is_bin_layer
from kfc.system.memmap import DiskArray


def rows(seed=0):
    rng = np.random.default_rng(seed)
    columns = [
        rng.normal(size=400),
        rng.integers(0, 3, 400),  # three values
        rng.integers(0, 2, 400),  # two values: a single bin
        np.full(400, 7.5),  # a constant
        np.where(rng.random(400) < 0.9, 0, rng.exponential(size=400)),  # mostly 0
    ]
    return np.stack(columns, axis=1).astype(np.float32)


def encoding(x, edges):
    """The definition of the published code, one number and one bin at a time."""
    last = len(edges) - 2
    encoded = []
    for t in range(last + 1):
        v = (x - edges[t]) / (edges[t + 1] - edges[t])
        v = min(v, 1.0) if t < last else v
        v = max(v, 0.0) if t > 0 else v
        encoded.append(v)
    return encoded


@pytest.mark.parametrize("scale", ["none", "standard", "robust_clip", "quantile"])
@pytest.mark.parametrize("bins", [1, 5, 48])
def test_edges_are_the_quantiles_of_scaled_columns_each_once(scale, bins):
    x = rows()
    scaling = fit_scaling(scale, x)
    found = NumberBins.fit(x, scaling, bins)
    scaled = scaling.apply(x).astype(np.float64)
    for edges, column in zip(found.get_config()["edges"], scaled.T, strict=True):
        wanted = np.quantile(column, np.linspace(0, 1, bins + 1)).astype(np.float32)
        wanted = np.unique(np.round(wanted, 7))
        np.testing.assert_allclose(edges, wanted, atol=3e-7)


def test_numbers_outside_are_extrapolated_by_the_first_and_the_last_bin():
    bins = NumberBins.from_config({"edges": [[0, 1, 3], [0, 2], [5]]})
    x = np.array([[-2, -4, 9], [0, 0, 5], [0.5, 1, 5], [2, 2, 5], [7, 5, -9]], np.float32)
    encoded = bins.apply(x)
    np.testing.assert_allclose(encoded[:, 0], [[-2, 0], [0, 0], [0.5, 0], [1, 0.5], [1, 3]])
    np.testing.assert_allclose(encoded[:, 1], [[-2, 0], [0, 0], [0.5, 0], [1, 0], [2.5, 0]])
    np.testing.assert_array_equal(encoded[:, 2], np.zeros((5, 2)))  # a constant has no bin


@pytest.mark.parametrize("kind", ["apply", "float64", "layer", "tensors"])
def test_every_form_computes_the_published_formula(kind):
    x = rows()
    bins = NumberBins.fit(x, NumericScaling(), 8)
    new = np.random.default_rng(1).normal(0, 3, (50, 5)).astype(np.float32)
    layer = bins.layer("bins")
    assert is_bin_layer(layer)
    forms = {
        "apply": bins.apply,
        "float64": lambda x: bins.apply(x.astype(np.float64)),
        "layer": lambda x: layer(x).numpy(),
        "tensors": lambda x: TensorBins(layer)(x).numpy(),
    }
    encoded = forms[kind](new)
    assert encoded.dtype == (np.float64 if kind == "float64" else np.float32)
    for number, edges in enumerate(bins.get_config()["edges"]):
        edges = np.asarray(edges, np.float64)
        for row in range(50):
            wanted = encoding(float(new[row, number]), edges)
            wanted += [0.0] * (bins.num_bins - len(wanted))
            np.testing.assert_allclose(
                encoded[row, number], wanted, rtol=1e-4, atol=1e-5, err_msg=f"{number}"
            )


def test_values_that_differ_by_rounding_make_no_bin():
    nearly = np.where(np.arange(60) % 2, np.float32(0.1), np.nextafter(np.float32(0.1), 1))
    bins = NumberBins.fit(nearly[:, None].astype(np.float32), NumericScaling(), 48)
    assert bins.get_config() == {"edges": [[pytest.approx(0.1)]]}
    assert (bins.apply(np.array([[9.0]], np.float32)) == 0).all()


def test_rows_on_the_disk_have_the_same_bins(monkeypatch):
    x = rows()
    scaling = fit_scaling("standard", x)
    monkeypatch.setattr("kfc.system.memmap.CHUNK_BYTES", 1000)
    monkeypatch.setattr("kfc.preprocessing.feature_statistics.CHUNK_BYTES", 2 * 400 * 4)
    monkeypatch.setattr("kfc.system.memory.limit_bytes", lambda: 0)
    streamed = NumberBins.fit(DiskArray(x), scaling, 48)
    np.testing.assert_array_equal(streamed.edges, NumberBins.fit(x, scaling, 48).edges)


def test_pictures_have_bins_for_each_pixel_that_changes():
    x = np.zeros((30, 2, 2), np.uint8)
    x[:, 1, 0], x[:1, 1, 1] = np.arange(30) * 8, 255  # one row is not a tenth
    bins = NumberBins.fit(x, fit_scaling("unit", x), 10)
    assert [len(edges) - 1 for edges in bins.get_config()["edges"]] == [0, 0, 10, 1]


def test_bins_are_read_again_from_json():
    bins = NumberBins.fit(rows(), fit_scaling("quantile", rows()), 48)
    again = NumberBins.from_config(json.loads(json.dumps(bins.get_config())))
    np.testing.assert_array_equal(again.edges, bins.edges)


@pytest.mark.parametrize("edges", [[], [1, 1], [2, 1], [0, float("inf")], [[0, 1]]])
def test_edges_that_are_none_are_refused(edges):
    with pytest.raises(ValueError, match=r"edges|array"):
        NumberBins.from_config({"edges": [[0, 1], edges]})


def test_nothing_of_the_layer_is_a_weight():
    layer = NumberBins.fit(rows(), NumericScaling(), 8).layer("bins")
    model = keras.Sequential([keras.Input((5,)), layer])
    assert not model.weights
    assert not TensorBins(layer).weights
    assert [number.shape for number in TensorBins(layer).given] == [(5, 8)] * 4


def test_missing_numbers_stay_nan():
    bins = NumberBins.fit(rows(), NumericScaling(), 8)
    assert np.isnan(bins.apply(np.full((1, 5), np.nan, np.float32))[0, 0]).all()
