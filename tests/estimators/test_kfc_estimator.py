import subprocess
import sys

import numpy as np
import polars as pl
import pytest
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import StackingClassifier, VotingClassifier
from sklearn.inspection import permutation_importance
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.multioutput import MultiOutputRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import kfc

QUICK = {"hidden": [8], "epochs": 2, "random_state": 0}


def quick(**arguments):
    return kfc.Classifier(**QUICK | arguments)


def test_arguments_are_kept_as_they_are_and_cloned():
    given = {"spec": {"network": {"dropout": 0.1}}, "hidden": [4, 4], "random_state": 3}
    estimator = kfc.Classifier(**given)
    assert all(getattr(estimator, name) is value for name, value in given.items())
    assert clone(estimator).get_params() == estimator.get_params()


def test_an_import_and_an_argument_start_no_tensorflow():
    code = "import sys, kfc; kfc.Classifier(hidden=[3]); sys.exit('tensorflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_frame_of_any_library_needs_no_encoder(frame):
    x, y = frame
    fitted = quick(epochs=30).fit(x, y)
    assert fitted.score(x, y) > 0.9
    assert fitted.feature_names_in_.tolist() == x.columns.tolist()
    columns = fitted.run_.task.table.columns
    assert [columns[name].type for name in x] == [
        *("number", "category", "number", "boolean", "date")
    ]
    assert np.array_equal(
        quick(epochs=30).fit(pl.from_pandas(x), y).predict(x), fitted.predict(x)
    )


def test_gaps_of_an_array_may_come_in_training_or_later(iris):
    x, y = iris
    gaps = x.copy()
    gaps[::7, 1], gaps[:, 3] = np.nan, np.nan
    assert quick().fit(gaps, y).predict(x).shape == (150,)
    assert quick().fit(x, y).predict(gaps).shape == (150,)


def test_given_rows_choose_the_best_epoch(iris, frame):
    x, y = iris
    fitted = quick().fit(x[::2], y[::2], eval_set=(x[1::2], y[1::2]))
    assert fitted.run_.num_rows == {"train": 75, "val": 75}
    x, y = frame
    fitted = quick().fit(x[::2], y[::2], eval_set=[(x[1::2], y[1::2])])
    assert fitted.run_.num_rows == {"train": 30, "val": 30}


@pytest.mark.parametrize(
    ("given", "got"), [(lambda x, y: [(x, y), (x, y)], "2 pairs"), (lambda x, y: x, "ndarray")]
)
def test_other_rows_than_one_pair_are_refused(given, got, iris):
    with pytest.raises(kfc.DataError, match=got):
        quick().fit(*iris, eval_set=given(*iris))


def test_few_rows_train_without_validation_rows(iris):
    x, y = iris
    assert quick().fit(x[::2], y[::2]).run_.num_rows == {"train": 75}
    assert quick(early_stopping=False).fit(x, y).validation_scores_ is None


@pytest.mark.parametrize(
    ("asked", "rows"),
    [
        ({"early_stopping": True}, 15),
        ({"calibrate": True}, 15),
        ({"spec": {"data": {"validation": 0.3}}}, 23),
        ({"spec": kfc.Spec(name="a", data={"validation": 0.3}, preset="realmlp_s")}, 23),
        ({"spec": {"training": {"early_stopping": {"monitor": "val_loss"}}}}, 15),
        ({"spec": {"training": {"metrics": ["auc"]}}}, 15),
    ],
    ids=lambda value: value if isinstance(value, int) else "-".join(value),
)
def test_who_asks_for_validation_rows_gets_them_of_few_rows_too(asked, rows, iris):
    x, y = iris
    fitted = quick(**asked).fit(x[::2], y[::2])
    assert fitted.run_.num_rows == {"train": 75 - rows, "val": rows}


@pytest.mark.parametrize(
    ("step", "reason"), [(30, "at least 2 rows"), (17, "each of the 3 classes")]
)
def test_validation_rows_that_cannot_be_split_off_are_refused(step, reason, iris):
    x, y = iris
    with pytest.raises(ValueError, match=reason):
        quick(early_stopping=True).fit(x[::step], y[::step])


def test_the_same_seed_gives_the_same_bits_in_a_folder_or_without(iris, fitted, tmp_path):
    in_folder = quick(run_folder=tmp_path).fit(*iris)
    assert in_folder.run_.folder.parent == tmp_path
    assert in_folder.run_.weights_sha256 == fitted.run_.weights_sha256
    assert quick().fit(*iris).run_.weights_sha256 == fitted.run_.weights_sha256
    drawn = quick(random_state=np.random.RandomState(0)).fit(*iris)
    assert drawn.run_.weights_sha256 != fitted.run_.weights_sha256


@pytest.mark.parametrize("spec", [None, {"network": {"dropout": 0.1}}], ids=["none", "dict"])
def test_without_a_seed_each_fit_draws_another(spec, iris):
    estimator = quick(spec=spec, random_state=None)
    first = estimator.fit(*iris).run_.weights_sha256
    assert estimator.fit(*iris).run_.weights_sha256 != first


def test_a_spec_that_names_a_seed_has_it(iris, fitted, tmp_path):
    (tmp_path / "own.yaml").write_text("name: own\nseed: 0\n")
    for spec in ({"seed": 0}, tmp_path / "own.yaml"):
        found = quick(spec=spec, random_state=None).fit(*iris)
        assert found.run_.weights_sha256 == fitted.run_.weights_sha256


def test_a_fit_leaves_nothing_behind(iris, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    quick().fit(*iris).export(tmp_path / "models")
    with pytest.raises(kfc.SpecError):
        quick(hidden=[0]).fit(*iris)
    # TensorFlow keeps the files of its own conversions until the process ends.
    left = [path.name for path in tmp_path.iterdir() if "autograph" not in path.name]
    assert left == ["models"]


def test_members_are_averaged_and_continue(iris, tmp_path):
    x, y = iris
    fitted = quick(members=2, calibrate=True).fit(x, y)
    assert len(fitted.run_.runs) == 2
    in_folder = quick(members=2, calibrate=True, run_folder=tmp_path).fit(x, y)
    assert np.array_equal(in_folder.predict_proba(x), fitted.predict_proba(x))
    loaded = kfc.load(in_folder.run_.folder).predict(x).probabilities
    np.testing.assert_allclose(fitted.predict_proba(x), loaded, rtol=1e-4, atol=1e-6)
    parts = quick(members=2).partial_fit(x, y, classes=[0, 1, 2]).partial_fit(x, y)
    assert parts.n_iter_ == 2


def test_scikit_learns_tools_take_it_for_one_of_their_own(iris):
    x, y = iris
    scaled = make_pipeline(StandardScaler().set_output(transform="pandas"), quick())
    assert len(cross_validate(scaled, x, y, cv=2)["test_score"]) == 2
    grid = GridSearchCV(quick(), {"learning_rate": [0.01, 0.04]}, cv=2).fit(x, y)
    assert grid.best_params_["learning_rate"] in (0.01, 0.04)
    assert CalibratedClassifierCV(quick(), cv=2).fit(x, y).predict_proba(x).shape == (150, 3)
    several = [("kfc", quick()), ("linear", LogisticRegression(max_iter=500))]
    assert VotingClassifier(several, voting="soft").fit(x, y).score(x, y) > 0.6
    assert StackingClassifier(several, cv=2).fit(x, y).score(x, y) > 0.6
    importances = permutation_importance(grid.best_estimator_, x, y, n_repeats=2)
    assert importances.importances_mean.shape == (4,)
    several_targets = MultiOutputRegressor(kfc.Regressor(**QUICK)).fit(x[:, :2], x[:, 2:])
    assert several_targets.predict(x[:, :2]).shape == (150, 2)


@pytest.mark.slow
def test_worker_processes_fit_and_return_it(iris):
    found = cross_validate(quick(), *iris, cv=2, n_jobs=2, return_estimator=True)
    assert [each.predict(iris[0]).shape for each in found["estimator"]] == [(150,)] * 2


def test_fits_of_the_same_shape_compile_nothing(iris, fitted):
    from kfc.training.engine import graph_cache

    assert fitted.n_iter_ == 2  # the same arguments, other rows
    before = set(graph_cache._graphs)
    quick(random_state=5).fit(iris[0][::-1] * 3, iris[1])
    assert set(graph_cache._graphs) == before


@pytest.mark.parametrize("outputs", [1, 2])
def test_a_regression_of_targets_of_another_scale_compiles_nothing(outputs, iris):
    from kfc.training.engine import graph_cache

    x, y = iris[0][:, :2], iris[0][:, 2 : 2 + outputs]
    kfc.Regressor(**QUICK).fit(x, y)
    before = set(graph_cache._graphs)
    kfc.Regressor(**QUICK | {"random_state": 5}).fit(x, 1000 * y + 7)
    assert set(graph_cache._graphs) == before


@pytest.mark.parametrize("scale", ["standard", "robust_clip", "unit", "none"])
def test_a_trainer_of_the_pool_gives_the_bits_of_a_new_one(iris, scale, monkeypatch):
    from kfc.runs import trainer_pool

    x, y = iris
    spec = {"data": {"scale": scale}, "accept": ["unscaled_input"]}
    estimator = quick(
        spec=spec, learning_rate={"name": "cosine", "initial_learning_rate": 0.02}
    )
    estimator.fit(2 * x + 1, y)
    pooled = clone(estimator).set_params(random_state=9).fit(x, y)
    assert trainer_pool._trainers
    monkeypatch.setattr(trainer_pool, "pool_key", lambda spec, prepared: None)
    new = clone(pooled).fit(x, y)
    assert pooled.run_.weights_sha256 == new.run_.weights_sha256
    assert pooled.loss_curve_ == new.loss_curve_
    assert np.array_equal(pooled.predict_proba(x), new.predict_proba(x))


@pytest.mark.parametrize("outputs", [1, 2])
def test_a_pooled_regression_takes_the_scale_of_its_own_targets(outputs, iris, monkeypatch):
    from kfc.runs import trainer_pool

    x, y = iris[0][:, :2], iris[0][:, 2 : 2 + outputs]
    kfc.Regressor(**QUICK).fit(x, y)
    regressor = kfc.Regressor(**QUICK | {"random_state": 9}, early_stopping=1)
    pooled = clone(regressor).fit(x, 1000 * y + 7)
    assert trainer_pool._trainers
    monkeypatch.setattr(trainer_pool, "pool_key", lambda spec, prepared: None)
    new = clone(regressor).fit(x, 1000 * y + 7)
    assert pooled.run_.weights_sha256 == new.run_.weights_sha256
    assert pooled.run_.history == new.run_.history
    assert pooled.run_.metrics == new.run_.metrics
    assert np.array_equal(pooled.predict(x), new.predict(x))


def test_the_page_of_a_fit_is_one_file(fitted, tmp_path):
    page = fitted.report(tmp_path / "page.html")
    assert page.path == tmp_path / "page.html"
    assert "Learning curves" in page.html
    assert [each.name for each in tmp_path.iterdir()] == ["page.html"]


@pytest.mark.parametrize("members", [1, 2])
def test_the_page_shows_answers_for_rows_that_are_passed(members, iris, tmp_path):
    x, y = iris
    names = np.array(["setosa", "versicolor", "virginica"])[y]
    estimator = quick(members=members).fit(x[::2], names[::2])
    page = estimator.report(tmp_path / "page.html", X=x[1::2], y=names[1::2]).html
    text = " ".join(page.split())
    assert f"{estimator.score(x[1::2], names[1::2]):.4f}" in text
    for title in ("Confusion", "Calibration", "Worst mistakes", "Learning curves"):
        assert f">{title}</h2>" in page
    with pytest.raises(kfc.DataError, match="rows and their targets"):
        estimator.report(tmp_path / "page.html", X=x)


def test_the_page_of_a_regression_shows_its_errors(iris, tmp_path):
    x, y = iris[0][:, :3], iris[0][:, 3]
    regressor = kfc.Regressor(**QUICK).fit(x[::2], y[::2])
    page = regressor.report(tmp_path / "page.html", X=x[1::2], y=y[1::2]).html
    assert ">Errors by decile</h2>" in page
    assert f"{regressor.score(x[1::2], y[1::2]):.4f}" in page


def test_a_fit_on_all_rows_has_a_page(iris, tmp_path):
    estimator = quick().fit(iris[0][::4], iris[1][::4])
    assert "no others were measured" in estimator.report(tmp_path / "page.html").html


@pytest.mark.parametrize(
    "changed", [{"hidden": [9]}, {"hidden": [8, 8]}, {"members": 2}], ids=str
)
def test_a_fit_that_continues_needs_the_network_that_it_had(changed, iris):
    estimator = quick(warm_start=True).fit(*iris).set_params(**changed)
    with pytest.raises(kfc.SpecError, match=r"warm_start: .*as in the fit before"):
        estimator.fit(*iris)
    with pytest.raises(kfc.SpecError, match=r"partial_fit: .*as in the fit before"):
        estimator.partial_fit(*iris)
