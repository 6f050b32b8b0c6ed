"""The linear model on the page, against the same model by hand."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.preprocessing import StandardScaler

import kfc
from kfc.reporting.honest_baselines import linear_model

ROWS = 300


@pytest.fixture(scope="module")
def columns():
    rng = np.random.default_rng(0)
    size, weight = rng.normal(5, 2, ROWS), rng.normal(size=ROWS)
    plan = rng.choice(["free", "basic", "pro"], ROWS)
    total = size / 2 + weight + 2 * (plan == "pro") + rng.normal(0, 0.7, ROWS)
    return {"size": size, "weight": weight, "plan": plan, "total": total}


@pytest.mark.parametrize(
    "names",
    [("size", "weight"), ("plan",), ("size", "plan")],
    ids=["numbers", "categories", "both"],
)
@pytest.mark.parametrize("kind", ["classes", "values"])
def test_the_linear_model_is_that_of_scikit_learn(columns, names, kind, tmp_path):
    frame = pd.DataFrame({name: columns[name] for name in names})
    total = columns["total"]
    frame["target"] = np.where(total > 3, "much", "little") if kind == "classes" else total
    spec = {"data": {"target": "target"}, "training": {"epochs": 1}}
    run = kfc.fit(spec, data=frame, runs=tmp_path, verbose=False)
    prepared = run.prepared(frame)

    # By hand: dummies of the category codes, and standardized numbers.
    numbers = sum(name != "plan" for name in names)
    parts = [np.asarray(part.x) for part in (prepared.train, prepared.test)]
    scaler = StandardScaler().fit(parts[0][:, :numbers]) if numbers else None
    train, test = (
        np.concatenate(
            [
                *([scaler.transform(part[:, :numbers])] if scaler else []),
                *(
                    [dummies(part[:, numbers], parts[0][:, numbers])]
                    if "plan" in names
                    else []
                ),
            ],
            axis=1,
        )
        for part in parts
    )
    found = linear_model(prepared, run.task).metrics["test"]
    if kind == "classes":
        model = LogisticRegression(max_iter=1000, tol=1e-6).fit(train, prepared.train.y)
        assert found["accuracy"] == pytest.approx(model.score(test, prepared.test.y), abs=0.02)
        assert found["accuracy"] > 0.6
    else:
        model = Ridge().fit(train, prepared.train.y)
        rmse = np.sqrt(np.mean((model.predict(test).ravel() - prepared.test.y.ravel()) ** 2))
        assert found["rmse"] == pytest.approx(rmse, rel=1e-4)
    assert "linear model" in kfc.report(run.folder, data=frame).html


def dummies(codes, known):
    """Returns a column for each code of the training rows."""
    return (codes[:, None] == np.unique(known)).astype(float)
