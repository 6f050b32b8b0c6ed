import numpy as np
import pandas as pd
import pytest

from kfc.data import prepare
from kfc.data.precision import precision_loss, target_precision
from kfc.data.rows import Rows
from kfc.errors import DataError
from kfc.spec import load_spec

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
def test_a_column_that_float32_rounds_too_coarsely_is_found(case):
    column, after = LOST[case]
    finding = precision_loss(np.stack([column * 0, column], 1), "rows", "x")
    after = after or len(np.unique(column.astype(np.float32)))
    assert finding.where == "rows, column 1"
    assert f"{len(np.unique(column)):,} distinct values" in finding.got
    assert finding.got.endswith(f"of which float32 keeps {after:,}")


@pytest.mark.parametrize("case", LOST)
def test_the_remedy_of_the_message_is_enough(case):
    column, _ = LOST[case]
    x = column[:, None]
    if "x.std" in precision_loss(x, "rows", "x").remedy:
        x = x / x.std(axis=0)
    else:
        # In float64, which holds the differences of the largest integers no more.
        x = (x - x[0]).view(np.int64) if x.dtype.kind in "iu" and x.itemsize == 8 else x
        x = x - x.mean(axis=0)
    assert precision_loss(x, "rows", "x") is None
    assert len(np.unique(x.astype(np.float32))) == len(np.unique(column))


@pytest.mark.parametrize("case", KEPT)
def test_other_columns_are_left_alone(case):
    assert precision_loss(KEPT[case][:, None], "rows", "x") is None


def test_a_thousand_steps_of_float32_per_standard_deviation_are_enough():
    width = float(np.spacing(np.float32(1.7e9)))
    assert precision_loss(1.7e9 + 1100 * width * OTHER, "rows", "x") is None
    assert precision_loss(1.7e9 + 900 * width * OTHER, "rows", "x")


def test_the_first_column_is_named_as_its_source_names_it():
    pictures = np.zeros((ROWS, 2, 2)) + OTHER[:, None, None]
    pictures[:, 1, 0], pictures[:, 1, 1] = MINUTE, CENTIMETRES
    finding = precision_loss(pictures, "rows", "x")
    assert finding.where == "rows, column (1, 0)"
    assert "1 more columns like it" in finding.got
    assert finding.evidence["columns"] == 2
    finding = precision_loss(np.stack([OTHER, MINUTE], 1), "rows", "x", ("size", "time"))
    assert finding.where == "rows, column 'time'"
    finding = precision_loss(MINUTE, "rows", "y")
    assert finding.where == "rows"
    assert "y - y.mean(axis=0)" in finding.remedy


def test_a_column_of_many_blocks_is_measured_as_one(monkeypatch):
    monkeypatch.setattr("kfc.data.precision._BLOCK", 10)
    assert precision_loss(np.stack([OTHER, MINUTE], 1), "rows", "x")
    assert precision_loss(np.stack([OTHER, KEPT["years"]], 1), "rows", "x") is None


# --- in `prepare` -------------------------------------------------------------------------

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
def test_rows_of_any_source_are_checked_before_they_are_cast(given, scale, tmp_path):
    arguments, where = given(tmp_path)
    assert refused(**arguments, scale=scale).where == where


def test_targets_that_float32_rounds_too_coarsely_are_refused():
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


def test_targets_may_be_rounded_by_less_than_their_noise():
    """160 float32 values per standard deviation: R2 does not see the rounding."""
    y = 1e6 + 10 * np.random.default_rng(0).normal(size=500)
    assert target_precision(Rows(y, y), "data", regression=True) is None
    assert precision_loss(y, "data", "y")
    near = 1e6 + np.random.default_rng(0).normal(size=500)
    assert target_precision(Rows(near, near), "data", regression=True)
    assert target_precision(Rows(near, near), "data", regression=False) is None
