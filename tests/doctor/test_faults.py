"""The planted faults are named with the right cause, and cured where a spec can be."""

import pytest

import kfc
from kfc.diagnosing import cure_spec
from kfc.spec import load_spec

# Those that need no step of a network; the others are in the slow test.
QUICK = (
    "one-hot + sparse cross-entropy",
    "NaN in one input cell",
    "all features constant",
    "labels 1..10",
    "integer labels + MSE",
    "all-zero init",
)
FAULTS = [
    *QUICK,
    "no softmax, from_logits=False",
    "relu on the output",
    "sigmoid output + sparse cross-entropy",
    "constant init 0.1",
    "init stddev 10",
    "no hidden activation",
    "inputs x4080, SGD 0.1",
    "softmax + from_logits=True",
    "string labels",
    "learning rate 10 (Adam)",
    "dropout 0.99",
    "shuffled labels",
    "sorted rows + last-rows validation",
    "training rows copied into validation",
    "regression target ~1e6 unscaled",
    "1-unit softmax + binary cross-entropy",
    "integer labels + categorical cross-entropy",
]
OF_SPECS = [
    "all-zero init",
    "constant init 0.1",
    "init stddev 10",
    "no hidden activation",
    "inputs x4080, SGD 0.1",
    "learning rate 10 (Adam)",
    "dropout 0.99",
    "rows sorted, never shuffled",
]


def found_names(planted, name):
    model, data, training = planted.FAULTS[name].model()
    return [finding.name for finding in kfc.doctor(model, data=data, **training).findings]


def test_every_planted_fault_has_a_test(planted):
    assert set(FAULTS) == set(planted.FAULTS)
    assert len(FAULTS) == 23
    assert set(OF_SPECS) == set(planted.SPEC_FAULTS)


@pytest.mark.parametrize("name", QUICK)
def test_a_fault_that_shows_at_once_is_named(planted, name):
    found = found_names(planted, name)
    assert set(found) & set(planted.FAULTS[name].names), found


@pytest.mark.slow
@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_named_first_with_the_right_cause(planted, name):
    found = found_names(planted, name)
    assert found
    assert found[0] in planted.FAULTS[name].names, found


@pytest.mark.slow
@pytest.mark.parametrize("name", OF_SPECS)
def test_the_cure_brings_a_spec_back_to_95_percent_of_the_healthy_one(planted, name, tmp_path):
    spec, data = planted.spec_fault(name)
    quiet = {"runs": tmp_path, "verbose": False, "data": data}
    healthy = kfc.fit(planted.HEALTHY, **{**quiet, "data": None})
    changes = cure_spec(spec, kfc.doctor(spec, data=data), data)
    assert changes
    cured = kfc.fit(load_spec(spec, changes), **quiet)
    assert cured.metrics["test_accuracy"] >= 0.95 * healthy.metrics["test_accuracy"]
