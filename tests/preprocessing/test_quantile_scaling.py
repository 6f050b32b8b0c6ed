import keras
import numpy as np
import pytest
from scipy.stats import norm
from sklearn.preprocessing import QuantileTransformer

from kfc.preprocessing import QuantileScaling, TensorPieces, fit_scaling
from kfc.preprocessing.quantile_scaling import num_pieces
from kfc.system.memmap import DiskArray

LARGEST = 5.1993375  # the normal quantile of 1 - 1e-7
TIES = np.repeat([3.0, -1.0, 8.0], [60, 25, 15])


def samples(count, seed=0):
    """Features of four shapes: normal, skew, flat, and with heavy tails."""
    rng = np.random.default_rng(seed)
    features = (
        rng.normal(5, 2, count),
        rng.exponential(40, count),
        rng.uniform(-1e6, 1e6, count),
        rng.standard_t(2, count),
    )
    return np.stack(features, axis=1).astype(np.float32)


def column(*values):
    return np.array(values, np.float32)[:, None]


def scikit_learns(x):
    """The transformer that keeps every training value, where ours keeps 129."""
    every = QuantileTransformer(
        n_quantiles=len(x), output_distribution="normal", subsample=None
    )
    return every.fit(x.astype(np.float64))


@pytest.mark.parametrize("count", [20, 300, 20_000])
def test_training_values_become_those_of_scikit_learn_within_the_width_of_a_piece(count):
    x = samples(count)
    error = np.abs(fit_scaling("quantile", x).apply(x) - scikit_learns(x).transform(x))
    # The values that are kept are exact and 0.081 apart; others lie between two of them.
    assert error.max() < 0.081
    assert error.mean() < 0.01


def test_few_training_values_become_those_of_scikit_learn_exactly():
    x = samples(20)  # further apart than the values that are kept
    found = fit_scaling("quantile", x).apply(x)
    np.testing.assert_allclose(found, scikit_learns(x).transform(x), atol=1e-6)


def test_other_values_of_the_same_distribution_are_close_to_scikit_learns():
    x, new = samples(5000), samples(5000, seed=1)
    error = np.abs(fit_scaling("quantile", x).apply(new) - scikit_learns(x).transform(new))
    # Beyond the second smallest value scikit-learn is linear in the share, ours in the score.
    inner = np.abs(scikit_learns(x).transform(new)) < 3
    assert error[inner].max() < 0.081
    assert error.mean() < 0.01


@pytest.mark.parametrize("count", [200, 20_000])
def test_scaled_training_values_are_normal(count):
    x = samples(count)
    scaled = fit_scaling("quantile", x).apply(x)
    assert np.abs(scaled.mean(axis=0)).max() < 0.01
    assert np.abs(scaled.std(axis=0) - 1).max() < 0.2


def test_equal_values_get_the_mean_of_their_shares():
    scaling = fit_scaling("quantile", TIES[:, None].astype(np.float32))
    # Ranks 0 to 24, 25 to 84 and 85 to 99 of 99: shares 12 / 99, 54.5 / 99 and 92 / 99.
    expected = norm.ppf(column(12 / 99, 54.5 / 99, 92 / 99))
    np.testing.assert_allclose(scaling.apply(column(-1, 3, 8)), expected, atol=1e-5)


def test_equal_values_between_others_become_those_of_scikit_learn():
    others = np.random.default_rng(0).normal(3, 1, 40)
    x = np.concatenate([TIES[:60], others])[:, None].astype(np.float32)
    expected = scikit_learns(x).transform(column(3))
    # Its quantiles are rounded, so that it may count a row of a hundred more or fewer.
    found = fit_scaling("quantile", x).apply(column(3))
    np.testing.assert_allclose(found, expected, atol=0.02)


@pytest.mark.parametrize("constant", [0, 7.25, 1e-40, -3e38])
def test_a_constant_feature_becomes_0_whatever_comes_later(constant):
    scaling = fit_scaling("quantile", column(*[constant] * 9))
    assert (scaling.apply(column(constant, -3e38, -1, 0, 1, 3e38)) == 0).all()


def test_a_single_row_becomes_0():
    assert (fit_scaling("quantile", samples(1)).apply(samples(5)) == 0).all()


def test_values_outside_those_of_training_stay_at_the_ends():
    scaling = fit_scaling("quantile", column(*range(1000)))
    found = scaling.apply(column(-3e38, -1, 0, 999, 1000, 3e38))
    expected = column(*[-LARGEST] * 3, *[LARGEST] * 3)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("form", ["NumPy", "layer"])
def test_larger_values_are_never_scaled_to_smaller_ones(form):
    x = np.concatenate([samples(500)[:, 3], np.repeat([0.5, 2.0], 100)])[:, None]
    scaling = fit_scaling("quantile", x.astype(np.float32))
    ends = scaling.values[0]
    near = [np.nextafter(ends, np.float32(end)) for end in (-np.inf, np.inf)]
    dense = np.linspace(ends[0] - 1, ends[-1] + 1, 20_001)
    line = np.sort(np.concatenate([ends, *near, dense]).astype(np.float32))[:, None]
    scaled = scaling.apply(line) if form == "NumPy" else scaling.graph(line).numpy()
    assert (np.diff(scaled[:, 0]) >= 0).all()


@pytest.mark.parametrize("factor", [1e-30, 1e-20, 1, 1e30])
def test_features_of_any_size_give_the_same_numbers(factor):
    x = samples(300)[:, :1].astype(np.float64)
    small = (x * factor).astype(np.float32)
    found = fit_scaling("quantile", small).apply(small)
    expected = fit_scaling("quantile", x.astype(np.float32)).apply(x)
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("form", ["NumPy", "layer", "float64"])
def test_numbers_at_the_ends_of_float32_stay_finite(form):
    x = np.linspace(-3.4e38, 3.4e38, 50).astype(np.float32)[:, None]
    tiny = (np.arange(50) * 1e-44).astype(np.float32)[:, None]
    for rows in (x, tiny):
        scaling = fit_scaling("quantile", rows)
        scale = {
            "NumPy": scaling.apply,
            "layer": scaling.graph,
            "float64": scaling.apply_float64,
        }
        assert np.isfinite(np.asarray(scale[form](np.concatenate([x, tiny])))).all()


def test_a_column_far_from_0_keeps_all_differences_that_float32_has():
    x = np.arange(2**24 - 200, 2**24, dtype=np.float32)[:, None]
    found = fit_scaling("quantile", x).apply(x)
    np.testing.assert_allclose(found, fit_scaling("quantile", x - x[0]).apply(x - x[0]))


def test_the_layer_keeps_nan():
    found = fit_scaling("quantile", samples(50)).graph(np.full((2, 4), np.nan, np.float32))
    assert np.isnan(found).all()


def test_pixels_are_scaled_too():
    pixels = (np.arange(60).reshape(15, 2, 2) * 4).astype(np.uint8)
    scaling = fit_scaling("quantile", pixels)
    layer = np.asarray(scaling.graph(pixels.reshape(15, 4)))
    np.testing.assert_allclose(layer, scaling.apply(pixels), rtol=1e-6)


def test_streamed_rows_give_the_same_numbers_in_several_passes(monkeypatch):
    x = samples(500)
    monkeypatch.setattr("kfc.system.memmap.CHUNK_BYTES", 1000)
    monkeypatch.setattr("kfc.preprocessing.feature_statistics.CHUNK_BYTES", 3 * 500 * 4)
    monkeypatch.setattr("kfc.system.memory.limit_bytes", lambda: 0)
    streamed, resident = fit_scaling("quantile", DiskArray(x)), fit_scaling("quantile", x)
    np.testing.assert_array_equal(streamed.values, resident.values)
    np.testing.assert_array_equal(streamed.scores, resident.scores)


@pytest.mark.parametrize(
    ("features", "pieces"), [(1, 128), (2048, 128), (2049, 64), (3072, 64), (10**6, 16)]
)
def test_many_features_have_fewer_pieces(features, pieces):
    assert num_pieces(features) == pieces


def test_a_scaling_is_rebuilt_from_its_config():
    x = np.concatenate([samples(300), np.full((300, 1), 4, np.float32)], axis=1)
    scaling = fit_scaling("quantile", x)
    config = scaling.get_config()
    again = QuantileScaling.from_config(config)
    assert [len(values) for values in config["values"]][-1] == 1
    for part in ("values", "scores"):
        np.testing.assert_array_equal(getattr(again, part), getattr(scaling, part))
        assert getattr(again, part).dtype == np.float32


@pytest.mark.parametrize(
    ("values", "scores", "message"),
    [
        ([[1.0, 2.0]], [[0.0]], "2 values with 1 scores"),
        ([[]], [[]], "0 values"),
        ([[0.0] * 130], [[0.0] * 130], "130 values"),
        ([[1.0, 1.0]], [[0.0, 1.0]], "do not rise"),
        ([[0.0, float("inf")]], [[0.0, 1.0]], "do not rise"),
        ([[1.0]], [], "zip"),
    ],
)
def test_numbers_that_do_not_fit_together_are_refused(values, scores, message):
    with pytest.raises(ValueError, match=message):
        QuantileScaling.from_config({"values": values, "scores": scores})


# --- layers -------------------------------------------------------------------------------


def test_a_saved_layer_loads_in_plain_keras_and_gives_the_same_bits(tmp_path):
    x, inputs = samples(100), keras.Input((4,))
    model = keras.Model(inputs, fit_scaling("quantile", x).graph(inputs))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert not any(type(each).__module__.startswith("kfc") for each in loaded.operations)
    np.testing.assert_array_equal(loaded(x), model(x))
    assert loaded.weights == []


def test_numbers_as_tensors_are_no_weights_and_give_the_same_bits():
    scaling = fit_scaling("quantile", samples(100))
    layer, x = scaling.layer(), samples(50)
    tensors = TensorPieces(layer)
    np.testing.assert_array_equal(tensors(x), layer(x))
    assert (tensors.weights, len(tensors.given)) == ([], 3)
