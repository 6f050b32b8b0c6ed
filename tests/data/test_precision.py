import numpy as np
import pandas as pd
import pytest

from kfc.data import prepare
from kfc.data.precision import TARGET_STEPS, check_precision, check_scaled_finite, swallowed
from kfc.errors import DataError
from kfc.preprocessing import NumericScaling
from kfc.spec import load_spec
from kfc.system.memmap import Mapped

RNG = np.random.default_rng(0)
ROWS = 1200
MINUTE = 1.7e9 + RNG.uniform(0, 60, ROWS)
CENTIMETRES = 52.0 + 3e-7 * RNG.normal(size=ROWS)
STEPS = RNG.integers(0, 1000, ROWS)
OTHER = RNG.normal(size=ROWS)

LOST = {  # a column: how many of its values are distinct as float32
    "unix seconds within a minute": (MINUTE, 1),
    "unix seconds within an hour": (1.7e9 + RNG.uniform(0, 3600, ROWS), None),
    "degrees centimetres apart": (CENTIMETRES, 1),
    "Julian days within a month": (2459000 + RNG.uniform(0, 30, ROWS), 121),
    "numbers of things": (2**24 + 2 * RNG.integers(0, 1000, ROWS) + 1, None),
    "int32 near its end": ((2**31 - 1 - STEPS % 50).astype(np.int32), 1),
    "nanoseconds since 1970": (1_700_000_000_000_000_000 + STEPS, 1),
    "the largest integers": (2**63 - 1 - STEPS % 5, 1),
    "the largest unsigned integers": (np.uint64(2**64 - 1) - (STEPS % 5).astype("u8"), 1),
    "unsigned beyond float64": (np.uint64(2**63) + STEPS.astype("u8"), 1),
    "two values": (np.repeat([1.7e9, 1.7e9 + 1], ROWS // 2), 1),
    "numbers below float32's smallest": (1e-50 * OTHER, 1),
    "long doubles": (MINUTE.astype(np.longdouble), 1),
}
KEPT = {
    "standardised": OTHER,
    "years": RNG.integers(1990, 2021, ROWS).astype(float),
    "fractions of a year": 2020 + RNG.uniform(0, 1, ROWS),
    "degrees within a city": 52 + 0.05 * OTHER,
    "unix seconds within a week": 1.7e9 + RNG.uniform(0, 7 * 86400, ROWS),
    "whole days in seconds": 86400.0 * RNG.integers(19000, 20000, ROWS),
    "one constant": np.full(ROWS, 0.1),
    "a constant with rounding errors": 0.3 + 1e-16 * OTHER,
    "small numbers": 1e-30 * OTHER,
    "an outlier": np.append(RNG.random(ROWS - 1), 1e9 + 0.3),
    "integers up to 2**24": 2**24 - STEPS,
    "every integer of 64 bits": RNG.integers(-(2**63), 2**63 - 1, ROWS),
    "large numbers of things": RNG.integers(0, 2**40, ROWS),
    "float32 already": MINUTE.astype(np.float32),
    "bytes": (STEPS % 256).astype(np.uint8),
    "flags": STEPS > 500,
    "a single row": np.array([1.7e9 + 1]),
}


@pytest.mark.parametrize("case", LOST)
def test_a_column_that_float32_swallows_is_refused(case):
    column, after = LOST[case]
    with pytest.raises(DataError) as caught:
        check_precision(np.stack([column * 0, column], 1), "rows", "x")
    (finding,) = caught.value.findings
    after = after or len(np.unique(column.astype(np.float32)))
    assert finding.where == "rows, column 1"
    assert f"{len(np.unique(column)):,} distinct values" in finding.got
    assert finding.got.endswith(f"of which float32 keeps {after:,}")


@pytest.mark.parametrize("case", LOST)
def test_what_the_message_says_to_do_is_enough(case):
    column, _ = LOST[case]
    with pytest.raises(DataError) as caught:
        check_precision(column[:, None], "rows", "x")
    x = column[:, None]
    if "x.std" in caught.value.findings[0].remedy:
        x = x / x.std(axis=0)
    else:
        # In float64, which holds the differences of the largest integers no more.
        x = (x - x[0]).view(np.int64) if x.dtype.kind in "iu" and x.itemsize == 8 else x
        x = x - x.mean(axis=0)
    check_precision(x, "rows", "x")
    assert len(np.unique(x.astype(np.float32))) == len(np.unique(column))


@pytest.mark.parametrize("case", KEPT)
def test_other_columns_are_left_alone(case):
    check_precision(KEPT[case][:, None], "rows", "x")


def test_a_thousand_steps_of_float32_per_standard_deviation_are_enough():
    width = float(np.spacing(np.float32(1.7e9)))
    check_precision(1.7e9 + 1100 * width * OTHER, "rows", "x")
    with pytest.raises(DataError):
        check_precision(1.7e9 + 900 * width * OTHER, "rows", "x")


def test_the_first_column_is_named_as_its_source_names_it():
    pictures = np.zeros((ROWS, 2, 2)) + OTHER[:, None, None]
    pictures[:, 1, 0], pictures[:, 1, 1] = MINUTE, CENTIMETRES
    with pytest.raises(DataError, match=r"rows, column \(1, 0\): .* 1 more columns like it"):
        check_precision(pictures, "rows", "x")
    with pytest.raises(DataError, match="rows, column 'time': "):
        check_precision(np.stack([OTHER, MINUTE], 1), "rows", "x", ("size", "time"))
    with pytest.raises(DataError, match=r"^rows: .* y - y.mean\(axis=0\)"):
        check_precision(MINUTE, "rows", "y")


def test_a_column_of_many_blocks_is_measured_as_one(monkeypatch):
    monkeypatch.setattr("kfc.data.precision._BLOCK", 10)
    with pytest.raises(DataError):
        check_precision(np.stack([OTHER, MINUTE], 1), "rows", "x")
    check_precision(np.stack([OTHER, KEPT["years"]], 1), "rows", "x")


# --- in the whole -------------------------------------------------------------------------

X = np.stack([OTHER, MINUTE], 1)
Y = (OTHER > 0).astype(int)


def refused(data=None, **of_data):
    with pytest.raises(DataError) as caught:
        prepare(load_spec({"data": of_data}), data)
    return caught.value.findings[0]


def data_in_memory(folder):
    return {"data": (X, Y)}, "data, training rows, column 1"


def data_frame(folder):
    frame = pd.DataFrame({"size": OTHER, "time": MINUTE, "target": Y})
    return {"data": frame}, "data, training rows, column 'time'"


def npz_file(folder):
    np.savez(folder / "a.npz", x=X, y=Y)
    source = f"npz:{folder / 'a.npz'}"
    return {"source": source}, f"{source}, training rows, column 1"


def npy_folder(folder):
    np.save(folder / "x.npy", X)
    np.save(folder / "y.npy", Y)
    return {"source": f"npy:{folder}"}, f"npy:{folder}, training rows, column 1"


def memory_map(folder):
    np.save(folder / "x.npy", X)
    x = np.load(folder / "x.npy", mmap_mode="r")
    return {"data": (x, Y)}, "data, training rows, column 1"


@pytest.mark.parametrize(
    "given", [data_in_memory, data_frame, npz_file, npy_folder, memory_map]
)
@pytest.mark.parametrize("scale", ["none", "unit", "standard", "robust"])
def test_a_source_of_any_kind_is_looked_at_before_its_rows_are_cast(given, scale, tmp_path):
    arguments, where = given(tmp_path)
    assert refused(**arguments, scale=scale).where == where


def test_targets_that_float32_swallows_are_refused():
    finding = refused((OTHER[:, None], np.stack([OTHER, 1.6e9 + OTHER], 1)))
    assert finding.where == "data, training rows, targets, column 1"
    assert finding.remedy == "Subtract the mean first, in float64: y - y.mean(axis=0)."
    assert refused((OTHER[:, None], 2**40 + STEPS), task="regression").where.endswith(
        "targets"
    )
    prepare(load_spec({}), (OTHER[:, None], 1.6e9 + OTHER - 1.6e9))


def test_large_numbers_may_be_labels():
    labels = 2**40 + Y
    assert prepare(load_spec({}), (OTHER[:, None], labels)).task.class_names == tuple(
        str(label) for label in sorted(set(labels))
    )


def test_held_out_rows_may_lie_closer_together_than_training_rows():
    x = 2000 + 10 * OTHER[:, None]
    few = 2000 + np.array([[0], [1e-5], [2e-4]])
    assert len(prepare(load_spec({}), ((x, Y), (few, Y[:3]))).test) == 3


def test_rows_that_float32_makes_equal_are_refused_by_their_column():
    assert "float32 keeps 1" in refused((MINUTE[:, None], Y)).got


# --- values that are scaled to infinity ---------------------------------------------------

SMALL = 1e-30 * np.stack([OTHER, OTHER], 1)
STEEP = NumericScaling(np.float32(0), np.array([1, 1e-30], np.float32))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_finite_value_that_is_scaled_to_infinity_is_refused(dtype):
    x = np.zeros((50, 2), dtype)
    x[:, 0] = 1e30  # of a column that is not divided
    check_scaled_finite(STEEP, x, "rows")
    x[43, 1] = -1e20
    for rows in (x, Mapped(x)):
        with pytest.raises(
            DataError, match=r"rows, row 43, column 'b': .* got -1\.?0*2?\d*e\+20"
        ):
            check_scaled_finite(STEEP, rows, "rows", ("a", "b"))


def test_a_scaled_overflow_of_a_later_chunk_is_found_by_its_row(monkeypatch):
    monkeypatch.setattr("kfc.system.memmap.CHUNK_BYTES", 64)
    x = np.zeros((50, 2), np.float32)
    x[43, 1] = 1e20
    with pytest.raises(DataError, match="row 43, column 1"):
        check_scaled_finite(STEEP, Mapped(x), "rows")


@pytest.mark.parametrize("dtype", ["u1", "i4", "?", "f2"])
def test_small_values_of_any_type_stay_finite(dtype):
    check_scaled_finite(STEEP, np.ones((5, 2), dtype), "rows")


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
        prepare(spec, ((train, Y), (test, Y[:40])))
    (finding,) = caught.value.findings
    assert finding.where == f"data, {part} rows, row 31, column 1"
    assert finding.got == "1e+20"


def test_rows_to_predict_that_overflow_after_scaling_are_refused():
    from kfc.runs.predictions import raw_rows

    task = prepare(load_spec({"data": {"scale": "standard"}}), (SMALL, Y)).task
    x = SMALL[:5].copy()
    assert raw_rows(x, task).shape == (5, 2)
    x[3, 0] = 1e20
    with pytest.raises(DataError, match=r"rows to predict, row 3, column 0: .* stay finite"):
        raw_rows(x, task)


def test_targets_may_be_rounded_by_less_than_their_noise():
    """160 float32 values per standard deviation: R2 does not see the rounding."""
    y = 1e6 + 10 * np.random.default_rng(0).normal(size=500)
    assert swallowed(y, "data", "y", steps=TARGET_STEPS) is None
    assert swallowed(y, "data", "y") is not None
    near = 1e6 + np.random.default_rng(0).normal(size=500)
    assert swallowed(near, "data", "y", steps=TARGET_STEPS) is not None
