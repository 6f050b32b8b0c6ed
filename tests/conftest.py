"""What several tests share: an experiment's script, and where the real data sets are."""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

# Whoever starts the tests in the background may let them ignore Ctrl-C, and with them all
# processes that they start.
signal.signal(signal.SIGINT, signal.default_int_handler)

# There is a process of tests for each core: NumPy's threads would only wait for each other.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# Thousands of tests fit a network; those of its page (tests/reporting) switch pages on.
os.environ.setdefault("KFC_REPORT", "off")

EXPERIMENTS = Path(__file__).parent.parent / "experiments"

LONG_TESTS = frozenset(json.loads(Path(__file__).with_name("long_tests.json").read_text()))


class _ByFolder(LoadScopeScheduling):
    """The tests of a folder below `tests`, or else of a file, run in one process.

    They share runs, exports and compiled steps, which another process would make again.
    """

    def _split_scope(self, nodeid: str) -> str:
        return "/".join(nodeid.partition("::")[0].split("/")[:2])


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> _ByFolder:
    return _ByFolder(config, log)


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int | None:
    """Returns 0 if the command line names tests of one folder or file alone, else None.

    Such tests run in one process anyway, and a worker would import TensorFlow once more. With
    None xdist starts a process per core. `-n` given by hand and xdist's own variable win.
    """
    by_hand = any(
        word.startswith(("-n", "--numproc")) for word in config.invocation_params.args
    )
    if by_hand or os.environ.get("PYTEST_XDIST_AUTO_NUM_WORKERS"):
        return None
    tests, scopes = Path(__file__).parent, set()
    for argument in config.args:
        path = (config.invocation_params.dir / argument.partition("::")[0]).resolve()
        if tests not in path.parents:
            return None
        scopes.add(path.relative_to(tests).parts[0])
    return 0 if len(scopes) == 1 else None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the tests that take long, as `tests/long_tests.py` has measured them."""
    for item in items:
        if item.nodeid in LONG_TESTS:
            item.add_marker("long")


def _folder(variable: str, how: str) -> Path:
    value = os.environ.get(variable)
    if not value:
        pytest.skip(f"{variable} is not set: {how}")
    return Path(value)


@pytest.fixture(scope="session")
def experiment() -> Iterator[Callable[..., ModuleType]]:
    """Imports a script of an experiment, by the names of its folder and of the script.

    As when it is run, the scripts beside it can be imported until the next one is; those of
    other experiments, of the same names, are forgotten.
    """

    def leave(but: Path | None = None) -> None:
        sys.path[:] = [path for path in sys.path if Path(path).parent != EXPERIMENTS]
        for name, module in list(sys.modules.items()):
            folders = Path(getattr(module, "__file__", None) or "/").parents
            if EXPERIMENTS in folders and but not in folders:
                del sys.modules[name]

    def imported(name: str, script: str = "run") -> ModuleType:
        leave(but=EXPERIMENTS / name)
        sys.path.insert(0, str(EXPERIMENTS / name))
        return importlib.import_module(script)

    yield imported
    leave()


@pytest.fixture(scope="session")
def packages_apart(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Installs packages, with those that they need, into a folder for `PYTHONPATH`.

    It is for large packages that one slow test alone needs: they are no part of `[test]`.
    """
    folders: dict[tuple[str, ...], Path] = {}

    def installed(*packages: str) -> Path:
        if packages not in folders:
            folder = folders[packages] = tmp_path_factory.mktemp("packages")
            command = [sys.executable, "-m", "pip", "install", "--quiet", "--use-pep517"]
            subprocess.run([*command, "--target", str(folder), *packages], check=True)
        return folders[packages]

    return installed


@pytest.fixture(scope="session")
def unasked() -> Callable[[], AbstractContextManager[None]]:
    """A context in which exports are not asked by a fresh process, which takes seconds."""

    @contextmanager
    def context() -> Iterator[None]:
        from kfc.exporting import certificate

        def compare(folder: Any, exporter: Any, sample: Any, task: Any, **options: Any) -> Any:
            return certificate.Parity(len(sample.x), (), 0, 0.0, certificate.LIMIT, 0)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(certificate, "compare_with_run", compare)
            yield

    return context


@pytest.fixture(scope="session")
def prepared_tfds() -> Path:
    """A folder of prepared tensorflow-datasets, with mnist and fashion_mnist in it."""
    return _folder(
        "TFDS_DATA_DIR",
        'set it to a folder and run `python -c "import tensorflow_datasets as t; '
        "t.load('mnist'); t.load('fashion_mnist')\"` once, with a network",
    )


@pytest.fixture(scope="session")
def idx_datasets() -> Path:
    """A folder with the folders mnist and fashion-mnist of IDX files in it."""
    return _folder(
        "KFC_DATASETS",
        "set it to a folder with MNIST's four IDX files in its folder mnist "
        "(Debian's dataset-fashion-mnist installs fashion-mnist)",
    )


@pytest.fixture(scope="session")
def table_datasets() -> Path:
    """A folder of real tables, each a CSV file."""
    how = "set it to a folder whose folder `tables` has credit_scoring.csv, adult.csv and more"
    folder = _folder("KFC_DATASETS", how) / "tables"
    if not folder.is_dir():
        pytest.skip(f"{folder} does not exist: {how}")
    return folder


@pytest.fixture(scope="session")
def only_finding() -> Callable[..., Any]:
    """Returns the one finding that a call raises, with all four parts."""

    def call_refused(
        error: type[Any], call: Callable[..., Any], *given: Any, **named: Any
    ) -> Any:
        with pytest.raises(error) as caught:
            call(*given, **named)
        (finding,) = caught.value.findings
        assert finding.where
        assert finding.expected
        assert finding.got
        assert finding.remedy
        return finding

    return call_refused
