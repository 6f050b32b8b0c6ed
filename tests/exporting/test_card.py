import pytest
from huggingface_hub import ModelCard

from kfc import spec as specs


def card_of(export):
    return ModelCard((export.path / "card.md").read_text("utf-8"))


@pytest.mark.parametrize(
    ("kind", "task"),
    [
        ("image", "image-classification"),
        ("table", "tabular-classification"),
        ("regression", "tabular-regression"),
    ],
)
def test_hugging_face_reads_the_front_matter(kind, task, exported, request):
    run, data = request.getfixturevalue(kind), card_of(exported(kind, "onnx")).data
    assert data.pipeline_tag == task
    assert data.model_name == kind.replace("regression", "diabetes")
    results = {result.metric_name: result.metric_value for result in data.eval_results}
    assert results == {k: v for k, v in run.metrics.items() if k.startswith("test_")}


def test_the_card_has_data_spec_numbers_use_and_limits(exported, regression):
    text = card_of(exported("regression", "onnx")).text
    for title in ("Intended use", "Limits", "Data", "Numbers", "Provenance"):
        assert f"\n## {title}\n" in text
    assert "318 train, 35 val, 89 test" in text or str(regression.rows["train"]) in text
    assert f"| test_mae | {regression.metrics['test_mae']:.4f} |" in text
    assert regression.data_sha256 in text


def test_the_spec_on_the_card_is_the_runs_own(exported, regression, tmp_path):
    text = card_of(exported("regression", "onnx")).text
    (tmp_path / "spec.yaml").write_text(text.split("```yaml\n")[1].split("```")[0])
    assert specs.load(tmp_path / "spec.yaml") == regression.spec


def test_other_peoples_text_does_nothing_in_the_card(exported):
    text = card_of(exported("table", "onnx")).text
    assert "no \\<b\\>" in text
    assert "<b>" not in text.replace("\\<b\\>", "")
    assert "naïve" in text
    assert "\\|x\\|" in text


def test_the_card_says_where_the_run_was_trained_on_arrays(exported):
    assert "nobody else can repeat it" in card_of(exported("table", "onnx")).text
