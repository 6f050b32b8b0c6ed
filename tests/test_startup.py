import json
from pathlib import Path

import pytest

FOLDER = Path(__file__).parent.parent / "experiments" / "startup"


@pytest.fixture(scope="module")
def startup(experiment):
    return experiment("startup")


def test_what_follows_the_start_is_taken_off(startup):
    phases = {"import": 4.0, "data": 0.25, "build": 0.25}
    after = {"compile": 1.0, "train": 1.5, "layers": 0.5, "save": 0.25, "evaluate": 0.25}
    assert startup.until_first_step(8.5, {**phases, **after}) == 5.0


def test_a_command_is_measured_to_its_end(startup):
    seconds, megabytes = startup.start("help")
    assert seconds > 0
    assert megabytes > 10  # more in a large process of tests, whose peak a child inherits


@pytest.mark.slow
def test_the_first_step_is_reached_in_its_time(startup):
    ratios = startup.measure()["ratio"]
    bounds = json.loads((FOLDER / "expected.json").read_text("utf-8"))["ratio"]["high"]
    assert {name for name, high in bounds.items() if ratios[name] > high} == set()
