"""A search so small that a test can afford it, and what is compared of two."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kfc.tuning.search import Search, tune

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
_CLOCKS_AND_PLACES = {"seconds", "run"}


@pytest.fixture(scope="session")
def iris() -> dict[str, Any]:
    """A spec with a small space: 150 flowers, 2 epochs, 4 trials, no repeats."""
    return IRIS


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
    """The events of a search's folder, in their order."""

    def events(folder: Path) -> list[dict[str, Any]]:
        lines = (folder / "journal.jsonl").read_text("utf-8").splitlines()
        return [json.loads(line)["event"] for line in lines]

    return events
