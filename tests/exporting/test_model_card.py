import dataclasses
from pathlib import Path

import pytest
from huggingface_hub import ModelCard

from kfc.data import prepare, with_number_bins
from kfc.exporting import export_run, formats, model_card, requests
from kfc.exporting.certificate import LIMIT, Parity
from kfc.network import build
from kfc.runs import Run
from kfc.spec import load_spec


@pytest.fixture(scope="module")
def runs(cases):
    """Kind -> a run without a training: a card says nothing of the weights."""
    return {kind: untrained(*case) for kind, case in cases.items()}


def untrained(spec, data):
    checked = load_spec(spec)
    prepared = prepare(checked, data)
    task = with_number_bins(prepared.task, checked, prepared.train)
    parts = {"train": prepared.train, "val": prepared.validation, "test": prepared.test}
    metric = "accuracy" if prepared.task.classification else "mae"
    return Run(
        spec=checked,
        network=build(checked, task),
        history={"loss": [0.5, 0.25]},
        metrics={"val_loss": 0.3, "test_loss": 1 / 3, f"test_{metric}": 0.123456},
        folder=Path("runs/0001"),
        task=task,
        seconds=1.0,
        weights_sha256="0" * 64,
        data_sha256=prepared.sha256,
        num_rows={part: len(rows) for part, rows in parts.items() if rows is not None},
        sample_sha256="1" * 64,
        baseline={},
    )


def card_text(run, format="SAVED_MODEL"):
    """Returns the card of a run's export, of no real one."""
    exporter = getattr(formats, format)
    parity = Parity(64, (), 3, 0.0, LIMIT, 0)
    fields = export_run._fields(run, exporter, parity, run.task)
    fields |= {"version": 1, "format": format.lower()}
    commands = requests.serving_commands(Path("models/1"), run.spec.name, portable=True)
    return model_card.card_text(run, fields, commands if exporter.serves else None)


def card_of(*arguments):
    return ModelCard(card_text(*arguments))


@pytest.mark.parametrize(
    ("kind", "task"),
    [
        ("image", "image-classification"),
        ("table", "tabular-classification"),
        ("regression", "tabular-regression"),
    ],
)
def test_hugging_face_reads_the_front_matter(kind, task, runs):
    run, data = runs[kind], card_of(runs[kind]).data
    assert data.pipeline_tag == task
    assert data.model_name == kind.replace("regression", "diabetes")
    results = {result.metric_name: result.metric_value for result in data.eval_results}
    assert results == {k: v for k, v in run.metrics.items() if k.startswith("test_")}


def test_the_card_has_data_spec_numbers_use_and_limits(runs):
    regression = runs["regression"]
    text = card_of(regression).text
    for title in ("Intended use", "Limits", "Data", "Numbers", "Provenance"):
        assert f"\n## {title}\n" in text
    assert "| rows | 317 train, 36 val, 89 test |" in text
    assert regression.rows == {"train": 317, "val": 36, "test": 89}
    assert f"| test_mae | {regression.metrics['test_mae']:.4f} |" in text
    assert regression.data_sha256 in text


def test_the_spec_on_the_card_is_the_runs_own(runs, tmp_path):
    text = card_of(runs["regression"]).text
    (tmp_path / "spec.yaml").write_text(text.split("```yaml\n")[1].split("```")[0])
    assert load_spec(tmp_path / "spec.yaml") == runs["regression"].spec


def test_other_peoples_text_does_nothing_in_the_card(runs):
    text = card_of(runs["table"]).text
    assert "no \\<b\\>" in text
    assert "<b>" not in text.replace("\\<b\\>", "")
    assert "naïve" in text
    assert "\\|x\\|" in text


def test_the_card_says_where_the_run_was_trained_on_arrays(runs):
    assert "only their owner can repeat the training" in card_of(runs["table"]).text


def test_the_card_promises_a_repetition_of_what_has_a_source_alone(runs):
    sentence = "`kfc fit` on it repeats the training"
    assert sentence in card_of(runs["regression"]).text
    assert sentence not in card_of(runs["table"]).text


def test_a_regression_has_no_labels_on_its_card(runs):
    text = card_of(runs["regression"]).text
    assert "64 test rows: largest difference" in text
    assert "label" not in text.lower().split("```yaml")[0]


def test_the_card_has_the_name_of_the_input_for_each_column(runs):
    text = card_of(runs["table"]).text
    assert (
        "as inputs, sepal length \\(cm\\) is `sepal_length_cm`, class is `column_class`"
        in text
    )
    assert "as inputs" not in card_of(runs["table"], "ONNX").text  # which takes rows


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("npz:my_d/x[0]*.npz", "| source | `npz:my_d/x[0]*.npz` |"),
        ("npz:a`b|c.npz", "| source | `` npz:a`b\\|c.npz `` |"),
    ],
)
def test_a_source_is_shown_as_it_is(source, shown, runs):
    regression = runs["regression"]
    data = regression.spec.data.model_copy(update={"source": source})
    spec = regression.spec.model_copy(update={"data": data})
    run = dataclasses.replace(regression, spec=spec)
    assert shown in card_text(run)


def test_pixels_are_those_of_images_and_one_epoch_is_one(runs):
    regression = runs["regression"]
    one = dataclasses.replace(regression, history={"loss": [1.0]})
    assert "\n1 epoch in " in card_text(one)
    assert "raw rows, 5 x 4 x 1 8-bit pixels each;" in card_text(runs["image"])
    task = dataclasses.replace(regression.task, input_dtype="uint8")
    text = card_text(dataclasses.replace(regression, task=task))
    assert "raw rows, 10 whole numbers from 0 to 255 each;" in text
