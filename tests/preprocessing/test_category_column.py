import keras
import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf

from kfc.preprocessing.category_column import CategoryColumn
from kfc.preprocessing.column_encoding import row_place
from kfc.spec import CategoriesSpec, ColumnSpec


def words(*values):
    return pa.chunked_array([pa.array(values, pa.string()).dictionary_encode()])


def fitted(values, *, categories=None, **options):
    column = ColumnSpec(type="category", **options)
    return CategoryColumn.fit("plan", values, column, categories or CategoriesSpec())


def test_a_vocabulary_is_ordered_by_frequency_then_by_text():
    column = fitted(words("b", "a", "c", "c", "é", "Z"))
    assert column.vocabulary == ("c", "Z", "a", "b", "é")
    assert column.codes == (("plan", 5, None, False),)
    np.testing.assert_array_equal(
        column.apply(words("b", "never", None, "", "c")).ravel(), [4, 0, 0, 0, 1]
    )


def test_missing_values_of_the_training_rows_have_a_slot():
    column = fitted(words("a", None, ""))
    assert column.codes[0].size == 2
    np.testing.assert_array_equal(
        column.apply(words("a", None, "", "never")).ravel(), [1, 2, 2, 0]
    )


def test_rare_values_share_a_slot_with_unseen_ones():
    column = fitted(words("a", "a", "b", "c", None), min_count=2)
    assert (column.vocabulary, column.rare) == (("a",), ("b", "c"))
    new = words("a", "b", "never", None)
    np.testing.assert_array_equal(column.apply(new).ravel(), [1, 3, 3, 2])
    np.testing.assert_array_equal(column.unknown_rows(new), [False, False, True, False])


def test_a_missing_value_without_a_slot_is_coded_as_an_unseen_one():
    column = fitted(words("a", "a", "b"), min_count=2)
    np.testing.assert_array_equal(column.apply(words(None, "never")).ravel(), [2, 2])


def test_chunks_may_have_dictionaries_of_their_own():
    chunks = [pa.array(part).dictionary_encode() for part in (["a", "b"], ["c", "a", None])]
    column = fitted(pa.chunked_array(chunks))
    assert column.vocabulary == ("a", "b", "c")
    np.testing.assert_array_equal(
        column.apply(pa.chunked_array(chunks)).ravel(), [1, 2, 3, 1, 4]
    )


def test_words_of_a_dictionary_that_no_row_has_are_not_learned():
    values = words("a", "b", "c").slice(1, 1)
    assert fitted(values).vocabulary == ("b",)


def test_a_dictionary_may_be_as_large_as_its_indices_allow():
    texts = [f"{i:03}" for i in range(128)]
    indices = pa.array([*range(128), None], pa.int8())
    values = pa.chunked_array([pa.DictionaryArray.from_arrays(indices, pa.array(texts))])
    np.testing.assert_array_equal(fitted(values).apply(values).ravel(), range(1, 130))


@pytest.mark.parametrize(
    ("options", "categories", "size"),
    [
        ({}, {}, None),
        ({}, {"max_one_hot": 2}, 8),
        ({}, {"encoder": "embedding", "embedding_size": 3}, 3),
        ({"encoder": "one_hot"}, {"encoder": "embedding"}, None),
        ({"encoder": "embedding", "embedding_size": 5}, {}, 5),
    ],
)
def test_a_column_overrides_the_encoder_of_all(options, categories, size):
    column = fitted(words("a", "b", None), categories=CategoriesSpec(**categories), **options)
    assert column.embedding_size == size


@pytest.mark.parametrize(
    ("values", "dtype"),
    [
        (("1", "-2", "0"), "int64"),
        (("1", None), "float64"),
        (("16777216", None), "string"),
        (("9223372036854775807",), "int64"),
        (("9223372036854775808",), "string"),
        (("01",), "string"),
        (("-0",), "string"),
        (("1", "a"), "string"),
        ((None,), "string"),
    ],
)
def test_integers_are_taken_as_integers(values, dtype):
    assert fitted(words(*values)).input_dtype == dtype


def test_text_that_is_no_integer_becomes_an_integer_that_training_has_not_seen():
    column = fitted(words("1", "-1", "-2"))
    assert column.raw_input(words("1", "x", None, "1.5"), row_place).tolist() == [
        1,
        -3,
        -3,
        -3,
    ]
    column = fitted(words("1", None))
    np.testing.assert_array_equal(
        column.raw_input(words("1", "x", None), row_place), [1, -1, np.nan]
    )


def test_a_whole_number_has_one_text_in_numpy_and_in_a_graph():
    column = fitted(words("1", "1.0", "1.0", "2", "a", "2.50", "03"))
    assert column.vocabulary == ("1", "03", "2", "2.50", "a")
    cells = ("1", "1.0", "2.0", "1.00", "2.5", "2.50", "3", "03", "03.0", "a.0", " 1.0")
    codes = [1, 1, 3, 0, 0, 4, 0, 2, 0, 0, 0]
    np.testing.assert_array_equal(column.apply(words(*cells)).ravel(), codes)
    np.testing.assert_array_equal(column.unknown_rows(words(*cells)), np.equal(codes, 0))
    raw = keras.Input((), dtype="string")
    (block,) = CategoryColumn.graph([column], [raw])
    model = keras.Model(raw, block.values)
    np.testing.assert_array_equal(model(tf.constant(cells)).numpy().ravel(), codes)


def test_the_texts_of_a_boolean_are_one_category():
    column = fitted(words("True", "False", "TRUE", "false", "truE"))
    assert column.vocabulary == ("false", "true", "truE")
