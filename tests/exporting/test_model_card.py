import dataclasses

import pytest
from huggingface_hub import ModelCard

from kfc.exporting import model_card
from kfc.spec import load_spec


def card_of(export):
    return ModelCard((export.path / "card.md").read_text("utf-8"))


def card_text(run, export):
    return model_card.card_text(run, export.certificate, export.commands())


@pytest.mark.parametrize(
    ("kind", "task"),
    [
        ("image", "image-classification"),
        ("table", "tabular-classification"),
        ("regression", "tabular-regression"),
    ],
)
def test_hugging_face_reads_the_front_matter(kind, task, exported, request):
    run, data = request.getfixturevalue(kind), card_of(exported(kind)).data
    assert data.pipeline_tag == task
    assert data.model_name == kind.replace("regression", "diabetes")
    results = {result.metric_name: result.metric_value for result in data.eval_results}
    assert results == {k: v for k, v in run.metrics.items() if k.startswith("test_")}


def test_the_card_has_data_spec_numbers_use_and_limits(exported, regression):
    text = card_of(exported("regression")).text
    for title in ("Intended use", "Limits", "Data", "Numbers", "Provenance"):
        assert f"\n## {title}\n" in text
    assert "| rows | 317 train, 36 val, 89 test |" in text
    assert regression.rows == {"train": 317, "val": 36, "test": 89}
    assert f"| test_mae | {regression.metrics['test_mae']:.4f} |" in text
    assert regression.data_sha256 in text


def test_the_spec_on_the_card_is_the_runs_own(exported, regression, tmp_path):
    text = card_of(exported("regression")).text
    (tmp_path / "spec.yaml").write_text(text.split("```yaml\n")[1].split("```")[0])
    assert load_spec(tmp_path / "spec.yaml") == regression.spec


def test_other_peoples_text_does_nothing_in_the_card(exported):
    text = card_of(exported("table")).text
    assert "no \\<b\\>" in text
    assert "<b>" not in text.replace("\\<b\\>", "")
    assert "naïve" in text
    assert "\\|x\\|" in text


def test_the_card_says_where_the_run_was_trained_on_arrays(exported):
    assert "only their owner can repeat the training" in card_of(exported("table")).text


def test_the_card_promises_a_repetition_of_what_has_a_source_alone(exported):
    sentence = "`kfc fit` on it repeats the training"
    assert sentence in card_of(exported("regression")).text
    assert sentence not in card_of(exported("table")).text


def test_a_regression_has_no_labels_on_its_card(exported):
    text = card_of(exported("regression")).text
    assert "64 test rows: largest difference" in text
    assert "label" not in text.lower().split("```yaml")[0]


def test_the_card_has_the_name_of_the_input_for_each_column(exported):
    text = card_of(exported("table")).text
    assert (
        "as inputs, sepal length \\(cm\\) is `sepal_length_cm`, class is `column_class`"
        in text
    )
    assert "as inputs" not in card_of(exported("table", "onnx")).text  # which takes rows


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("npz:my_d/x[0]*.npz", "| source | `npz:my_d/x[0]*.npz` |"),
        ("npz:a`b|c.npz", "| source | `` npz:a`b\\|c.npz `` |"),
    ],
)
def test_a_source_is_shown_as_it_is(source, shown, regression, exported):
    data = regression.spec.data.model_copy(update={"source": source})
    spec = regression.spec.model_copy(update={"data": data})
    run = dataclasses.replace(regression, spec=spec)
    assert shown in card_text(run, exported("regression"))


@pytest.mark.slow
def test_pixels_are_those_of_images_and_one_epoch_is_one(image, regression, exported):
    one = dataclasses.replace(regression, history={"loss": [1.0]})
    assert "\n1 epoch in " in card_text(one, exported("regression"))
    assert "raw rows, 5 x 4 x 1 8-bit pixels each;" in card_text(image, exported("image"))
    task = dataclasses.replace(regression.task, input_dtype="uint8")
    text = card_text(dataclasses.replace(regression, task=task), exported("regression"))
    assert "raw rows, 10 whole numbers from 0 to 255 each;" in text
