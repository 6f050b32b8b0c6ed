import pytest

from kfc.exporting.serving_signature import input_names

WORDS = ("class", "self", "from", "None")  # of Python, which TensorFlow makes functions of


@pytest.mark.parametrize(
    ("columns", "names"),
    [
        (["sepal length (cm)", "width"], ["sepal_length_cm", "width"]),
        (["a b", "a_b", "A-B"], ["a_b", "a_b_2", "A_B_3"]),
        (["2nd", "7"], ["column_2nd", "column_7"]),
        (["", "  ", "größe"], ["column", "column_2", "gr_e"]),
        (["class", "self", "from", "None"], [f"column_{n}" for n in WORDS]),
        (
            ["Class", "name", "column_class", "class"],
            ["Class", "name", "column_class", "column_class_2"],
        ),
        (["a", "a_2", "a"], ["a", "a_2", "a_3"]),
    ],
)
def test_a_column_gets_a_name_that_every_runtime_takes(columns, names):
    assert input_names(columns) == names
