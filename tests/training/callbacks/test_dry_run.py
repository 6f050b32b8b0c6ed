"""Options of callbacks, tried before a training."""

import re

import pytest

from kfc.errors import SpecError
from kfc.runs.plan import prepare_data
from kfc.spec import load_spec
from kfc.training.callbacks import dry_run

CHECKPOINT = {"name": "ModelCheckpoint"}


@pytest.fixture(scope="module")
def tried():
    """Rehearses callbacks on scikit-learn's iris."""

    def dry_run_callbacks(*callbacks, **training):
        spec = load_spec(
            {
                "data": {"source": "sklearn:iris"},
                "network": {"hidden": [4]},
                "training": {"callbacks": list(callbacks), **training},
            }
        )
        dry_run.dry_run_callbacks(*prepare_data(spec))

    return dry_run_callbacks


@pytest.mark.parametrize(
    ("callback", "words"),
    [
        ({**CHECKPOINT, "filepath": "x{foo}.keras"}, "KeyError: Failed to format .*'foo'"),
        ({**CHECKPOINT, "filepath": "x{loss:d}.keras"}, "ValueError: Unknown format code"),
        ({**CHECKPOINT, "filepath": "x{learning_rate}.keras"}, "KeyError: .*learning_rate"),
        ({"name": "CSVLogger", "filename": "a", "separator": "ab"}, 'TypeError: "delimiter"'),
        ({"name": "SwapEMAWeights"}, "ValueError: SwapEMAWeights must be used when `use_ema="),
        ({"name": "CSVLogger", "filename": "x" * 300}, "OSError: .*File name too long"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_options_that_end_a_training_are_refused_before_it(tried, callback, words):
    name = callback["name"]
    with pytest.raises(SpecError) as caught:
        tried("TerminateOnNaN", callback)
    said = str(caught.value)
    assert f"training.callbacks[1]: expected options with which {name} works, got " in said
    assert re.search(words, said)
    assert "Recorded metrics: loss, accuracy, val_loss, val_accuracy." in said
    assert "/tmp" not in said


def test_callbacks_that_need_each_other_are_tried_together(tried, capsys):
    tried(
        {"name": "ReduceLROnPlateau", "verbose": 1},
        {**CHECKPOINT, "filepath": "{epoch}/{learning_rate:.3f}.keras", "verbose": 1},
        {"name": "CSVLogger", "filename": "logs/of/mine.csv"},
        {"name": "csv_log", "filename": "logs/ours.csv"},
        "early_stopping",
    )
    tried({"name": "SwapEMAWeights"}, optimizer={"name": "sgd", "use_ema": True})
    assert capsys.readouterr().out == ""


def test_what_was_tried_is_not_tried_again(tried, monkeypatch):
    tried("TerminateOnNaN")
    monkeypatch.setattr(dry_run, "_try", lambda *arguments: pytest.fail("tried again"))
    tried("TerminateOnNaN")
