import json

import pytest

import kfc
from kfc.cli import app
from kfc.verification.baseline import run_baseline
from kfc.verification.verifying import certify, other_paths

FACTORED = {
    "name": "adam",
    "learning_rate": {"name": "coslog", "initial_learning_rate": 0.04},
    "weight_decay": {"name": "flat_cosine", "initial_weight_decay": 0.5},
    "rate_factors": {"kernel": "fan_in", "bias": 0.1},
    "decay_factors": {"kernel": 2, "bias": 0},
}


@pytest.mark.parametrize(
    "overrides",
    [
        {"network.hidden": [], "training.engine": "xla"},
        {"training.optimizer": {"name": "sgd", "learning_rate": 0.1, "momentum": 0.9}},
        {"network.normalization": "batch", "network.dropout": 0.2},
        {
            "network.dropout": 0.2,
            "network.dropout_schedule": "flat_cosine",
            "training.loss": {"name": "categorical_crossentropy", "label_smoothing": 0.1},
        },
        {"network.numeric_embedding": {"name": "piecewise_linear", "bins": 8, "size": 4}},
        {"network.numeric_embedding": "periodic_linear", "training.engine": "xla"},
        {"training.optimizer": "adam", "network.activation": "elu"},
        {"training.optimizer": "adamw", "network.activation": "mish"},
        {"training.optimizer": FACTORED, "training.engine": "xla"},
        {"training.optimizer": FACTORED | {"name": "sgd"}, "training.engine": "graph"},
        {
            "training.optimizer": "adam",
            "network.activation": "selu",
            "network.input_scale": True,
            "network.parametric_activation": True,
            "network.init": "unit_variance",
            "network.bias_init": "he_plus_5",
            "network.output_init": "zeros",
        },
        {"training.loss": "mse", "network.activation": "tanh"},
        {"network.members": 3, "network.hidden": [], "training.engine": "graph"},
        {
            "network.members": 3,
            "network.dropout": 0.2,
            "network.input_scale": True,
            "training.share_batches": False,
            "training.optimizer": {"name": "adamw", "global_clipnorm": 0.1},
        },
        {
            "training.optimizer": FACTORED | {"name": "adamw"},
            "training.engine": "xla",
            "network.members": 3,
            "network.input_scale": True,
            "network.parametric_activation": True,
        },
    ],
    ids=str,
)
@pytest.mark.slow
def test_every_path_makes_the_same_steps(problem_of, overrides):
    problem = problem_of(overrides)
    check_paths(certify(run_baseline(problem), other_paths(problem)), overrides)


def check_paths(certificate, overrides):
    assert certificate.passed, certificate.failures
    by_name = {path["name"]: path for path in certificate.paths}
    assert "fit" in by_name["graph"]["same_bits"]
    unreached = {"normalization": "normalization"}
    wanted = next((v for k, v in unreached.items() if k in str(overrides)), "")
    assert wanted in certificate.float64_unsupported
    assert ("float64" in by_name) == (not certificate.float64_unsupported)


@pytest.mark.slow
def test_the_graph_optimizer_is_named_where_it_alone_makes_the_difference():
    certificate = kfc.verify("breast_cancer", steps=4)
    if certificate.first_difference["path"] == "eager":
        assert "graph optimizer" in certificate.first_difference["why"]
    else:
        assert "XLA" in certificate.first_difference["why"]


@pytest.mark.parametrize("steps", [0, 1, -3, True])
def test_fewer_than_two_steps_are_refused(steps):
    with pytest.raises(kfc.SpecError, match="a whole number of at least 2"):
        kfc.verify("digits", steps=steps)


def test_the_command_prints_a_table_and_the_certificate_joins_the_folder_of_the_run(
    tmp_path, capsys, monkeypatch
):
    made, verify = [], kfc.verify
    monkeypatch.setattr(kfc, "verify", lambda *a, **k: made.append(verify(*a, **k)) or made[0])
    overrides = {"training.epochs": 1, "network.hidden": [8], "data.rows": 200}
    run = kfc.fit("digits", overrides=overrides, runs=tmp_path, verbose=False)
    with pytest.raises(SystemExit) as ended:
        app.main(["verify", str(run.folder), "--steps", "2"])
    assert not ended.value.code
    printed = capsys.readouterr().out
    assert printed.rstrip().endswith("passed")
    for name in ("graph", "eager", "fit", "xla", "engine", "float64"):
        assert name in printed
    (certificate,) = made
    check_paths(certificate, overrides)
    assert json.loads((run.folder / "verification.json").read_text()) == json.loads(
        json.dumps(certificate.summary())
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "spec", ["digits", "breast_cancer", "diabetes", "mnist", "fashion_mnist"]
)
def test_every_built_in_spec_is_verified(spec, prepared_tfds):
    certificate = kfc.verify(spec)
    assert certificate.passed, certificate.failures
    assert "fit" in certificate.paths[0]["same_bits"]
