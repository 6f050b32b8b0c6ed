"""Several processes train one network, as one process would; a killed one costs only time."""

import json
import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import kfc
from kfc.spec import read_value

SCRIPT = Path(__file__).with_name("worker_processes.py")
SETTINGS = [
    "network.activation=tanh",
    "network.hidden=[24, 16]",
    "training.batch_size=34",  # of 1,293 rows, so that the last batch has one row
    "training.checkpoint_seconds=0.05",
    "training.log_every=30",  # so that a call has 30 steps at most
]


@pytest.fixture
def clusters(tmp_path):
    """Runs clusters of workers one after the other, see `worker_processes.py`."""

    def run(*wanted):
        command = [sys.executable, str(SCRIPT), str(tmp_path), json.dumps(wanted)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=1200)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


def fit_command(folder, *settings):
    values = dict(each.split("=", 1) for each in (*SETTINGS, *settings))
    place = ["--runs", str(folder / "runs"), "--json", "--quiet"]
    return ["fit", "digits", *map("=".join, values.items()), *place]


def in_one_process(folder, **overrides):
    given = {key: read_value(value) for key, _, value in (s.partition("=") for s in SETTINGS)}
    given |= {"training.engine": "graph", **overrides}
    return kfc.fit("digits", overrides=given, runs=folder / "one", verbose=False)


def files_of(runs):
    """The bytes of every file of the only encoded table."""
    (entry,) = (runs / ".tables").glob("*/table")
    return {path.name: path.read_bytes() for path in entry.iterdir()}


def relative_difference(run, other):
    pairs = zip(run.network.get_weights(), other.network.get_weights(), strict=True)
    largest = max(np.abs(weight).max() for weight in run.network.get_weights())
    return max(np.abs(a - b).max() for a, b in pairs) / largest


def test_after_a_kill_the_same_command_reaches_the_weights_of_one_process(clusters, tmp_path):
    command = fit_command(tmp_path, "training.epochs=20", "network.dropout=0.1")
    cluster = {"workers": 2, "command": command}
    killed, again = clusters({**cluster, "kill": 1}, cluster)
    assert killed["codes"] == [9, -9], killed["logs"]
    assert killed["seconds"] < 30
    assert "worker 1 of 2: expected every other worker to answer" in killed["logs"][0]
    assert again["codes"] == [0, 0], again["logs"]
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["0001-digits"]
    run = kfc.load(tmp_path / "runs" / "0001-digits")
    assert run.spec.training.distribute == "multi_worker"
    assert json.loads((run.folder / "environment.json").read_text())["resumed"]
    one = in_one_process(tmp_path, **{"training.epochs": 20, "network.dropout": 0.1})
    assert relative_difference(one, run) < 1e-4
    assert run.metrics["test_loss"] == pytest.approx(one.metrics["test_loss"], rel=1e-4)
    for name, values in one.history.items():
        assert run.history[name] == pytest.approx(values, rel=1e-4)


def test_a_parquet_folder_on_the_disk_trains_as_in_one_process(clusters, tmp_path):
    (tmp_path / "parts").mkdir()
    for number in range(4):
        rng = np.random.default_rng(number)
        frame = pd.DataFrame(rng.normal(size=(101, 3)), columns=["a", "b", "c"])
        frame["kind"] = rng.choice(["x", "y", "z"], 101)
        frame["target"] = (frame["a"] > 0) ^ (frame["kind"] == "x")
        frame.to_parquet(tmp_path / "parts" / f"{number}.parquet")
    said = {
        "data.source": f"parquet:{tmp_path / 'parts'}",
        "data.target": "target",
        "data.stream": "always",
        "network.activation": "tanh",
        "training.batch_size": 27,  # of 290 rows, so that the last batch has 20
        "training.epochs": 2,
    }
    settings = [f"{key}={value}" for key, value in said.items()]
    spec = tmp_path / "spec.yaml"
    spec.write_text("name: parts\n")
    command = ["fit", str(spec), *settings, "--json", "--quiet"]
    shared, apart, other = ([*command, "--runs", str(tmp_path / name)] for name in "sao")
    done, warned = clusters(
        {"workers": 2, "command": shared}, {"workers": 2, "command": apart, "others": other}
    )
    assert done["codes"] == warned["codes"] == [0, 0], [done["logs"], warned["logs"]]
    for runs in "sao":  # the workers of the first cluster share a folder, and the work
        assert len(list((tmp_path / runs / ".tables").glob("*/table"))) == 1
        assert not list((tmp_path / runs / ".tables").glob("*/work"))
    run, own = (kfc.load(tmp_path / runs / "0001-parts") for runs in "sa")
    assert run.weights_sha256 == own.weights_sha256
    assert [run.warnings, [each["path"] for each in own.warnings]] == [[], ["worker 2"]]
    said["training.engine"] = "graph"
    one = kfc.fit({"name": "parts"}, overrides=said, runs=tmp_path / "one", verbose=False)
    assert run.spec.data.stream == "always"
    assert files_of(tmp_path / "one") == files_of(tmp_path / "s")
    assert len(one.history["loss"]) == 2
    assert run.num_rows["train"] % 27 == 20
    assert relative_difference(one, run) < 1e-5
    assert run.metrics["test_loss"] == pytest.approx(one.metrics["test_loss"], rel=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["tape_sgd", "adam"])
@pytest.mark.parametrize("workers", [2, 4])
def test_weights_after_three_epochs_are_those_of_one_process(
    clusters, tmp_path, workers, optimizer
):
    settings = ["training.epochs=3", f"training.optimizer={optimizer}"]
    command = fit_command(tmp_path, *settings)
    (done,) = clusters({"workers": workers, "command": command})
    assert set(done["codes"]) == {0}, done["logs"]
    run = kfc.load(tmp_path / "runs" / "0001-digits")
    epochs = {"training.epochs": 3, "training.optimizer": optimizer}
    assert relative_difference(in_one_process(tmp_path, **epochs), run) < 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["tape_sgd", "adam"])
def test_a_single_step_with_relu_is_that_of_one_process(clusters, tmp_path, optimizer):
    # Rounding moves few outputs across relu's kink in one step, and ever more in many.
    given = {
        "network.activation": "relu",
        "training.epochs": 1,
        "training.batch_size": 1293,  # all training rows
        "training.optimizer": optimizer,
    }
    settings = [f"{key}={value}" for key, value in given.items()]
    seeds = range(3)
    commands = [
        fit_command(tmp_path, *settings, f"seed={seed}", f"name=seed{seed}") for seed in seeds
    ]
    done = clusters(*({"workers": 2, "command": command} for command in commands))
    assert all(each["codes"] == [0, 0] for each in done), done
    for seed in seeds:
        (folder,) = (tmp_path / "runs").glob(f"*-seed{seed}")
        one = in_one_process(tmp_path, seed=seed, **given)
        assert one.num_rows["train"] == 1293
        assert relative_difference(one, kfc.load(folder)) < 1e-5


@pytest.mark.slow
def test_final_metrics_with_relu_are_within_the_spread_over_five_seeds(clusters, tmp_path):
    given = {"network.activation": "relu", "training.epochs": 10, "data.rows": 600}
    settings = [f"{key}={value}" for key, value in given.items()]
    named = [(number, f"of{number}") for number in (2, 4)]
    done = clusters(
        *(
            {"workers": number, "command": fit_command(tmp_path, *settings, f"name={name}")}
            for number, name in named
        )
    )
    assert all(set(each["codes"]) == {0} for each in done), done
    alone = [in_one_process(tmp_path, seed=seed, **given) for seed in range(5)]
    for _, name in named:
        (folder,) = (tmp_path / "runs").glob(f"*-{name}")
        run = kfc.load(folder)
        assert run.spec.seed == alone[0].spec.seed
        for metric in ("test_loss", "test_accuracy"):
            spread = np.std([one.metrics[metric] for one in alone], ddof=1)
            assert spread > 0
            assert abs(run.metrics[metric] - alone[0].metrics[metric]) < spread


@pytest.mark.slow
def test_twenty_kills_of_a_random_worker_each_recover_to_the_same_weights(clusters, tmp_path):
    generator = random.Random(0)
    plain = {"workers": 2, "command": fit_command(tmp_path, "training.epochs=12")}
    wanted = [plain]
    for number in range(20):
        name = f"kill{number}"
        cluster = {
            "workers": 2,
            "command": fit_command(tmp_path, "training.epochs=12", f"name={name}"),
        }
        moment = {"run": f"*-{name}", "seconds": generator.uniform(0, 0.3)}
        wanted += [{**cluster, **moment, "kill": generator.randrange(2)}, cluster]
    done = clusters(*wanted)
    for each in done[1::2]:
        assert sorted(each["codes"]) == [-9, 9], each["logs"]
        assert each["seconds"] < 30
    assert all(each["codes"] == [0, 0] for each in done[2::2])
    runs = [kfc.load(folder) for folder in sorted((tmp_path / "runs").iterdir())]
    assert len(runs) == 21
    assert len({run.weights_sha256 for run in runs}) == 1
