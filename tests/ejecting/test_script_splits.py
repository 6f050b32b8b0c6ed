import numpy as np
import pytest

from kfc.data.preparation import prepare
from kfc.spec import load_spec


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder, random = tmp_path_factory.mktemp("arrays"), np.random.default_rng(0)
    x, y = random.normal(size=(501, 3)).astype("f4"), random.integers(0, 3, 501)
    np.savez(folder / "classes.npz", x=x, y=y)
    np.savez(folder / "test.npz", x=x[:400], y=y[:400], x_test=x[400:], y_test=y[400:])
    np.savez(folder / "numbers.npz", x=x, y=x @ [1, 2, 3])
    return folder


@pytest.mark.parametrize(
    ("file", "overrides"),
    [
        ("classes", {}),
        ("classes", {"data.rows": 300, "seed": 7}),
        ("test", {"data.rows": 1000, "data.validation": 0}),
        ("test", {}),
        ("numbers", {"data.rows": 300, "data.scale_target": "none"}),
    ],
    ids=str,
)
@pytest.mark.parametrize("scale", ["none", "robust"])
def test_a_script_without_scikit_learn_selects_and_scales_the_rows_of_fit(
    rows_of_script, folder, file, overrides, scale
):
    overrides = {**overrides, "data.scale": scale}
    spec = {"data": {"source": f"npz:{folder / file}.npz"}}
    rows = rows_of_script(spec, overrides)
    prepared = prepare(load_spec(spec, overrides))
    parts = {"": prepared.train, "_val": prepared.validation, "_test": prepared.test}
    for part, wanted in parts.items():
        if wanted is not None:
            np.testing.assert_array_equal(
                rows[f"x{part}"], prepared.task.scaling.apply(wanted.x)
            )
            np.testing.assert_array_equal(np.ravel(rows[f"y{part}"]), np.ravel(wanted.y))
