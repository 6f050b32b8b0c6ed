"""The training paths of a table: numbers, flags and categories."""

import os

import keras
import numpy as np
import pytest
import tensorflow as tf

import kfc

RNG = np.random.default_rng(0)
TABLE = {
    "fee": [None if i % 9 == 0 else float(v) for i, v in enumerate(RNG.normal(50, 20, 80))],
    "plan": RNG.choice(["basic", "plus", "pro"], 80).tolist(),
    "senior": (RNG.random(80) > 0.5).tolist(),
    "label": RNG.choice(["no", "yes"], 80).tolist(),
}
SPEC = {
    "data": {"target": "label", "scale": "standard"},
    "network": {"hidden": [4], "activation": "tanh"},
    "training": {"batch_size": 16, "optimizer": {"name": "sgd", "learning_rate": 0.1}},
}


@pytest.mark.parametrize("scale", ["standard", "quantile"])
def test_every_path_makes_the_steps_of_the_formulas(scale):
    certificate = kfc.verify(SPEC, data=TABLE, steps=4, overrides={"data.scale": scale})
    assert certificate.passed, certificate.failures
    assert certificate.float64_unsupported == ""
    names = [path["name"] for path in certificate.paths]
    assert names == ["graph", "eager", "fit", "xla", "engine", "float64"]


EMBEDDED = {
    "data.columns": {"plan": {"type": "category", "encoder": "embedding", "embedding_size": 2}}
}


@pytest.mark.parametrize("numbers", [None, "periodic_linear", "piecewise_linear"])
@pytest.mark.parametrize("columns", [{}, EMBEDDED], ids=["one-hot", "embedded"])
def test_every_path_makes_the_steps_of_the_formulas_of_embeddings(numbers, columns):
    overrides = {**columns, "network.numeric_embedding": numbers, "network.input_scale": True}
    certificate = kfc.verify(SPEC, data=TABLE, steps=4, overrides=overrides)
    assert certificate.passed, certificate.failures
    assert certificate.float64_unsupported == ""
    assert [path["name"] for path in certificate.paths][-1] == "float64"


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["realmlp_s", "realmlp", "tabm"])
@pytest.mark.parametrize(
    ("table", "target", "task"),
    [("hpc_jobs", "class", "classification"), ("ames", "price", "regression")],
)
def test_a_preset_makes_the_steps_of_the_formulas_on_a_real_table(preset, table, target, task):
    folder = os.environ.get("KFC_DATASETS")
    if not folder:
        pytest.skip("no real tables")
    source = f"csv:{folder}/tables/{table}.csv"
    spec = {"preset": preset, "data": {"source": source, "target": target, "task": task}}
    certificate = kfc.verify(spec, steps=4)
    assert certificate.passed, certificate.failures
    assert certificate.float64_unsupported == ""


@pytest.mark.parametrize("wrong", ["sign", "rate"])
def test_a_wrong_step_of_an_embedded_network_is_explained(wrong):
    def step(model, x, y):
        loss_of = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        with tf.GradientTape() as tape:
            loss = loss_of(y, model(x, training=True))
        variables = model.trainable_variables
        rate = {"sign": -0.1, "rate": 0.01}[wrong]
        gradients = tape.gradient(loss, [variable.value for variable in variables])
        for variable, gradient in zip(variables, gradients, strict=True):
            variable.assign_sub(rate * gradient)
        return loss

    overrides = {**EMBEDDED, "network.numeric_embedding": "piecewise_linear"}
    certificate = kfc.verify(SPEC, data=TABLE, steps=4, overrides=overrides, step=step)
    (failure,) = certificate.failures
    assert (failure["path"], failure["code"]) == ("yours", wrong)


@pytest.mark.parametrize("kind", ["file", "frame"])
def test_a_run_is_verified_and_keeps_its_certificate(kind, tmp_path):
    if kind == "file":
        lines = zip(*TABLE.values(), strict=True)
        text = "\n".join(",".join("" if v is None else str(v) for v in line) for line in lines)
        (tmp_path / "rows.csv").write_text(f"{','.join(TABLE)}\n{text}\n")
        overrides, data = {"data.source": f"csv:{tmp_path / 'rows.csv'}"}, None
    else:
        overrides, data = {}, TABLE
    overrides["training.epochs"] = 1
    runs = tmp_path / "runs"
    run = kfc.fit(SPEC, data=data, overrides=overrides, runs=runs, verbose=False)
    assert kfc.verify(run.folder, data=data, steps=2).passed
    assert (run.folder / "verification.json").is_file()
