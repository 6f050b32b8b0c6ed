import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

EXPERIMENTS = Path(__file__).parent.parent / "experiments"

needs_tfds = pytest.mark.skipif(
    "TFDS_DATA_DIR" not in os.environ,
    reason="set TFDS_DATA_DIR to a folder where tensorflow-datasets has prepared mnist",
)


def expected(name):
    return json.loads((EXPERIMENTS / name / "expected.json").read_text("utf-8"))


def test_digits_reaches_its_number(experiment, tmp_path):
    measured = experiment("digits").measure(small=True, runs=tmp_path)
    assert measured["median"] >= expected("digits")["small"]["test_accuracy"]["low"]


@pytest.mark.slow
@needs_tfds
def test_first_run_works_on_a_slice(experiment, tmp_path):
    measured = experiment("first_run").measure(small=True, runs=tmp_path)
    assert measured["parameters"] == expected("first_run")["parameters"]
    assert measured["median"] >= expected("first_run")["small"]["test_accuracy"]["low"]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["digits", pytest.param("first_run", marks=needs_tfds)])
def test_each_reaches_its_numbers_in_full(experiment, name, tmp_path):
    measured = experiment(name).measure(runs=tmp_path)
    bounds = expected(name)["test_accuracy"]
    for accuracy in measured["test_accuracy"]:
        assert bounds["low"] <= accuracy <= bounds["high"]


@pytest.mark.slow
def test_streamed_and_resident_rows_both_train(experiment, idx_datasets):
    measured = experiment("streaming").measure(f"idx:{idx_datasets / 'mnist'}", small=True)
    (streamed,), (resident,) = (measured["rounds"][name] for name in ("streamed", "resident"))
    assert (streamed["stream"], resident["stream"]) == ("always", "never")
    assert min(streamed["samples_per_second"], resident["samples_per_second"]) > 0
    assert streamed["test_accuracy"] > 0.85
    assert resident["test_accuracy"] > 0.75


@pytest.mark.slow
def test_five_seeds_at_once_are_those_in_turn(experiment):
    overrides = {"network.hidden": [8], "network.activation": "tanh", "training.epochs": 1}
    measured = experiment("many_networks", "end_to_end").measure("seeds", 1, overrides)
    assert [len(measured["seconds"][way]) for way in ("never", "always")] == [2, 2]
    assert measured["difference"] < 1e-5


@pytest.mark.slow
def test_a_streamed_and_a_resident_table_train_alike(experiment):
    measured = experiment("streaming", "tables").measure(2000, 6, rounds=1)
    streamed, resident = (measured["rounds"][name] for name in ("streamed", "resident"))
    assert streamed["encode"][0]["encoded_bytes"] == resident["encode"][0]["encoded_bytes"]
    assert (
        min(streamed["train"][0]["test_accuracy"], resident["train"][0]["test_accuracy"]) > 0.7
    )
    assert measured["ratio"] > 0


@pytest.mark.slow
def test_a_parquet_folder_trains_beside_its_first_parts(experiment, tmp_path):
    measured = experiment("parquet_rows").measure(
        6000, 2000, part=1000, limit=0, work=tmp_path
    )
    (streamed,) = measured["streamed"]
    assert (measured["parts"], streamed["rows"]) == (6, 5400)
    assert [each["rows"] for each in measured["resident"]] == [1800, 1800]
    assert measured["encoding"]["anonymous_peak"] > 0
    assert streamed["val_accuracy"] > 0.6
    assert measured["ratio of rows_per_second"] > 0
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_seconds_of_a_streamed_epoch_have_parts(experiment, tmp_path):
    measured = experiment("parquet_rows", "clocks").measure(6000, part=1500, work=tmp_path)
    seconds = measured["seconds"]
    assert len(seconds) == 5
    assert all(wall > 0 for wall, _ in seconds.values())
    assert measured["rows"] == 5400


@pytest.mark.slow
def test_workers_train_together_as_one_process(experiment, tmp_path):
    measured = experiment("parquet_rows", "joint").measure(
        6000, 8, part=1500, workers=2, work=tmp_path
    )
    joint = measured["joint"]
    assert len(joint["anonymous_peaks"]) == 2
    assert max(joint["anonymous_peaks"]) <= joint["anonymous_peak_together"]
    assert measured["encoded_bytes"] > 4 * 6000 * 10
    assert measured["difference of weights"] < 1e-4
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_processes_share_the_encoding_of_a_parquet_folder(experiment, tmp_path):
    measured = experiment("parquet_rows").share(
        6000, [1, 2], part=1000, limit=0, work=tmp_path
    )
    assert [[len(times) for times in turns] for turns in measured["cpu_seconds"].values()] == [
        [1],
        [2],
    ]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
@needs_tfds
def test_tuned_networks_train_on_a_slice(experiment, tmp_path):
    (measured,) = (
        experiment("tune_accuracy")
        .main(["mnist", "--small", "--runs", str(tmp_path)])
        .values()
    )
    assert measured["trials"] == 2
    assert measured["test_accuracy"] > 0.7


@pytest.mark.slow
@pytest.mark.parametrize("quoted", [False, True])
def test_a_table_is_read_and_encoded_beside_read_csv(experiment, quoted):
    measured = experiment("table_reading").measure(rows=30_000, rounds=1, quoted=quoted)
    assert min(measured["seconds_ratio_encode"], measured["seconds_ratio_prepare"]) > 0
    assert measured["matrix_megabytes"] > 0
    assert min(measured["peak_per_table"].values()) > 0


@pytest.mark.slow
def test_every_algorithm_is_honest_about_exploding_trials(experiment):
    assert experiment("tune_honest").main(["--only", "honest"]) == []


@pytest.mark.slow
def test_a_search_that_is_killed_five_times_ends_as_it_would_have(experiment):
    assert experiment("tune_honest").main(["--only", "survival", "--kills", "5"]) == []


@pytest.mark.slow
@needs_tfds
def test_a_training_that_is_killed_at_random_moments_ends_with_the_same_bits():
    # In a process of its own, which forks others before TensorFlow has started.
    script = EXPERIMENTS / "survival" / "run.py"
    command = [sys.executable, script, "--small", "--kills", "8"]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    found = json.loads(ended.stdout)
    assert (found["kills"], found["with other bits"]) == (8, 0)


@pytest.mark.slow
def test_a_training_is_timed_in_each_form(experiment):
    run = experiment("choosing")
    timed = [run.measure("digits, 256, 40 epochs", form) for form in run.LIMITS]
    assert all(each["seconds"] > 0 for each in timed)
    assert timed[0]["saved"] == timed[1]["saved"] == timed[2]["saved"] < 5e10


@pytest.mark.slow
def test_a_graph_runs_as_traced_and_rewritten(experiment):
    network = "64-100-50-10, mse, SGD"
    for setting in ("traced", "rewritten"):
        measured = experiment("grappler").measure(setting, [network])[network]
        assert measured["first"] > measured["later"] > 0


@pytest.mark.slow
def test_the_trials_of_both_contenders_are_counted(experiment):
    arguments = ["--rounds", "1", "--trials", "5", "--space", "digits"]
    rates = experiment("tune_speed").main(arguments)["digits"]
    assert all(rate > 0 for [measured] in rates.values() for rate in measured)


@pytest.mark.slow
def test_five_folds_are_timed_beside_one_training(experiment):
    measured = experiment("folds").measure(rounds=1)
    for found in measured.values():
        ((one,), (five,)) = found["seconds"].values()
        assert found["ratio"] == [round(five / one, 2)]


def write_tables(root, rows=120):
    """Writes two small tables with folds in the form of the real ones."""
    random = np.random.default_rng(0)
    (root / "folds").mkdir(parents=True)
    meta = {}
    for name, task in (("kinds", "multiclass"), ("sizes", "regression")):
        x, plan = random.normal(size=rows), random.choice(["a", "b", "c"], rows)
        target = plan if task == "multiclass" else 3 * x + (plan == "a")
        lines = [
            f"{i},{x[i]:.4f},{plan[i]},2024-01-{1 + i % 28:02},{target[i]}"
            for i in range(rows)
        ]
        (root / f"{name}.csv").write_text("\n".join(["id,x,plan,day,y", *lines]) + "\n")
        fold = np.repeat([0, 1], rows // 2)
        np.savez(root / "folds" / f"{name}.npz", rows=random.permutation(rows), fold=fold)
        facts = {"numeric": ["x"], "category": ["plan"], "date": ["day"], "drop": ["id"]}
        meta[name] = {
            "file": f"{name}.csv",
            "target": "y",
            "task": task,
            "rows": rows,
            "missing": [""],
        }
        meta[name] |= facts
    (root / "meta.json").write_text(json.dumps(meta))
    (root / "baselines.csv").write_text(
        "set,model,fold,n_train,n_test,accuracy,logloss,auc,rmse,r2,fit_s,predict_s,note\n"
        "kinds,hgb,0,60,60,0.9,0.3,0.99,,,0.1,0.1,\nsizes,hgb,1,60,60,,,,1.5,0.9,0.1,0.1,\n"
    )


@pytest.mark.slow
def test_networks_and_contenders_are_compared_on_the_same_folds(experiment, tmp_path):
    root, out = tmp_path / "tables", tmp_path / "strong.jsonl"
    write_tables(root)
    run = experiment("tables_strong")
    arguments = ["--short", "--root", str(root), "--out", str(out), "--threads", "1"]
    found = run.main(arguments)
    lines = out.read_text().splitlines()
    assert [json.loads(line)["model"] for line in lines] == [*run.SHORT_MODELS] * 2
    assert found["mean_rank"]["tables"] == 2
    assert found["tables"]["kinds"]["csv:hgb"]["error"] == pytest.approx(0.1)
    assert "csv:hgb" not in found["tables"]["sizes"]  # of a fold that was not measured
    assert found["tables"]["kinds"]["sk_mlp"]["error"] < 0.1
    # A line that was cut off is measured again, and the others are not.
    out.write_text("\n".join([*lines[:-1], lines[-1][:20]]))
    run.main(arguments)
    assert out.read_text().splitlines()[: len(lines) - 1] == lines[:-1]
    assert json.loads(out.read_text().splitlines()[-1])["model"] == "hgb"


@pytest.mark.slow
def test_uncertainty_is_measured_on_the_same_folds(experiment, tmp_path):
    root, out = tmp_path / "tables", tmp_path / "uncertainty.jsonl"
    write_tables(root, rows=240)
    script = experiment("tables_strong", "uncertainty")
    arguments = ["--short", "--root", str(root), "--out", str(out), "--threads", "1"]
    found = script.main(arguments)
    kinds, sizes = (json.loads(line) for line in out.read_text().splitlines())
    assert found["pooled_coverage"] == pytest.approx(sizes["test_coverage"][0], abs=1e-4)
    assert found["not_worse_calibrated"][1] == 1
    assert kinds["temperature"] > 0
    assert script.main(arguments) == found  # nothing is trained again


def test_an_interval_is_wider_than_that_of_independent_folds(experiment):
    report = experiment("tables_strong", "report")
    rows = {"train_rows": 80, "test_rows": 20}
    errors = ([0.1, 0.2, 0.3, 0.2, 0.2], [0.2, 0.2, 0.2, 0.2, 0.2])
    ours, theirs = ({i: {"error": e, **rows} for i, e in enumerate(each)} for each in errors)
    found = report.difference(ours, theirs)
    # Differences -0.1, 0, 0.1, 0, 0: variance 0.005; t of 4 degrees of freedom 2.776445.
    half = 2.776445 * (0.005 * (1 / 5 + 20 / 80)) ** 0.5
    assert (found["folds"], found["mean"]) == (5, 0)
    assert (found["low"], found["high"]) == pytest.approx((-half, half), rel=1e-4)


def test_presets_are_compared_with_the_models_of_the_same_recipe(experiment, tmp_path):
    report = experiment("tables_strong", "report")
    columns = "set,model,fold,n_train,n_test,accuracy,logloss,auc,rmse,fit_s"
    of_file = ["a,td,0,80,20,,,,3.0,1", "a,td,1,80,20,,,,9.0,1"]
    (tmp_path / "baselines.csv").write_text("\n".join([columns, *of_file]), "utf-8")
    rows = {"table": "a", "train_rows": 80, "test_rows": 20}
    lines = [
        {**rows, "model": "realmlp", "fold": fold, "error": error}
        for fold, error in enumerate([2.0, 4.0, 5.0])
    ]
    lines.append({**rows, "model": "td", "fold": 1, "error": 5.0})
    found = report.against_torch(lines, tmp_path / "baselines.csv")
    # Folds 0 and 1 have both models; a line counts more than the file.
    assert found["tabm - tabm_mini_pwl_k8"] == {}
    assert found["realmlp - td"]["a"]["folds"] == 2
    assert found["realmlp - td"]["a"]["mean"] == -1.0


def test_an_estimator_and_scikit_learns_mlp_are_scored_on_the_same_folds(experiment):
    found = experiment("estimators").fold_scores("iris", folds=2)
    assert sorted(found) == ["kfc", "mlp"]
    assert all(min(each["score"]) > 0.8 for each in found.values())


def test_choices_of_an_estimator_are_scored_on_the_same_folds(experiment, monkeypatch):
    script = experiment("estimators", "choices")
    quick = {name: {**choice, "epochs": 10} for name, choice in script.CHOICES.items()}
    monkeypatch.setattr(script, "CHOICES", quick)
    found = script.fold_scores("iris", seeds=1, folds=2)
    assert [*found] == ["MLPClassifier", *script.CHOICES]
    assert all(len(scores) == 2 and min(scores) > 0.6 for scores in found.values())


def test_predictions_of_six_trainings_come_true(experiment):
    measured = experiment("explain").measure(small=True)
    assert measured["trainings"] == 6
    assert measured["diverged"] > 0
    assert measured["hit_rate"] == 1
    assert measured["loss_error"]["largest"] < 0.2


def test_the_recorded_predictions_are_good_enough():
    recorded = json.loads((EXPERIMENTS / "explain" / "measured.json").read_text("utf-8"))
    assert recorded["trainings"] == len(recorded["rows"]) == 360
    assert recorded["hit_rate"] >= 0.95
    assert recorded["loss_error"]["largest"] < 0.2


def test_the_predictions_of_the_page_on_scale_are_those_of_the_experiments(experiment):
    page = (EXPERIMENTS.parent / "docs" / "scale.md").read_text("utf-8")
    search = experiment("ray")
    for table in (experiment("scaling").predictions(), search.checks(), search.costs()):
        assert table in page


def test_the_model_of_a_search_is_close_to_its_measured_seconds(experiment):
    search = experiment("ray")
    for row in search.checks().splitlines()[2:]:
        measured, predicted = (float(each) for each in row.strip("|").split("|")[2:])
        assert predicted == pytest.approx(measured, rel=0.03)
    note = (EXPERIMENTS / "ray" / "README.md").read_text("utf-8")
    for row in search.MEASURED.values():
        assert f"| {row['total']} (" in note
        assert f"| {row['after_first_trial']} |" in note


@pytest.mark.slow
def test_steps_and_exchanges_on_two_processes_take_some_time(experiment):
    scaling = experiment("scaling")
    measured = scaling.measure((1, 2), rounds=1, steps=4)
    assert all(min(row["seconds"]) > 0 for row in measured["steps"])
    assert {row["workers"] for row in measured["steps"]} == {1, 2}
    assert "1024-1024" in scaling.table(measured, cores=2)
