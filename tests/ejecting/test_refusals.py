import pytest

import kfc

kfc.fit  # noqa: B018 - imports TensorFlow the quiet way
from kfc.ejecting.script import eject  # noqa: E402

RATE = {"initial_learning_rate": 0.01}


@pytest.mark.parametrize(
    ("overrides", "where"),
    [
        ({"network.block": "residual"}, "network.block"),
        ({"network.normalization": "layer"}, "network.hidden[0].normalization"),
        ({"network.dropout_schedule": "flat_cosine"}, "network.dropout_schedule"),
        ({"network.activation": "mish"}, "network.hidden[0].activation"),
        ({"network.input_scale": True}, "network.input_scale"),
        ({"network.members": 2}, "network.members"),
        ({"network.init": "unit_variance"}, "network.init"),
        ({"network.output_init": "unit_variance"}, "network.output_init"),
        ({"network.bias_init": "he_plus_5"}, "network.hidden[0].bias_init"),
        ({"network.output_bias_init": "ones"}, "network.output_bias_init"),
        (
            {"network.parametric_activation": True},
            "network.hidden[0].parametric_activation",
        ),
        ({"training.optimizer": "lion"}, "training.optimizer.name"),
        (
            {"training.optimizer.learning_rate": {"name": "cosine", **RATE}},
            "training.optimizer.learning_rate",
        ),
        (
            {"training.optimizer.rate_factors": {"bias": 0.1}},
            "training.optimizer.rate_factors",
        ),
        ({"training.optimizer.clipnorm": 1.0}, "training.optimizer.clipnorm"),
        ({"training.optimizer.use_ema": True}, "training.optimizer.use_ema"),
        ({"training.loss": "hinge"}, "training.loss"),
        ({"training.loss": "binary_crossentropy"}, "training.loss"),
        ({"training.class_weight": "balanced"}, "training.class_weight"),
        ({"training.precision": "bfloat16"}, "training.precision"),
        ({"training.engine": "eager"}, "training.engine"),
        ({"training.callbacks": ["best_weights"]}, "training.callbacks"),
        ({"training.metrics": ["auc"]}, "training.metrics"),
        ({"training.calibrate": "temperature"}, "training.calibrate"),
        ({"training.interval_coverage": 0.9}, "training.interval_coverage"),
        ({"training.early_stopping": {"monitor": "loss"}}, "training.early_stopping.monitor"),
        ({"data.source": "npy:here"}, "data.source"),
        ({"data.stream": "always"}, "data.stream"),
        ({"data.scale": "quantile"}, "data.scale"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_a_script_cannot_follow_is_refused_by_its_key(overrides, where):
    with pytest.raises(kfc.SpecError) as caught:
        eject("digits", overrides)
    finding = caught.value.findings[0]
    assert finding.where == where
    assert finding.expected
    assert finding.got
    assert finding.remedy


def test_a_table_that_is_no_csv_file_is_refused_before_it_is_read():
    spec = {"data": {"source": "parquet:nowhere.parquet", "target": "churn"}}
    with pytest.raises(kfc.SpecError, match=r"nowhere.*a table.*model\.keras") as caught:
        eject(spec)
    assert caught.value.findings[0].where == "data.source"


def test_single_units_in_a_row_which_xla_multiplies_otherwise_are_refused():
    overrides = {"training.engine": "xla", "network.hidden": [1]}
    with pytest.raises(kfc.SpecError, match="no single unit after another"):
        eject("diabetes", overrides)


def test_a_network_too_deep_for_the_page_is_refused():
    with pytest.raises(kfc.SpecError, match="at most 80 lines") as caught:
        eject("digits", {"network.hidden": [32] * 30})
    assert caught.value.findings[0].where == "network.hidden"
