"""The JSON Schema that editors read agrees with what `load` takes."""

import copy
import random
import re
from pathlib import Path

import jsonschema
import pytest
from ruamel.yaml import YAML

from kfc.errors import SpecError
from kfc.spec import Spec, builtin_specs, builtin_text, load_spec
from kfc.spec.data_fields import SCALES, DataSpec

SCHEMA = Spec.model_json_schema()
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
EXPERIMENTS = Path(__file__).parents[2] / "experiments"

FULL = {
    "name": "full",
    "accept": ["unscaled_input"],
    "data": {"source": "sklearn:digits", "task": "classification", "validation": 0.2},
    "network": {
        "hidden": [16, {"units": 8, "activation": "tanh", "dropout": 0.1, "l2": 0.001}],
        "init": {"name": "truncated_normal", "stddev": 0.1},
        "block": "residual",
    },
    "training": {
        "loss": {"name": "cross_entropy", "reduction": "sum"},
        "class_weight": {"0": 2, "1": 1.5},
        "optimizer": {
            "name": "sgd",
            "momentum": 0.9,
            "learning_rate": {"name": "cosine", "initial_learning_rate": 0.1, "alpha": 0.01},
        },
        "callbacks": ["TerminateOnNaN", {"name": "CSVLogger", "filename": "log.csv"}],
        "early_stopping": {"monitor": "val_loss", "patience": 3},
    },
    "search": {
        "objective": "val_accuracy",
        "space": {
            "network.hidden": {"depth": [1, 3], "width": [8, 64]},
            "training.epochs": {"low": 1, "high": 9, "step": 2},
            "network.activation": {"choice": ["relu", "tanh"]},
        },
    },
}
STEPS = {
    "training": {
        "optimizer": {
            "learning_rate": {"name": "step", "boundaries": [3], "values": [0.1, 0.01]},
            "weight_decay": 0.01,
        },
        "callbacks": [{"name": "ModelCheckpoint", "filepath": "best.keras"}, "best_weights"],
    }
}


def values_of(text):
    return YAML(typ="safe", pure=True).load(text)


def specs():
    """Yields the built-in specs, those of the experiments, and one with every part."""
    yield FULL
    yield STEPS
    for name in builtin_specs():
        yield values_of(builtin_text(name))
    for path in sorted(EXPERIMENTS.glob("*/spec.yaml")):
        yield values_of(path.read_text())


def findings_of(values):
    try:
        load_spec(values)
    except SpecError as error:
        return [str(finding) for finding in error.findings]
    return []


def accepted(values):
    return not findings_of(values)


@pytest.mark.parametrize(
    "values", [*specs()], ids=lambda values: values.get("name", "unnamed")
)
def test_the_schema_takes_every_spec_that_comes_with_kfc(values):
    assert accepted(values)
    VALIDATOR.validate(values)


# --- mutations ----------------------------------------------------------------------------

ODD = (
    *(None, True, False, 0, 1, -1, 2, 0.5, 1.5, -0.5, 7, 1e300, 2**40),
    *("", "x", "relu", "adam", "sgd", "val_loss", "loss", "balanced", "sklearn:iris", "auto"),
    *([], {}, [0], [3, {"units": 4}], {"name": "adam"}, {"units": 3}, {"low": 0, "high": 1}),
)
KEYS = ("unit", "epoch", "name", "units", "learning_rate", "lr", "momentum", "x", "dropout")


def places(node, path=()):
    """Yields the path of every value inside `node`."""
    children = node.items() if isinstance(node, dict) else enumerate(node)
    for key, child in children:
        yield (*path, key)
        if isinstance(child, (dict, list)):
            yield from places(child, (*path, key))


def mutated(values, chance):
    """Returns a copy with one thing changed: a value, a key, or a letter of a text."""
    values = copy.deepcopy(values)
    *into, key = chance.choice(list(places(values)))
    node = values
    for step in into:
        node = node[step]
    what = chance.choice(("value", "value", "misspelt", "removed", "unknown", "scaled"))
    if what == "misspelt" and isinstance(node[key], str) and node[key]:
        at = chance.randrange(len(node[key]))
        node[key] = node[key][:at] + node[key][at + 1 :]
    elif what == "removed":
        del node[key]
    elif what == "unknown" and isinstance(node, dict):
        node[chance.choice(KEYS)] = node.pop(key)
    elif what == "scaled" and isinstance(node[key], (int, float)):
        node[key] = node[key] * chance.choice((-1, 0, 0.1, 10, 1e9))
    else:
        node[key] = copy.deepcopy(chance.choice(ODD))
    return values


# What the loader refuses and a JSON Schema cannot, or should not, say -> its words.
BEYOND_A_SCHEMA = {
    "JSON Schema takes 3.0 for an integer": r"expected an integer.*got -?\d+\.0(e\+\d+)?\b",
    "two keys of a spec contradict": "while data.validation is 0|which is data.source"
    "|one owner of|of a classification|of a regression|a share of the rows given as data=",
    "two ends of a dimension": "if log is true|the lower end first|distance from low to high",
    "a list of choices repeats one": "each value once",
    "two lists of a schedule": "one more than boundaries|ascending epochs",
    "two numbers of repeats": "at least search.repeats",
    "two options of a component": "one of clipnorm|since save_weights_only|beside clip",
    "one value of lion": r"a number in \(0, 1\)",
    "a path that leads out of the run folder, or to a file of its own": "inside the run folder"
    "|kfc does not write itself",
    "letters beyond ASCII": "text that matches",
}


def test_the_schema_and_the_loader_agree_on_a_thousand_mutated_specs():
    chance = random.Random(0)
    bases = list(specs())
    refused = 0
    for number in range(1000):
        values = mutated(chance.choice(bases), chance)
        found = findings_of(values)
        refused += bool(found)
        if VALIDATOR.is_valid(values) == bool(found):
            explained = re.search("|".join(BEYOND_A_SCHEMA.values()), "\n".join(found))
            assert explained, (
                number,
                found,
                [e.message for e in VALIDATOR.iter_errors(values)],
            )
    assert 400 < refused < 950  # both verdicts are common


# --- what an editor shows -----------------------------------------------------------------

REFUSED = {
    "the README's finding": {"network": {"hidden": [{"unit": 128, "dropout": 0.2}]}},
    "a negative width": {"network": {"hidden": [-3]}},
    "a misspelt optimizer": {"training": {"optimizer": "adma"}},
    "a misspelt option": {"training": {"optimizer": {"momentun": 0.9, "name": "sgd"}}},
    "an option of another optimizer": {"training": {"optimizer": {"momentum": 0.9}}},
    "a misspelt key of a schedule": {
        "training": {
            "optimizer": {
                "learning_rate": {
                    "name": "cosine",
                    "initial_learning_rate": 1,
                    "decay_epoch": 3,
                }
            }
        }
    },
    "a callback without its file": {"training": {"callbacks": ["CSVLogger"]}},
    "an unknown source": {"data": {"source": "sklern:digits"}},
    "an unknown metric": {"training": {"early_stopping": {"monitor": "val_acuracy"}}},
    "a single repeat": {"search": {"repeats": 1}},
}


@pytest.mark.parametrize("case", REFUSED)
def test_an_editor_sees_the_finding(case):
    assert not accepted(REFUSED[case])
    assert not VALIDATOR.is_valid(REFUSED[case])


@pytest.mark.parametrize("name", ["größe", "名前", "a.b-c", "_x", "run2"])
def test_a_name_of_any_letters_fits_the_schema(name):
    assert accepted({"name": name})
    assert VALIDATOR.is_valid({"name": name})


@pytest.mark.parametrize("name", ["a b", ".a", "-a", "a/b", "", "a" * 61])
def test_a_name_that_is_no_run_name_does_not_fit_the_schema(name):
    assert not accepted({"name": name})
    assert not VALIDATOR.is_valid({"name": name})


def patterns(node):
    if isinstance(node, dict):
        yield from (node["pattern"] for _ in [0] if isinstance(node.get("pattern"), str))
        for child in node.values():
            yield from patterns(child)
    elif isinstance(node, list):
        for child in node:
            yield from patterns(child)


def test_no_pattern_has_a_class_that_dialects_read_differently():
    found = list(patterns(SCHEMA))
    assert found
    for pattern in found:
        assert not re.search(r"\\[wWdDsSbBpP]", pattern)


def test_every_word_of_the_scaling_is_explained():
    scale = SCHEMA["$defs"]["DataSpec"]["properties"]["scale"]
    words, _ = scale["anyOf"]  # the other is null
    assert list(SCALES) == words["enum"]
    assert words["enumDescriptions"] == list(SCALES.values())
    assert all(
        f"{word}: {meaning}." in scale["description"] for word, meaning in SCALES.items()
    )
    assert all(load_spec({"data": {"scale": word}}).data.scale == word for word in SCALES)


def test_an_installed_plug_in_is_among_the_names_and_takes_any_option(monkeypatch):
    from kfc.registry import OPTIMIZERS

    monkeypatch.setitem(OPTIMIZERS.builtins, "theirs", "their_module:Theirs")
    validator = jsonschema.Draft202012Validator(Spec.model_json_schema())
    for optimizer in ("theirs", {"name": "theirs", "strength": 3, "mode": "x"}):
        values = {"training": {"optimizer": optimizer}}
        assert accepted(values)
        assert validator.is_valid(values)
        assert not VALIDATOR.is_valid(values)


def test_the_schema_is_a_valid_one_of_its_draft():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"].endswith("2020-12/schema")
    assert DataSpec.model_fields["scale"].description
