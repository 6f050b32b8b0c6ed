import numpy as np
import pyarrow as pa
import pytest

from kfc.data.tables.different_texts import different_texts

ROWS = 25_000


def column(texts):
    return pa.chunked_array([texts[:9_000], texts[9_000:]], pa.string())


@pytest.mark.parametrize("form", ["{}", "é{:020}", "{:08x}", "{} Main Street, Springfield"])
def test_texts_that_differ_are_found_once(form):
    texts = [form.format(number) for number in range(ROWS)]
    assert sorted(different_texts(column(texts)).to_pylist()) == sorted(texts)


def test_equal_texts_are_found_once_and_missing_ones_never():
    texts = [f"K{number}" for number in range(ROWS)]
    texts[7] = texts[24_000] = texts[20_001] = "the same"
    texts[3] = texts[12_000] = None
    texts[4] = ""
    found = different_texts(column(texts)).to_pylist()
    assert sorted(found) == sorted(set(texts) - {None})


def test_a_part_of_a_column_is_read_from_its_first_row():
    texts = pa.chunked_array([pa.array([f"K{number}" for number in range(2 * ROWS)])])
    part = texts.slice(ROWS)
    assert set(different_texts(part).to_pylist()) == set(part.to_pylist())


@pytest.mark.parametrize("different", [5, 15_000])
def test_a_column_of_which_a_tenth_of_the_rows_repeat_is_left_to_others(different):
    numbers = np.random.default_rng(0).integers(0, different, ROWS)
    assert different_texts(column([f"K{number}" for number in numbers])) is None
