import json
import math

import pytest
from pydantic import ValidationError

from kfc.errors import SpecError
from kfc.spec import Spec, load_spec

NAN = math.nan
INT, NUMBER = "an integer", "a number"
LR = "training.optimizer.learning_rate"
# value -> part of what was expected, by kind of field
COUNT = {
    "true": (True, INT),
    "a float": (1.5, INT),
    "a whole float": (3.0, INT),
    "text": ("3", INT),
    "nothing": (None, INT),
    "a list": ([3], INT),
    "0": (0, "at least 1"),
    "-1": (-1, "at least 1"),
    "huge": (10**400, "below 2147483648"),
    "nan": (NAN, "a finite number"),
}
SHARE = {
    "true": (True, NUMBER),
    "text": ("0.5", NUMBER),
    "nan": (NAN, "a finite number"),
    "inf": (math.inf, "a finite number"),
    "-0.1": (-0.1, "at least 0"),
    "1": (1, "below 1"),
    "a list": ([], NUMBER),
}
POSITIVE = {
    "true": (True, NUMBER),
    "text": ("0.5", NUMBER),
    "nan": (NAN, "a finite number"),
    "inf": (math.inf, "a finite number"),
    "0": (0, "above 0"),
    "-1": (-1.0, "above 0"),
}
NOT_NEGATIVE = {
    "true": (True, NUMBER),
    "text": ("0.5", NUMBER),
    "nan": (NAN, "a finite number"),
    "inf": (math.inf, "a finite number"),
    "-1": (-1.0, "at least 0"),
    "nothing": (None, NUMBER),
    "a list": ([], NUMBER),
}
FLAG = {"1": (1, "true or false"), "no": ("no", "true or false"), "nothing": (None, "true or")}
TABLE = {"3": (3, "keys and values"), "a list": ([], "keys and values"), "text": ("x", "keys")}
BY_CLASS = {"3": (3, "keys and values"), "a list": ([], "keys"), "true": (True, "keys and")}
LIST = {"3": (256, "a list"), "text": ("256", "a list"), "nothing": (None, "a list")}

FIELDS = {
    "training.epochs": COUNT,
    "training.batch_size": COUNT,
    "network.hidden[0]": COUNT,
    "network.hidden[0].units": COUNT,
    "search.trials": COUNT,
    "search.parallel": COUNT,
    "search.finalists": COUNT,
    "search.seconds": {name: case for name, case in POSITIVE.items() if name != "nothing"},
    "network.dropout": SHARE,
    "network.hidden[0].dropout": SHARE,
    "training.checkpoint_seconds": POSITIVE,
    LR: POSITIVE,
    "training.class_weight": BY_CLASS,
    "training.class_weight.yes": NOT_NEGATIVE,
    "network.use_bias": FLAG,
    "training.shuffle": FLAG,
    "data": TABLE,
    "network": TABLE,
    "training": TABLE,
    "search": TABLE,
    "training.early_stopping": TABLE,
    "search.space": TABLE,
    "network.hidden": LIST,
    "training.callbacks": LIST,
    "accept": LIST,
}


@pytest.mark.parametrize(
    ("path", "value", "expected"),
    [
        pytest.param(path, value, expected, id=f"{path} is {name}")
        for path, cases in FIELDS.items()
        for name, (value, expected) in cases.items()
    ],
)
def test_a_wrong_value_is_refused_at_its_place(path, value, expected, findings_of):
    (finding,) = findings_of({path: value})
    assert finding.where == path
    assert expected in finding.expected
    assert finding.line == "override"


WRONG = {
    # path: (value, where, part of expected, part of remedy)
    "seed": (-1, "seed", "at least 0", "seed: 0"),
    "name": ("a/b", "name", "text that matches", "name: run"),
    "data.source": (
        "digits",
        "data.source",
        "kind:argument",
        "csv, idx, npy, npz, parquet, sklearn, tfds",
    ),
    "data.scale": ("Unit", "data.scale", "'centered'", "Did you mean 'unit'?"),
    "data.task": ("classify", "data.task", "'regression'", "'classification'?"),
    "data.validation": (1.0, "data.validation", "below 1", "validation: 0.1"),
    "data.rows": (0, "data.rows", "at least 1", "rows: 1000"),
    "network.activation": ("rellu", "network.activation.name", "activation", "'relu'?"),
    "network.init": ("he_norml", "network.init.name", "initializer", "'he_normal'?"),
    "network.block": ("residul", "network.block.name", "block", "'residual'?"),
    "network.normalization": ("Batch", "network.normalization", "'layer'", "'batch'?"),
    "network.l2": (-0.1, "network.l2", "at least 0", "l2: 0.0"),
    "training.loss": ("cross_entropi", "training.loss.name", "loss", "'cross_entropy'?"),
    "training.optimizer": ("sdg", "training.optimizer.name", "optimizer", "'sgd'?"),
    "training.class_weight": (
        "balancd",
        "training.class_weight",
        "'balanced'",
        "Did you mean 'balanced'?",
    ),
    "training.callbacks": (
        ["TerminateOnNan"],
        "training.callbacks[0].name",
        "callback",
        "'TerminateOnNaN'?",
    ),
    "accept": (["unscaled"], "accept[0]", "name or code of a check", "unscaled_input"),
    "search.algorithm": ("bayes", "search.algorithm", "hyperband", "'bayesian'?"),
    "training.early_stopping": (
        {"monitor": "val_acuracy"},
        "training.early_stopping.monitor",
        "a recorded metric",
        "Did you mean 'val_accuracy'?",
    ),
    "search.objective": ("accurcy", "search.objective", "validation rows", "'val_accuracy'?"),
}


@pytest.mark.parametrize("path", WRONG)
def test_a_wrong_name_or_number_gets_a_remedy(path, findings_of):
    value, where, expected, remedy = WRONG[path]
    (finding,) = findings_of({path: value})
    assert finding.where == where
    assert expected in finding.expected
    assert remedy in finding.remedy


UNKNOWN = {
    "epochs": "the top",
    "data.sorce": "source",
    "network.hiden": "hidden",
    "network.hidden[0].unit": "units",
    "network.hidden[0].activaton": "activation",
    "network.activation.max_valu": "max_value",
    "training.epoch": "epochs",
    "training.optimizer.learning_rat": "learning_rate",
    "training.early_stopping.patienc": "patience",
    "search.trial": "trials",
}


@pytest.mark.parametrize("path", UNKNOWN)
def test_an_unknown_key_is_refused_with_the_nearest(path):
    base = {"training.early_stopping": {}, "search": {}}
    with pytest.raises(SpecError) as caught:
        load_spec({"network": {"hidden": [3], "activation": "relu"}}, {**base, path: 3})
    (finding,) = caught.value.findings
    assert finding.where == path
    assert finding.got == f"the unknown key {path.rpartition('.')[2]!r}"
    assert "Known: " in finding.remedy
    if UNKNOWN[path] != "the top":
        assert finding.remedy.startswith(f"Did you mean {UNKNOWN[path]!r}?")


def test_an_empty_layer_lacks_its_units(findings_of):
    (finding,) = findings_of({"network.hidden": [{}]})
    assert (finding.where, finding.got) == ("network.hidden[0].units", "nothing")


def test_a_spec_is_frozen():
    spec = load_spec("digits")
    for owner, key in (
        (spec, "seed"),
        (spec.network, "hidden"),
        (spec.training, "epochs"),
        (spec.training.optimizer, "learning_rate"),
    ):
        with pytest.raises(ValidationError, match="frozen"):
            setattr(owner, key, 3)
    with pytest.raises(TypeError):
        spec.network.hidden[0] = 3


def test_layers_take_from_the_network_what_they_leave_out():
    network = load_spec(
        {"network": {"hidden": [3, {"units": 4, "dropout": 0.5}], "dropout": 0.1, "l2": 0.2}}
    ).network
    first, second = network.layers()
    assert (first.units, first.dropout, first.l2) == (3, 0.1, 0.2)
    assert (second.units, second.dropout, second.l2) == (4, 0.5, 0.2)
    assert first.activation == network.activation


def test_the_json_schema_names_every_key():
    schema = Spec.model_json_schema()
    assert set(schema["properties"]) == set(Spec.model_fields)
    json.dumps(schema)
