import numpy as np
import pytest

import kfc
from kfc.spec import builtin_specs


def normal(stddev):
    return {"name": "random_normal", "stddev": stddev}


UNSCALED = {"data.scale": "none", "accept": ["unscaled_input"]}
DEEP = {"network.hidden": [64] * 3}
SGD = {"name": "sgd", "learning_rate": 10.0}


def scheduled(name, **options):
    schedule = {"name": name, "initial_learning_rate": 0.001, **options}
    return {"training.optimizer.learning_rate": schedule}


FAULTS = {
    "inputs_too_large": [UNSCALED],
    "weights_too_large": [
        {"network.init": normal(1.0)},
        {"network.init": normal(10.0), **DEEP},
        {"network.init": normal(3.0), "network.activation": "tanh", **DEEP},
        {"network.hidden": [{"units": 64, "init": normal(2.0)}, 64]},
    ],
    "units_equal": [
        {"network.init": "zeros"},
        {"network.init": {"name": "constant", "value": 0.1}, **DEEP},
    ],
    "signal_vanishes": [{"network.init": normal(0.001), **DEEP}],
    "units_constant": [{"network.bias_init": {"name": "constant", "value": -10.0}}],
    "slopes_flat": [
        {
            "network.activation": "tanh",
            "network.hidden": [64, 64],
            "network.init": normal(6.0),
            "network.output_init": "zeros",
        }
    ],
    "gradient_fades": [
        {"network.activation": "sigmoid", "network.hidden": [32] * 12},
    ],
    "rate_too_large": [
        {"training.optimizer": SGD},
        {"training.optimizer.learning_rate": 10.0},
    ],
    "rate_too_small": [{"training.optimizer.learning_rate": 1e-8}],
    "rate_hardly_reached": [
        scheduled("constant", warmup_epochs=500),
        scheduled("exponential", decay_rate=1e-6, decay_epochs=0.1),
    ],
}
CASES = [(name, overrides) for name, cases in FAULTS.items() for overrides in cases]


@pytest.mark.parametrize(("name", "overrides"), CASES, ids=str)
def test_a_fault_is_found_before_anything_runs_and_cured(name, overrides):
    explanation = kfc.explain("digits", overrides)
    assert [finding.name for finding in explanation.findings] == [name]
    (finding,) = explanation.findings
    assert finding.severity == "warning"
    assert finding.evidence
    cured = kfc.explain("digits", {**overrides, **finding.cure})
    assert cured.findings == ()
    assert cured.outcome == "learns"


@pytest.mark.parametrize("name", [n for n in builtin_specs() if "mnist" not in n])
def test_a_built_in_spec_has_no_finding(name):
    assert kfc.explain(name).findings == ()


HEALTHY = [
    {"network.hidden": [64] * 6, "network.init": "he_normal"},
    {"network.hidden": []},
    {"network.activation": "tanh", "network.init": "glorot_uniform", **DEEP},
    {"network.activation": "selu", "network.init": "lecun_normal", **DEEP},
    {"network.activation": "sigmoid", "training.optimizer.learning_rate": 0.01},
    {"network.block": "residual", **DEEP},
    {"network.normalization": "batch", **DEEP},
    {"network.output_init": "zeros", **DEEP},
    {"network.dropout": 0.5},
    {"network.l2": 0.001},
    {"training.loss": "mse"},
    {"training.optimizer": {"name": "sgd", "learning_rate": 0.1, "momentum": 0.9}},
    {"data.scale": "standard"},
    {"data.scale": "robust_clip"},
]


@pytest.mark.parametrize("overrides", HEALTHY, ids=str)
def test_a_healthy_spec_has_no_finding(overrides):
    explanation = kfc.explain("digits", overrides)
    assert explanation.findings == ()
    assert explanation.outcome == "learns"


def test_an_accepted_finding_is_left_out():
    overrides = {"network.init": "zeros", "accept": ["units_equal"]}
    assert kfc.explain("digits", overrides).findings == ()


def test_pixels_that_are_not_scaled_are_found():
    generator = np.random.default_rng(0)
    x = generator.integers(0, 256, (300, 8, 8), dtype=np.uint8)
    spec = {"data": {"scale": "none"}}
    explanation = kfc.explain(spec, data=(x, np.arange(300) % 3))
    assert "inputs_too_large" in [finding.name for finding in explanation.findings]
