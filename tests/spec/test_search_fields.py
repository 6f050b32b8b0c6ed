import math

import pytest

from kfc.spec import Spec, load_spec

NAN = math.nan
INT = "an integer"
NUMBER = "a number"


DIMENSIONS = {
    "a number": (3, "", "keys and values"),
    "nothing": (None, "", "keys and values"),
    "no high": ({"low": 1}, ".high", "a value"),
    "falling": ({"low": 2, "high": 1}, ".high", "the lower end first"),
    "log of 0": ({"low": 0, "high": 1, "log": True}, ".low", "above 0"),
    "no choice": ({"choice": []}, ".choice", "at least 1"),
    "one depth": ({"depth": [1], "width": [3, 4]}, ".depth", "at least 2"),
    "falling width": ({"depth": [1, 2], "width": [4, 3]}, ".width", "the lower end first"),
    "width of 0": ({"depth": [1, 2], "width": [0, 3]}, ".width[0]", "at least 1"),
    "width of a fraction": ({"depth": [1, 2], "width": [1.5, 3]}, ".width[0]", INT),
    "depth of thousands": ({"depth": [1, 5000], "width": [1, 3]}, ".depth[1]", "at most 100"),
    "two kinds": ({"choice": [1], "low": 3}, ".low", "a known key"),
    "true": ({"low": True, "high": 2}, ".low", NUMBER),
    "text": ({"low": 0, "high": "2"}, ".high", NUMBER),
    "nan": ({"low": 0, "high": NAN}, ".high", "a finite number"),
    "step of 0": ({"low": 0, "high": 1, "step": 0}, ".step", "above 0"),
    "step past high": ({"low": 0, "high": 1, "step": 1.5}, ".step", "at most 1,"),
    "factor of 1": ({"low": 1, "high": 8, "log": True, "step": 1}, ".step", "above 1"),
    "factor past high": ({"low": 1, "high": 8, "log": True, "step": 9}, ".step", "at most 8,"),
    "one value twice": ({"choice": [[3], [4], [3]]}, ".choice[2]", "each value once"),
}


@pytest.mark.parametrize("case", DIMENSIONS)
def test_a_wrong_dimension_is_refused_at_its_place(case, findings_of):
    dimension, where, expected = DIMENSIONS[case]
    (finding,) = findings_of({"search": {"space": {"network.l2": dimension}}})
    assert finding.where == f"search.space.network.l2{where}"
    assert expected in finding.expected


@pytest.mark.parametrize(
    "dimension",
    [
        {"low": 1, "high": 8, "log": True, "step": 8},
        {"low": 0.2, "high": 0.3, "step": 0.1},  # 0.3 - 0.2 is a little less than 0.1
        {"low": -1, "high": 1},
        {"choice": [1, 1.0, True, "1", None]},  # equal to Python, and not the same
        {"depth": [0, 0], "width": [8, 8]},
    ],
    ids=str,
)
def test_a_dimension_may_be_as_narrow_as_it_likes(dimension, again):
    spec = load_spec({"search": {"space": {"network.l2": dimension}}})
    assert again(spec) == spec


def test_a_range_keeps_integers_and_fractions_apart(again):
    range_ = {"low": 16, "high": 64.0, "log": True, "step": 2}
    spec = load_spec({"search": {"space": {"training.batch_size": range_}}})
    for numbers in (spec, again(spec)):
        found = numbers.search.space["training.batch_size"]
        assert [type(n) for n in (found.low, found.high, found.step)] == [int, float, int]


def test_a_search_is_written_out_with_every_default(again):
    spec = load_spec({"search": {}})
    assert spec.search.model_dump() == {
        "algorithm": "bayesian",
        "objective": None,
        "trials": 40,
        "seconds": None,
        "target": None,
        "parallel": 4,
        "finalists": 3,
        "repeats": 5,
        "most_repeats": None,
        "margin": None,
        "factor": 3,
        "space": {},
    }
    assert again(spec) == spec


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("repeats", 1, "0 or at least 2"),
        ("repeats", -1, "at least 0"),
        ("most_repeats", 4, "at least search.repeats, 5"),
        ("most_repeats", 5.0, INT),
        ("margin", -0.1, "at least 0"),
        ("margin", math.nan, "a finite number"),
        ("repeats", True, INT),
        ("factor", 1, "at least 2"),
        ("factor", 2.0, INT),
        ("target", math.inf, "a finite number"),
        ("target", "0.9", NUMBER),
        ("objective", 3, "text"),
    ],
)
def test_a_wrong_setting_of_a_search_is_refused(key, value, expected, findings_of):
    (finding,) = findings_of({f"search.{key}": value})
    assert finding.where == f"search.{key}"
    assert expected in finding.expected


@pytest.mark.parametrize(("key", "value"), [("repeats", 0), ("repeats", 2), ("factor", 2)])
def test_the_least_setting_of_a_search_is_taken(key, value):
    assert getattr(load_spec({"search": {key: value}}).search, key) == value


def test_an_objective_that_nobody_names_follows_the_task():
    search = load_spec({"search": {}}).search
    assert search.objective_for(classification=True) == "val_accuracy"
    assert search.objective_for(classification=False) == "val_loss"
    named = load_spec({"search": {"objective": "val_r2"}}).search
    assert named.objective_for(classification=False) == "val_r2"


def test_the_json_schema_describes_every_key_of_a_search():
    definitions = Spec.model_json_schema()["$defs"]
    for name in ("SearchSpec", "RangeSpec", "ChoiceSpec", "StackSpec"):
        for key, value in definitions[name]["properties"].items():
            assert value.get("description"), f"{name}.{key}"
