from kfc.preprocessing.input_names import keras_names, signature_names


def test_a_column_keeps_its_name_where_keras_accepts_it():
    for name in ("age", "sepal length (cm)", "città", "x.1", "Stack", "stacks"):
        assert keras_names([name]) == {name: name}


def test_other_names_are_made_safe_and_different():
    columns = ["a/b", "a_b", "a//b", "a__b", "", "stack", "take_12", "logits"]
    assert keras_names(columns, {"logits"}) == {
        "a/b": "a_b_2",
        "a_b": "a_b",
        "a//b": "a__b_2",
        "a__b": "a__b",
        "": "column",
        "stack": "stack_column",
        "take_12": "take_12_column",
        "logits": "logits_column",
    }


def test_a_signature_has_names_of_python_arguments():
    names = {"a": "age", "b": "sepal length (cm)", "c": "sepal_length_cm", "d": "1", "e": "é"}
    assert signature_names(names) == {
        "a": "age",
        "b": "sepal_length_cm_2",
        "c": "sepal_length_cm",
        "d": "column_1",
        "e": "column_",
    }
