"""Searches that several tests share, small enough to take a second."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from kfc.runs import fitting
from kfc.spec import Spec
from kfc.tuning.search import Search, tune
from kfc.tuning.trial import Trial, worst_score
from kfc.tuning.trial_runner import Job, TrialRunner

IRIS = {
    "name": "iris",
    "data": {"source": "sklearn:iris", "validation": 0.2},
    "network": {"hidden": [8], "init": {"name": "truncated_normal", "stddev": 0.1}},
    "training": {"epochs": 2, "optimizer": {"name": "sgd", "learning_rate": 0.1}},
    "search": {
        "algorithm": "random",
        "objective": "val_loss",
        "trials": 4,
        "parallel": 2,
        "finalists": 2,
        "repeats": 0,
        "space": {
            "training.optimizer.learning_rate": {"low": 0.001, "high": 1.0, "log": True},
            "network.hidden": {"depth": [1, 1], "width": [5, 9]},  # no number of inputs
        },
    },
}
REPEATED = {"search.repeats": 2, "search.most_repeats": 2}
_CLOCKS_AND_PLACES = {"seconds", "run"}


@pytest.fixture(scope="session")
def iris() -> dict[str, Any]:
    """A spec with a small space: 150 flowers, 2 epochs, 4 trials, no repeats."""
    return IRIS


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Search:
    """A finished search of that space; tests read its folder, or change a copy of it."""
    folder = tmp_path_factory.mktemp("finished") / "search"
    return tune(IRIS, folder=folder, verbose=False)


@pytest.fixture(scope="session")
def repeated(tmp_path_factory: pytest.TempPathFactory) -> Search:
    """A finished search with every kind of event: trials, repeats, a winner."""
    folder = tmp_path_factory.mktemp("repeated") / "search"
    return tune(IRIS, overrides=REPEATED, folder=folder, verbose=False)


@pytest.fixture
def simulated(monkeypatch: pytest.MonkeyPatch) -> None:
    """Replaces every training by a formula, in tests of all that a search does around them.

    The loss is a bowl over the decades of the learning rate, with noise of the seed. A rate
    above 1000 diverges.
    """

    def weights_of(spec: Spec) -> str:
        return hashlib.sha256(spec.model_dump_json().encode()).hexdigest()

    def run(runner: TrialRunner, job: Job) -> Trial:
        proposal, root = job.proposal, runner._root
        (root / job.folder / "checkpoints").mkdir(parents=True, exist_ok=True)
        rate = proposal.values.get("training.optimizer.learning_rate", 0.1)
        diverged = rate > 1000
        bowl = 1 + (math.log10(rate) + 1.3) ** 2 + 1 / proposal.epochs
        sha256 = weights_of(runner._space.trial_spec(proposal.values, seed=job.seed))
        score = bowl + int(sha256[:4], 16) / 1e6
        whole = proposal.epochs == runner._space.spec.training.epochs
        return Trial(
            number=proposal.number,
            values=proposal.values,
            point=proposal.point,
            seed=job.seed,
            status="diverged" if diverged else "completed" if whole else "pruned",
            score=worst_score("val_loss") if diverged else score,
            epochs=proposal.epochs,
            seconds=0.001,
            weights=10 * sum(proposal.values.get("network.hidden", [8])),
            folder=job.folder,
            cause="the loss is inf" if diverged else "",
            metrics={} if diverged else {"val_loss": score},
            weights_sha256="" if diverged else sha256,
            parent=proposal.parent,
        )

    def fit(spec: Spec, *, runs: Path, **_: Any) -> SimpleNamespace:
        folder = runs / "1"
        folder.mkdir(parents=True)
        (folder / "result.json").write_text("{}")
        metrics = {"test_loss": 1.0}
        return SimpleNamespace(folder=folder, metrics=metrics, weights_sha256=weights_of(spec))

    monkeypatch.setattr(TrialRunner, "run", run)
    monkeypatch.setattr(fitting, "fit_run", fit)


@pytest.fixture
def search(tmp_path: Path) -> Callable[..., Search]:
    """Searches that space, with overrides, in `tmp_path / "search"`."""

    def run(overrides: dict[str, Any] | None = None, **options: Any) -> Search:
        options = {"folder": tmp_path / "search", "verbose": False, **options}
        return tune(options.pop("spec", IRIS), overrides=overrides, **options)

    return run


@pytest.fixture(scope="session")
def table() -> Callable[[Search | dict[str, Any]], Any]:
    """All that a search answers, except what clocks and names of folders say."""

    def without(value: Any) -> Any:
        if isinstance(value, dict):
            kept = {key: each for key, each in value.items() if key not in _CLOCKS_AND_PLACES}
            return {key: without(each) for key, each in kept.items()}
        return [without(each) for each in value] if isinstance(value, list | tuple) else value

    def of(search: Search | dict[str, Any]) -> Any:
        summary = search if isinstance(search, dict) else search.summary()
        return without({**summary, "folder": None})

    return of


@pytest.fixture(scope="session")
def journal() -> Callable[[Path], list[dict[str, Any]]]:
    """The events of a search's folder, in their job."""

    def events(folder: Path) -> list[dict[str, Any]]:
        lines = (folder / "journal.jsonl").read_text("utf-8").splitlines()
        return [json.loads(line)["event"] for line in lines]

    return events


@pytest.fixture
def trials() -> list[Trial]:
    """A completed trial, a diverged one, a paused one, and a repeat of the first."""
    rate, initial = "training.optimizer.learning_rate", "network.initializer.stddev"
    values = {rate: 0.1, "network.hidden": [64, 32], "training.nesterov": True}
    return [
        Trial(
            *(1, values, {"learning_rate": 0.1}, 5, "completed", 0.875, 2, 0.25, 2410, "0001"),
            metrics={"val_accuracy": 0.875, "val_loss": 0.1 + 0.2},
        ),
        Trial(
            *(2, {rate: 1e-05, initial: 10.0, "network.hidden": []}, {}, 6, "diverged", 0.0),
            *(1, 1.5, 0, "0002", "loss became NaN", {"val_loss": math.nan, "val_mae": 2.0}),
        ),
        Trial(3, {**values, rate: 1}, {}, 7, "pruned", 0.925, 1, 12, 2410, "0003"),
        Trial(1, values, {}, 99, "completed", 0.75, 2, 0.5, 2410, "0001-1"),
    ]


@pytest.fixture
def labelled() -> Callable[..., Trial]:
    """Makes a diverged trial with one value and a cause, both of them any text."""

    def make(value: Any = "relu", cause: str = "") -> Trial:
        return Trial(1, {"a": value}, {}, 0, "diverged", 0.0, 1, 0.1, 10, "0001", cause)

    return make
