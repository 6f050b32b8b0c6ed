import pytest

from kfc.spec import load_spec

NUMBER = "a number"
LR = "training.optimizer.learning_rate"
RATE = {"initial_learning_rate": 0.1}


SCHEDULES = {
    "unknown name": ({"name": "cosin", **RATE}, ".name", "'cosine'"),
    "no name": (RATE, "", "a name"),
    "empty": ({}, "", "a name"),
    "no rate": ({"name": "cosine"}, ".initial_learning_rate", "a value"),
    "rate of 0": (
        {"name": "constant", "initial_learning_rate": 0},
        ".initial_learn",
        "above 0",
    ),
    "alpha of 1": ({"name": "cosine", **RATE, "alpha": 1}, ".alpha", "below 1"),
    "rising": ({"name": "exponential", **RATE, "decay_rate": 2}, ".decay_rate", "at most 1"),
    "unknown key": ({"name": "cosine", **RATE, "decay_epoch": 3}, ".decay_epoch", "known key"),
    "warm-up below 0": (
        {"name": "constant", **RATE, "warmup_epochs": -1},
        ".warmup",
        "least 0",
    ),
    "one value": ({"name": "step", "boundaries": [3], "values": [1]}, ".values", "at least 2"),
    "two few": (
        {"name": "step", "boundaries": [1, 2], "values": [1, 2]},
        ".values",
        "3 values",
    ),
    "falling": (
        {"name": "step", "boundaries": [3, 2], "values": [3, 2, 1]},
        ".boundaries",
        "ascending epochs",
    ),
    "bool inside": (
        {"name": "step", "boundaries": [3, True], "values": [3, 2, 1]},
        ".boundaries[1]",
        NUMBER,
    ),
}


@pytest.mark.parametrize("case", SCHEDULES)
def test_a_wrong_schedule_is_refused_at_its_place(case, findings_of):
    schedule, where, expected = SCHEDULES[case]
    (finding,) = findings_of({LR: schedule})
    assert finding.where.startswith(LR + where)
    assert "step." not in finding.where
    assert expected in finding.expected


def test_an_unknown_key_of_a_schedule_gets_the_nearest_of_that_schedule(findings_of):
    (finding,) = findings_of({LR: {"name": "cosine", **RATE, "decay_epoch": 3}})
    assert finding.remedy.startswith(
        "Did you mean 'decay_epochs'? Known: alpha, decay_epochs,"
    )
    assert "staircase" not in finding.remedy


def test_the_defaults_of_a_schedule_are_written_out():
    spec = load_spec("digits", {LR: {"name": "exponential", **RATE}})
    assert spec.training.optimizer.options["learning_rate"] == {
        "name": "exponential",
        "warmup_epochs": 0.0,
        "decay_rate": 0.96,
        "decay_epochs": 1.0,
        "staircase": False,
        **RATE,
    }
    assert spec.training.optimizer.schedule().decay_rate == 0.96


OPT = "training.optimizer"
WRONG_FACTORS = {
    "below 0": ({"rate_factors": {"bias": -1}}, ".rate_factors.bias", "at least 0"),
    "no number": ({"rate_factors": {"kernel": "fanin"}}, ".rate_factors.kernel", "'fan_in'"),
    "no kernel": ({"rate_factors": {"bias": "fan_in"}}, ".rate_factors.bias", NUMBER),
    "other kind": ({"rate_factors": {"kernels": 1}}, ".rate_factors.kernels", "known key"),
    "a list": (
        {"weight_decay": 0.1, "decay_factors": [1]},
        ".decay_factors",
        "keys and values",
    ),
    "no decay": ({"decay_factors": {"bias": 0}}, ".decay_factors", "a weight_decay"),
    "schedule of the decay": (
        {"weight_decay": {"name": "cosine", "initial_weight_decay": 0.1}},
        ".weight_decay.name",
        "'flat_cosine', 'coslog'",
    ),
    "muon's two decays": (
        {"name": "muon", "adam_weight_decay": 1, "rate_factors": {"bias": 0.1}},
        ".adam_weight_decay",
        "one weight decay",
    ),
    "ftrl from 0": (
        {"name": "ftrl", "learning_rate": {"name": "coslog", **RATE}},
        ".learning_rate",
        "rates above 0",
    ),
    "ftrl without a rate": (
        {"name": "ftrl", "rate_factors": {"bias": 0}},
        ".rate_factors",
        "rates above 0",
    ),
}


@pytest.mark.parametrize("case", WRONG_FACTORS)
def test_a_wrong_factor_is_refused_at_its_place(case, findings_of):
    options, where, expected = WRONG_FACTORS[case]
    (finding,) = findings_of({OPT: options})
    assert finding.where == OPT + where
    assert expected in finding.expected


def test_the_factors_of_all_kinds_are_written_out():
    factors = {"rate_factors": {"kernel": "fan_in", "bias": 0.1}}
    spec = load_spec("digits", {OPT: factors})
    ones = ("input_scale", "embedding", "numeric_embedding", "activation")
    expected = {"kernel": "fan_in", "bias": 0.1, **dict.fromkeys(ones, 1.0)}
    assert spec.training.optimizer.options["rate_factors"] == expected
    assert load_spec(spec.model_dump(mode="json")) == spec


def test_factors_of_nothing_are_no_factors():
    spec = load_spec("digits", {OPT: {"rate_factors": None}})
    assert spec.training.optimizer.rate_factors().kernel == 1
