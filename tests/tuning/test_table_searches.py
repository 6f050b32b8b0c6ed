"""A search on a table, whose encoding is the same in all trials."""

import numpy as np
import pandas as pd
import pytest

import kfc

RNG = np.random.default_rng(0)
TABLE = {
    "fee": [None if i % 9 == 0 else float(v) for i, v in enumerate(RNG.normal(50, 20, 100))],
    "plan": RNG.choice(["basic", "plus", "pro"], 100).tolist(),
    "label": RNG.choice(["no", "yes"], 100).tolist(),
}
SPEC = {
    "name": "table",
    "data": {"target": "label", "validation": 0.2},
    "network": {"hidden": [4]},
    "training": {"epochs": 1},
    "search": {
        "algorithm": "random",
        "objective": "val_loss",
        "trials": 3,
        "finalists": 2,
        "repeats": 0,
        "space": {
            "network.hidden": {"depth": [1, 1], "width": [3, 5]},
            "data.scale": {"choice": ["standard", "quantile"]},
        },
    },
}


@pytest.mark.parametrize(
    ("kind", "workers"),
    [("file", 1), ("frame", 1), pytest.param("frame", 2, marks=pytest.mark.slow)],
)
def test_a_search_trains_its_trials_on_a_table(kind, workers, tmp_path):
    frame = pd.DataFrame(TABLE)
    overrides = {}
    if kind == "file":
        frame.to_csv(tmp_path / "rows.csv", index=False)
        overrides["data.source"] = f"csv:{tmp_path / 'rows.csv'}"
    search = kfc.tune(
        SPEC,
        overrides=overrides,
        data=None if kind == "file" else frame,
        workers=workers,
        folder=tmp_path / "search",
        verbose=False,
    )
    assert [trial.status for trial in search.trials] == ["completed"] * len(search.trials)
    run = kfc.load(search.run_folder)
    assert run.spec.data.columns["plan"].type == "category"
    assert len(run.predict(frame).label) == len(frame)
