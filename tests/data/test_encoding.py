import numpy as np
import pytest

from kfc.data import prepare
from kfc.errors import DataError
from kfc.preprocessing import NumericScaling
from kfc.spec import load_spec

RNG = np.random.default_rng(0)
X = RNG.random((120, 4))
Y = np.arange(120) % 3


ALIKE = {
    "fewer features": ((X[:, :3], Y), "inputs of shape (4,) as in training"),
    "another shape": ((X.reshape(120, 2, 2), Y), "inputs of shape (4,) as in training"),
    "one-hot labels": ((X, np.eye(3)[Y]), "one label per row"),
    "other labels": ((X, np.array(list("abc"))[Y]), "one of the 3 labels"),
    "half labels": ((X, Y + 0.5), "one of the 3 labels"),
}


@pytest.mark.parametrize("case", ALIKE)
def test_test_rows_must_be_like_training_rows(refused, case):
    test, expected = ALIKE[case]
    assert expected in refused(((X, Y), test)).expected


def test_regression_targets_of_test_rows_must_be_as_many(refused):
    finding = refused(((X, RNG.random((120, 2))), (X, RNG.random((120, 3)))))
    assert finding.expected == "targets of shape (2,) as in training"


def test_pixels_and_fractions_are_not_mixed(refused):
    fractions = X.reshape(120, 2, 2)
    pixels = (fractions * 255).astype(np.uint8)
    assert "uint8" in refused(((pixels, Y), (fractions, Y))).expected
    prepared = prepare(load_spec({}), ((fractions * 255, Y), (pixels, Y)))
    assert prepared.test.x.dtype == np.float32


# --- pixels -------------------------------------------------------------------------------

PICTURES = RNG.integers(0, 256, (len(Y), 3, 2))
PICTURES[0, 0] = 0, 255


def of(x, y=Y, **of_data):
    return prepare(load_spec({"data": of_data}), (x, y))


@pytest.mark.parametrize("shape", [(3, 2), (3, 2, 1), (1, 3, 2)])
def test_pictures_of_bytes_are_pixels_whatever_their_type(shape):
    pictures = PICTURES.reshape(-1, *shape)
    narrow, wide = of(pictures.astype(np.uint8)), of(pictures)
    assert wide.train.x.dtype == np.uint8
    np.testing.assert_array_equal(wide.train.x, narrow.train.x)
    for prepared in (narrow, wide):
        assert prepared.resolved["pixels"] is True
        assert (prepared.task.scaling.shift, prepared.task.scaling.divisor) == (0, 255)


@pytest.mark.parametrize("shape", [(6,), (6, 1), (1, 6)])
@pytest.mark.parametrize("scale", ["unit", "centered", "standard", "robust"])
def test_a_table_is_scaled_alike_whatever_type_its_bytes_have(shape, scale):
    table = PICTURES.reshape(-1, *shape)
    expected = NumericScaling.fit(scale, of(table.astype(float), scale=scale).train.x)
    for dtype in (np.uint8, np.int64, np.float32):
        prepared = of(table.astype(dtype), scale=scale)
        assert prepared.resolved["pixels"] is False
        assert prepared.train.x.dtype == np.float32
        for part in ("shift", "divisor"):
            got, wanted = getattr(prepared.task.scaling, part), getattr(expected, part)
            np.testing.assert_array_equal(got, wanted)
            assert got.shape == (6,)


def test_one_larger_cell_makes_no_other_scaling_of_a_table():
    table = RNG.integers(0, 90, (len(Y), 4))
    scalings = []
    for largest in (255, 256):
        table[1, 2] = largest
        scalings.append(of(table, validation=0).task.scaling.divisor)
    np.testing.assert_array_equal(scalings[0][[0, 1, 3]], scalings[1][[0, 1, 3]])
    assert (scalings[1] < 257).all()


def test_integer_pictures_of_another_range_are_numbers():
    for pictures in (PICTURES + 1, PICTURES - 1, PICTURES // 2):
        assert of(pictures).train.x.dtype == np.float32


@pytest.mark.parametrize("values", [2, 17, 128])
def test_dark_pictures_of_bytes_are_pixels_or_not_as_the_spec_says(values):
    dark = (PICTURES % values).astype(np.uint8)
    with pytest.raises(DataError, match=r"data\.pixels") as caught:
        of(dark)
    assert caught.value.findings[0].got == f"{values - 1} as their largest number"
    assert of(dark, pixels=True).task.scaling.divisor == 255
    assert of(dark, pixels=False).task.scaling.divisor.max() == values - 1
    assert of(dark, scale="standard").resolved["pixels"] is True  # where it changes nothing


@pytest.mark.parametrize("dtype", [np.uint8, np.int64, np.float32, np.float64])
def test_flattened_pictures_are_pixels_where_the_spec_says_so(dtype):
    flat = PICTURES.reshape(len(Y), -1).astype(dtype)
    prepared = of(flat, pixels=True)
    assert prepared.train.x.dtype == np.uint8
    assert prepared.task.scaling.divisor == 255
    np.testing.assert_array_equal(
        prepared.test.x, of(PICTURES.astype(np.uint8)).test.x.reshape(-1, 6)
    )


@pytest.mark.parametrize(
    ("x", "where", "got"),
    [
        (PICTURES + 1, "row 0, column (0, 1)", "256, of type int64"),
        (PICTURES - 1, "row 0, column (0, 0)", "-1, of type int64"),
        (PICTURES + 0.5, "row 0, column (0, 0)", "0.5, of type float64"),
        (PICTURES > 9, "training rows", "bool from 0 to 1"),
        ((PICTURES > 9) * 1.0, "training rows", "float64 from 0 to 1"),
    ],
    ids=["256", "negative", "fractions", "flags", "scaled already"],
)
def test_what_is_no_byte_cannot_be_a_pixel(x, where, got):
    with pytest.raises(DataError) as caught:
        of(x, pixels=True)
    (finding,) = caught.value.findings
    assert finding.where.endswith(where)
    assert finding.got == got


def test_pictures_may_be_said_to_be_numbers():
    prepared = of(PICTURES.astype(np.uint8), pixels=False)
    assert prepared.train.x.dtype == np.float32
    assert prepared.task.scaling.divisor.shape == (6,)


def test_a_border_that_is_dark_in_training_is_not_huge_in_other_rows():
    flat = PICTURES.reshape(len(Y), -1).astype(np.uint8)
    flat[:, 0] = 0
    later = flat[:9].copy()
    later[:, 0] = 255
    for scale in ("unit", "centered", "standard"):
        prepared = prepare(load_spec({"data": {"scale": scale}}), ((flat, Y), (later, Y[:9])))
        scaling = prepared.task.scaling
        assert np.ptp(scaling.apply(np.r_[prepared.train.x[:1], prepared.test.x])[:, 0]) < 1e-6
