import numpy as np
import pyarrow as pa
import pytest

from kfc.data.tables import ArrowFiles
from kfc.data.tables.arrow_files import Batches
from kfc.system import SharedWork

NUMBERS = pa.chunked_array([[1.5, None]])
WORDS = pa.chunked_array([["a", None], ["b", "a"]]).dictionary_encode()


@pytest.fixture
def files(tmp_path):
    return ArrowFiles(SharedWork(tmp_path))


def test_columns_are_dropped_from_memory_and_read_again(files):
    made = files.columns("typed", {"a/b": lambda: NUMBERS, "words": lambda: WORDS})
    filed = [*made.values(), files.column(WORDS)]
    files.release()
    assert [values.to_pylist() for values in filed] == [
        [1.5, None],
        ["a", None, "b", "a"],
        ["a", None, "b", "a"],
    ]
    assert [*made] == ["a/b", "words"]
    assert filed[1].type == WORDS.type


def test_a_column_in_batches_is_read_as_it_is_written(files):
    table = pa.table({"a": pa.chunked_array([[1], [2, 3]])})
    made = files.columns("read", {"a": lambda: Batches(table.schema, table.to_batches)})
    assert made["a"].to_pylist() == [1, 2, 3]
    assert made["a"].num_chunks == 2


def test_numbers_in_a_file_are_the_same_and_cannot_be_written(files):
    numbers = files.numbers("targets", lambda: np.arange(5))
    assert (numbers.dtype, numbers.tolist()) == (np.int64, [0, 1, 2, 3, 4])
    assert not numbers.flags.writeable


def test_columns_of_other_tables_and_kinds_are_others(files):
    one = files.columns("read", {"a": lambda: NUMBERS})
    other = files.of("test").columns("read", {"a": lambda: WORDS})
    typed = files.columns("typed", {"a": lambda: pa.chunked_array([[7]])})
    again = files.columns("read", {"a": lambda: WORDS})  # made already
    found = [each["a"].to_pylist() for each in (one, other, typed, again)]
    assert found == [[1.5, None], ["a", None, "b", "a"], [7], [1.5, None]]


def test_results_of_columns_are_found_once_for_what_they_depend_on(files):
    called = []

    def length(name):
        called.append(name)
        return len(name)

    assert files.results("type", length, ["a", "bb"]) == [1, 2]
    assert files.results("type", length, ["bb", "a"], {"a": "said"}) == [2, 1]
    assert sorted(called) == ["a", "a", "bb"]
