"""The layers on the page: the trained network, and how it was while it trained."""

import json
import shutil
from dataclasses import replace

import pytest

import kfc
from kfc.reporting.layer_section import layer_section
from kfc.reporting.run_facts import RunFacts


@pytest.fixture
def logged(digits_run, tmp_path):
    """The run with a log of its layers after three epochs, one with a weight of NaN."""
    folder = tmp_path / "logged"
    shutil.copytree(digits_run.folder, folder)
    names = [layer.name for layer in digits_run.network.layers if hasattr(layer, "kernel")]
    with (folder / "layers.jsonl").open("w") as file:
        for epoch, signal in ((1, 0.5), (2, 2.0), (3, "nan")):
            numbers = {"weights": 9, "signal": signal, "constant": 0.0, "weight": 0.1}
            numbers |= {"gradient": 1e-3, "update": 1e-4}
            layers = [{"layer": name, **numbers} for name in names]
            file.write(json.dumps({"epoch": epoch, "step": 9, "layers": layers}) + "\n")
    return replace(digits_run, folder=folder)


def section_of(run):
    facts = RunFacts.of(run)
    return layer_section(facts, facts.watched)


def test_a_training_of_a_second_has_its_layers_over_time(digits_run):
    figures = [b for b in section_of(digits_run).blocks if type(b).__name__ == "Figure"]
    assert [figure.title for figure in figures] == ["signal", "gradient", "update by weight"]


def test_a_training_without_measurements_has_the_table_alone(logged):
    (logged.folder / "layers.jsonl").unlink()
    blocks = section_of(logged).blocks
    assert not [block for block in blocks if type(block).__name__ == "Figure"]
    assert "3 %" in blocks[-1].text


def test_signal_gradient_and_update_are_drawn_over_the_epochs(logged):
    figures = [b for b in section_of(logged).blocks if type(b).__name__ == "Figure"]
    assert [figure.title for figure in figures] == ["signal", "gradient", "update by weight"]
    assert "epochs 1 to 3" in figures[0].alt


def test_the_numbers_of_an_axis_are_plain_text(logged):
    html = kfc.report(logged.folder).html
    assert "mathdefault" not in html
    assert html.count("update by weight") >= 2
