"""Searches and cross-validations on a Ray cluster of two nodes, of which one may die."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import kfc
from kfc.spec import dump_spec, load_spec

SCRIPT = Path(__file__).parent / "two_nodes.py"
ALONE = ["unshare", "--map-root-user", "--net", "--pid", "--fork", "--kill-child"]
ALONE += ["--mount-proc"]
DIGITS = {
    "name": "small",
    "data": {"source": "sklearn:digits", "validation": 0.2},
    "network": {"hidden": [16]},
    "training": {"epochs": 12, "optimizer": {"name": "adam", "learning_rate": 0.01}},
    "search": {
        "algorithm": "random",
        "trials": 40,
        "parallel": 4,
        "finalists": 3,
        "repeats": 2,
        "most_repeats": 2,
        "space": {
            "training.optimizer.learning_rate": {"low": 0.001, "high": 0.1, "log": True},
            "network.hidden": {"depth": [1, 2], "width": [8, 32]},
        },
    },
}
CLOCKS_AND_PLACES = {"seconds", "run", "folder"}


@pytest.fixture(scope="module")
def on_two_nodes():
    """Runs a command on a cluster; ADDRESS in it is the cluster's address."""
    try:
        trial = [*ALONE, "ip", "link", "set", "lo", "up"]
        done = subprocess.run(trial, capture_output=True, text=True)
    except OSError as error:
        pytest.skip(f"no network namespace of its own can be made: {error}")
    if done.returncode:
        pytest.skip(f"no network namespace of its own can be made: {done.stderr.strip()}")

    def run(folder, event, pattern, *command):
        (folder / "small.yaml").write_text(dump_spec(load_spec(DIGITS)))
        words = [sys.executable, SCRIPT, event, pattern, "--", sys.executable, "-m", "kfc"]
        return subprocess.run(
            [*ALONE, *words, *command], cwd=folder, capture_output=True, text=True, timeout=600
        )

    return run


def without_clocks(value):
    if isinstance(value, dict):
        kept = {key: each for key, each in value.items() if key not in CLOCKS_AND_PLACES}
        return {key: without_clocks(each) for key, each in kept.items()}
    return [without_clocks(each) for each in value] if isinstance(value, list) else value


@pytest.fixture(scope="module")
def search_of_one(tmp_path_factory):
    folder = tmp_path_factory.mktemp("one")
    summary = kfc.tune(DIGITS, folder=folder / "search", verbose=False).summary()
    return without_clocks(json.loads(json.dumps(summary)))


@pytest.mark.slow
@pytest.mark.parametrize("event", ["none", "kill", "stop"])
def test_a_search_of_forty_trials_gives_the_table_of_one_worker(
    event, on_two_nodes, search_of_one, tmp_path
):
    command = ["tune", "small.yaml", "--folder", "search", "--ray", "ADDRESS", "--json"]
    done = on_two_nodes(tmp_path, event, "search/trials/0012", *command)
    assert done.returncode == 0, done.stderr
    assert without_clocks(json.loads(done.stdout)) == search_of_one
    assert ("lost node 127.0.0.2" in done.stderr) == (event != "none")
    assert "Traceback" not in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("event", ["none", "kill"])
def test_a_cross_validation_gives_the_runs_of_one_worker(event, on_two_nodes, tmp_path):
    alone = kfc.cross_validate(DIGITS, folds=5, runs=tmp_path / "one", verbose=False)
    command = ["fit", "small.yaml", "--folds", "5", "--runs", "two", "--ray", "ADDRESS"]
    done = on_two_nodes(tmp_path, event, "two/small-cv5/0001-small", *command, "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert without_clocks(found) == without_clocks(json.loads(json.dumps(alone.summary())))
    for score in alone.folds:
        run = kfc.load(tmp_path / "two" / "small-cv5" / score.folder)
        assert run.weights_sha256 == score.weights_sha256
