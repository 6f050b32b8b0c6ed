"""Finished runs with pages, and a real Chromium that opens pages from the disk."""

import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import kfc
from kfc import pages

SEARCH = {
    "training.epochs": 1,
    "network.hidden": [8],
    "search": {
        "trials": 9,
        "repeats": 2,
        "finalists": 2,
        "most_repeats": 2,
        "space": {
            "training.optimizer.learning_rate": {"low": 0.0001, "high": 0.1},
            "network.activation": {"choice": ["relu", "tanh"]},
        },
    },
}
SHORT = {"training.epochs": 3, "training.early_stopping": {"patience": 2}}


@contextmanager
def pages_on():
    """Writes pages within the `with` block."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(pages.SWITCH, raising=False)
        yield


@pytest.fixture(autouse=True)
def with_pages(monkeypatch):
    """The other tests fit without pages, see tests/conftest.py."""
    monkeypatch.delenv(pages.SWITCH, raising=False)


@pytest.fixture(scope="session")
def places(tmp_path_factory):
    return tmp_path_factory.mktemp("reporting")


@pytest.fixture(scope="session")
def digits_run(places):
    with pages_on():
        return kfc.fit("digits", overrides=SHORT, runs=places, verbose=False)


@pytest.fixture(scope="session")
def people():
    """A table with gaps, categories, a flag and a date, and a target of two classes."""
    rng = np.random.default_rng(0)
    rows = 400
    age = rng.normal(40, 12, rows)
    plan = rng.choice(["free", "basic", "pro"], rows)
    score = (age - 40) / 12 + (plan == "pro") + rng.normal(0, 0.7, rows)
    age[::17] = np.nan
    return pd.DataFrame(
        {
            "age": age.round(1),
            "plan": plan,
            "active": rng.random(rows) < 0.5,
            "joined": pd.to_datetime("2020-01-01")
            + pd.to_timedelta(rng.integers(0, 999, rows), "D"),
            "noise": rng.normal(size=rows),
            "target": np.where(score > 0.3, "leaves", "stays"),
        }
    )


@pytest.fixture(scope="session")
def table_run(places, people):
    spec = {"name": "people", "training": {"epochs": 10}, "data": {"target": "target"}}
    with pages_on():
        return kfc.fit(spec, data=people, runs=places, verbose=False)


@pytest.fixture(scope="session")
def diabetes_run(places):
    with pages_on():
        return kfc.fit("diabetes", overrides=SHORT, runs=places, verbose=False)


@pytest.fixture(scope="session")
def folds(places):
    with pages_on():
        short = {"training.epochs": 2}
        return kfc.cross_validate(
            "digits", folds=3, overrides=short, runs=places, verbose=False
        )


@pytest.fixture(scope="session")
def search(places):
    with pages_on():
        return kfc.tune("digits", overrides=SEARCH, runs=places, verbose=False)


@pytest.fixture(scope="session")
def average(places):
    """An average of two seeds."""
    overrides = {**SHORT, "training.members": 2}
    with pages_on():
        return kfc.fit("digits", overrides=overrides, runs=places, verbose=False)


@pytest.fixture(scope="session")
def comparison(places, digits_run):
    """The page of two runs on the same rows."""
    overrides = {**SHORT, "network.hidden": [16], "report": False}
    other = kfc.fit("digits", overrides=overrides, runs=places, verbose=False)
    return kfc.report(digits_run, other, path=places / "comparison.html")


@pytest.fixture(scope="session")
def browser():
    """Chromium without a network; skipped, and said so, where it is not installed."""
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        pytest.skip("no Chromium: `apt-get install chromium`")
    from playwright.sync_api import sync_playwright

    options = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
    options += ["--disable-background-networking", "--disable-component-update"]
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=program, args=options)
        yield started
        started.close()


@pytest.fixture(scope="session")
def axe(tmp_path_factory):
    """The script of axe-core, which npm installs for the tests alone."""
    if shutil.which("npm") is None:
        pytest.skip("no npm, which installs axe-core")
    folder = tmp_path_factory.mktemp("axe")
    command = [
        "npm",
        "install",
        "--silent",
        "--no-save",
        "--prefix",
        str(folder),
        "axe-core@4",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"npm could not install axe-core: {done.stderr[-200:]}")
    return (folder / "node_modules/axe-core/axe.min.js").read_text("utf-8")


class Opened:
    """A page in the browser, and what its console said."""

    def __init__(self, browser, path: Path, width: int, scheme: str, **options):
        self.context = browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme=scheme,
            offline=True,
            **options,
        )
        self.page = self.context.new_page()
        self.said: list[str] = []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("dialog", lambda dialog: self.said.append(f"dialog {dialog.message}"))
        self.page.on(
            "request",
            lambda request: (
                None
                if request.url.startswith(("file:", "data:"))
                else self.said.append(f"request {request.url}")
            ),
        )
        self.page.goto(path.as_uri())


@pytest.fixture
def opened(browser):
    """Opens pages, and closes them after the test."""
    contexts = []

    def open_page(path, width=1280, scheme="light", **options):
        found = Opened(browser, Path(path), width, scheme, **options)
        contexts.append(found.context)
        return found

    yield open_page
    for context in contexts:
        context.close()
