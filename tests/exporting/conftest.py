"""Runs to export: an image, a table with names that nobody would choose, a regression."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import kfc
from kfc.exporting import certificate, formats

CLASS_NAMES = ("no <b>", "yes, naïve \n|x|")
FEATURE_NAMES = ("sepal length (cm)", "class", "a b", "a_b")


def image_case():
    """Pixels, as uint8; batch normalisation, dropout, gelu and celu inside."""
    generator = np.random.default_rng(0)
    y = generator.integers(0, 3, 300)
    x = generator.integers(0, 256, (300, 5, 4, 1)) // (y + 1)[:, None, None, None]
    spec = {
        "name": "image",
        "data": {"scale": "unit"},
        "network": {
            "hidden": [16, {"units": 8, "activation": "celu"}],
            "activation": "gelu",
            "normalization": "batch",
            "dropout": 0.2,
        },
        "training": {"epochs": 2},
    }
    return spec, (x.astype(np.uint8), y)


def table_case():
    """Two classes, one logit, features of very different size."""
    generator = np.random.default_rng(0)
    x = pd.DataFrame(generator.normal(size=(300, 4)), columns=list(FEATURE_NAMES))
    y = np.where(x["class"] + x["a b"] > 0, CLASS_NAMES[1], CLASS_NAMES[0])
    x["sepal length (cm)"] = x["sepal length (cm)"] * 1e3 + 1e5
    spec = {
        "name": "table",
        "data": {"scale": "standard"},
        "network": {"hidden": [8]},
        "training": {"epochs": 2, "loss": "binary_crossentropy"},
    }
    return spec, (x, y)


def quantile_case():
    """A table whose numbers are scaled by their quantiles, and by learned factors."""
    spec, data = table_case()
    factors = {"hidden": [8], "input_scale": True, "parametric_activation": True}
    changed = {"name": "quantiles", "data": {"scale": "quantile"}, "network": factors}
    return {**spec, **changed}, data


def members_case():
    """A table whose network has members, with one logit each."""
    spec, data = table_case()
    shared = {"hidden": [8, 6], "members": 3, "dropout": 0.1}
    return {**spec, "name": "members", "network": shared}, data


def embedded_case(kind):
    """A table whose numbers are embedded, by waves or by pieces between quantiles."""
    spec, data = table_case()
    network = {"hidden": [8], "numeric_embedding": f"{kind}_linear"}
    return {**spec, "name": kind, "network": network}, data


@pytest.fixture(scope="session")
def cases():
    """Kind -> a spec and its data; the last one is disease progression, in its own units."""
    return {
        "image": image_case(),
        "table": table_case(),
        "quantiles": quantile_case(),
        "members": members_case(),
        "periodic": embedded_case("periodic"),
        "piecewise": embedded_case("piecewise"),
        "regression": ("diabetes", None),
    }


def fitted(case, folder):
    spec, data = case
    overrides = {"training.epochs": 2}
    return kfc.fit(spec, overrides=overrides, data=data, runs=folder, verbose=False)


@pytest.fixture(scope="session")
def image(cases, tmp_path_factory):
    return fitted(cases["image"], tmp_path_factory.mktemp("image"))


@pytest.fixture(scope="session")
def table(cases, tmp_path_factory):
    return fitted(cases["table"], tmp_path_factory.mktemp("table"))


@pytest.fixture(scope="session")
def quantiles(cases, tmp_path_factory):
    return fitted(cases["quantiles"], tmp_path_factory.mktemp("quantiles"))


@pytest.fixture(scope="session")
def members(cases, tmp_path_factory):
    return fitted(cases["members"], tmp_path_factory.mktemp("members"))


@pytest.fixture(scope="session")
def periodic(cases, tmp_path_factory):
    return fitted(cases["periodic"], tmp_path_factory.mktemp("periodic"))


@pytest.fixture(scope="session")
def piecewise(cases, tmp_path_factory):
    return fitted(cases["piecewise"], tmp_path_factory.mktemp("piecewise"))


@pytest.fixture(scope="session")
def regression(cases, tmp_path_factory):
    return fitted(cases["regression"], tmp_path_factory.mktemp("regression"))


class WarmProcess:
    """A process without kfc and Keras that has imported TensorFlow, and forks for each script.

    It starts with the first script.
    """

    def __init__(self):
        self._process = None

    def run(self, script, *arguments):
        """Runs a script, and returns how it ended, as `subprocess.run` does."""
        if self._process is None:
            program = Path(__file__).with_name("warm_process.py")
            self._process = subprocess.Popen(
                [sys.executable, "-P", str(program)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": ""},
            )
        print(json.dumps([str(script), *map(str, arguments)]), file=self._process.stdin)
        self._process.stdin.flush()
        code, stdout, stderr = json.loads(self._process.stdout.readline())
        return subprocess.CompletedProcess(arguments, code, stdout, stderr)

    def run_probe(self, *arguments):
        """Runs `probe.py`, whose parent is this process."""
        return self.run(certificate._PROBE, "PARENT", *arguments)

    def close(self):
        """Ends the process."""
        if self._process is not None:
            self._process.stdin.close()
            self._process.wait()
            self._process.stdout.close()


@pytest.fixture(scope="session")
def warm_process():
    process = WarmProcess()
    yield process
    process.close()


@pytest.fixture(scope="module", autouse=True)
def _warm_probes(warm_process):
    """Lets one process import TensorFlow for all SavedModels that are asked; it takes seconds.

    The other formats, and `tests/test_testing.py`, have a fresh process for each export.
    """
    fresh = certificate._run_probe

    def run_probe(runtime, *arguments):
        is_built_in = runtime == formats.SAVED_MODEL.runtime
        return (warm_process.run_probe if is_built_in else fresh)(runtime, *arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(certificate, "_run_probe", run_probe)
        yield


@pytest.fixture(scope="session")
def exported(request, tmp_path_factory):
    """The export of a run by the name of its fixture, made once."""

    @functools.cache
    def export(kind, format="saved_model"):
        run = request.getfixturevalue(kind)
        path = tmp_path_factory.mktemp("models") / kind
        return kfc.export(run, path, format=format, verbose=False)

    return export
