import json

import pytest

from kfc.errors import SpecError
from kfc.spec import load_spec, rewritten, write_cured

YAML = """\
# First line.
name: mine
network:
  hidden: [8, {units: 4}]  # two layers
training: {optimizer: sgd, epochs: 1e1}  # short forms
"""
CHANGES = {
    "network.hidden[0].init": "he_normal",
    "training.optimizer.learning_rate": 0.01,
    "data.scale": "standard",
}


@pytest.fixture
def write(tmp_path):
    def written(name, text):
        path = tmp_path / name
        path.write_text(text)
        return path

    return written


def test_comments_and_the_form_of_numbers_are_kept(write):
    path = write("a.yaml", YAML.replace("1e1", "10"))
    text, suffix = rewritten(path, CHANGES)
    assert suffix == ".yaml"
    for line in ("# First line.", "# two layers", "# short forms", "epochs: 10"):
        assert line in text


def test_the_written_spec_is_the_changed_one(write):
    path = write("a.yaml", YAML.replace("1e1", "10"))
    cured = write_cured(path, CHANGES)
    assert cured.name == "a.cured.yaml"
    assert load_spec(cured) == load_spec(path, CHANGES)


def test_json_stays_json_and_toml_becomes_yaml(write):
    values = {"name": "a", "training": {"epochs": 3}}
    changes = {"training.epochs": 9, "data.scale": "standard"}
    of_json = write_cured(write("a.json", json.dumps(values)), changes)
    assert of_json.name == "a.cured.json"
    of_toml = write_cured(write("b.toml", 'name = "a"\n[training]\nepochs = 3\n'), changes)
    assert of_toml.name == "b.cured.yaml"
    assert load_spec(of_json) == load_spec(of_toml) == load_spec(values, changes)


def test_a_built_in_spec_is_written_to_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cured = write_cured("digits", {"network.dropout": 0.2})
    assert cured.name == "digits.cured.yaml"
    assert cured.read_text().startswith("# 1,797 real handwritten digits")
    assert load_spec(cured).network.dropout == 0.2


def test_a_change_that_does_not_fit_is_refused(write):
    with pytest.raises(SpecError):
        rewritten(write("a.yaml", YAML), {"network.hidden[7].units": 3})
