"""The training paths of a table: numbers, flags and categories."""

import numpy as np
import pytest

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


def test_the_paths_with_an_embedding_are_compared_with_each_other():
    column = {"type": "category", "encoder": "embedding", "embedding_size": 2}
    overrides = {"data.columns": {"plan": column}}
    certificate = kfc.verify(SPEC, data=TABLE, steps=4, overrides=overrides)
    assert certificate.passed, certificate.failures
    assert certificate.float64_unsupported == "embeddings of categories"
    assert [path["name"] for path in certificate.paths][-1] == "engine"


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
