"""Drafts: the preset that they name, and the time that its training takes."""

import pytest

from kfc.data.tables import draft_spec, spec_draft
from kfc.spec import load_spec, preset_text, read_yaml


@pytest.fixture
def file(tmp_path):
    lines = [f"{i * 7 % 50}.5,{'no' if i % 3 else 'yes'}" for i in range(200)]
    path = tmp_path / "sales.csv"
    path.write_text("\n".join(["size,sold", *lines]) + "\n")
    return path


def test_a_draft_names_a_preset_and_leaves_its_keys_to_it(file):
    values = read_yaml(draft_spec(str(file)).text, "").values
    assert values["preset"] == "tabm"
    assert not {"network", "training"} & {*values}
    assert "scale" not in values["data"]
    assert load_spec(values).data.scale == "quantile"


@pytest.mark.parametrize(
    ("rows", "time"),
    [(200, "a minute or less"), (50_000, "5 minutes"), (3_000_000, "5 hours")],
)
def test_the_time_grows_with_the_rows(rows, time):
    # 0.64 of the rows, 50 epochs, 2e-4 seconds each.
    assert spec_draft._predicted_time(rows) == time


def test_the_epochs_of_a_prediction_are_some_times_the_patience_of_the_preset():
    sections = read_yaml(preset_text(spec_draft._PRESET), "").values
    training = sections["common"]["training"]
    patience = training["early_stopping"]["patience"]
    assert 2 * patience < spec_draft._EPOCHS < training["epochs"]
