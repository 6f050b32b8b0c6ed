import ast
import contextlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import kfc
from kfc.spec import load_spec

kfc.fit  # noqa: B018 - imports TensorFlow the quiet way
from kfc.ejecting.refusals import ACTIVATIONS  # noqa: E402
from kfc.ejecting.script import MAX_COLUMNS, MAX_LINES, eject  # noqa: E402

EXPERIMENTS = Path(__file__).parents[2] / "experiments"
SLOW = pytest.mark.slow
SMALL = {"network.hidden": [16], "data.rows": 100, "training.loss": "mse"}
ALLOWED = {
    "csv",
    "gzip",
    "hashlib",
    "numpy",
    "os",
    "sklearn",
    "tensorflow",
    "tensorflow_datasets",
}
FORBIDS_KFC = (
    "import sys, runpy\n"
    "class No:\n"
    "    def find_spec(self, name, path=None, target=None):\n"
    "        if name.partition('.')[0] == 'kfc':\n"
    "            raise ImportError('this script stands alone')\n"
    "sys.meta_path.insert(0, No())\n"
    "runpy.run_path(sys.argv[1], run_name='__main__')\n"
)


@contextlib.contextmanager
def started(script, folder):
    """Runs the script in a process without kfc, beside the code of the `with` block."""
    path = folder / "script.py"
    path.write_text(script, "utf-8")
    environment = {k: v for k, v in os.environ.items() if k != "XLA_FLAGS"}
    command = [sys.executable, "-c", FORBIDS_KFC, str(path)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, env=environment, cwd=folder, **pipes) as process:
        try:
            yield process
        finally:
            process.kill()


def ended_with(process):
    """Returns the hash on the last line that the script prints."""
    printed, errors = process.communicate()
    assert process.returncode == 0, errors[-2000:]
    name, digest = printed.splitlines()[-1].split()
    assert name == "weights_sha256"
    return digest


def compare(spec, overrides, folder):
    script = eject(spec, overrides)
    with started(script, folder) as process:
        check_form(script)
        run = kfc.fit(spec, overrides=overrides, runs=folder / "runs", verbose=False)
        assert ended_with(process) == run.weights_sha256


def check_form(script):
    lines = script.splitlines()
    assert len(lines) <= MAX_LINES
    assert max(map(len, lines)) <= MAX_COLUMNS
    imported = set()
    for node in ast.walk(ast.parse(script)):
        if isinstance(node, ast.Import):
            imported |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(node.module.partition(".")[0])
    assert imported <= ALLOWED
    if ruff := shutil.which("ruff"):
        for command in (["format", "--diff"], ["check", "--select", "E,F,W,I,B,SIM,UP"]):
            done = subprocess.run(
                [ruff, *command, "--isolated", "--line-length", "95", "-"],
                input=script,
                capture_output=True,
                text=True,
            )
            assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("spec", "overrides"),
    [
        pytest.param("digits", {}, id="digits", marks=SLOW),
        pytest.param("breast_cancer", {}, id="breast_cancer", marks=SLOW),
        pytest.param("diabetes", {"training.engine": "xla"}, id="diabetes", marks=SLOW),
        pytest.param("digits", {**SMALL, "training.engine": "xla"}, id="small"),
    ],
)
def test_the_script_ends_with_the_weights_of_fit(spec, overrides, tmp_path):
    compare(spec, {"training.epochs": 2, **overrides}, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["xla", "graph"])
@pytest.mark.parametrize(
    "overrides",
    [
        {},
        {"training.optimizer": {"name": "sgd", "momentum": 0.9, "nesterov": True}},
        {"training.optimizer": {"name": "sgd", "momentum": 0.9, "weight_decay": 0.01}},
        {"training.optimizer": "tape_sgd"},
        {"training.optimizer": {"name": "tape_sgd", "weight_decay": 0.01}},
        {"training.optimizer": "rmsprop"},
        {"training.optimizer": {"name": "rmsprop", "weight_decay": 0.01}},
        {"training.optimizer": {"name": "adam", "beta_1": 0.8, "weight_decay": 0.01}},
        {"training.optimizer": {"name": "adam", "beta_2": 0.99, "epsilon": 1e-05}},
        {"network.hidden": [], "data.scale": "standard", "data.rows": 200},
        {"network.dropout": 0.3},
        {"network.dropout": 0.3, "network.hidden": [64]},
        {"network.normalization": "batch"},
        {"network.normalization": "batch", "network.hidden": [64, 10]},
        {"network.init": "glorot_uniform", "data.validation": 0.05, "seed": 7},
        {"network.hidden": [64, 10], "training.shuffle": False},
        {"network.hidden": [{"units": 16, "init": "glorot_normal"}, {"units": 8}]},
        {"network.l2": 0.01, "data.scale": "centered"},
        {"network.l2": 0.01, "network.hidden": [64, 32]},
        {"network.l1": 0.001, "network.l2": 0.01},
        {"network.l1": 0.001, "network.use_bias": False, "data.scale": "robust"},
        {"network.init": {"name": "truncated_normal", "stddev": 0.1}},
        {"network.init": "he_normal"},
        {"network.output_init": "zeros", "network.hidden": [64]},
        {"network.init": "orthogonal", "data.scale": "none"},
        {"network.init": {"name": "random_uniform", "minval": -0.1, "maxval": 0.1}},
        {"training.optimizer": {"name": "rmsprop", "rho": 0.8, "epsilon": 1e-05}},
        {"training.loss": "mse"},
        {"training.loss": "mse", "network.hidden": [64], "data.rows": 200},
        {"data.validation": 0},
        {"training.early_stopping": {"monitor": "val_loss", "patience": 1}},
        # XLA compiles all of so many epochs, of fewer the full batches alone.
        {"training.epochs": 500, "data.rows": 100, "network.hidden": [16]},
        {"data.rows": 64, "data.validation": 0, "training.batch_size": 80},
        *({"network.activation": name} for name in sorted(ACTIVATIONS)),
    ],
    ids=lambda overrides: ",".join(f"{k}={v}" for k, v in overrides.items()),
)
def test_what_else_can_be_ejected_gives_the_same_bits(overrides, engine, tmp_path):
    # Batches of 32 and one of 13 or 29.
    compare("digits", {"training.epochs": 2, "training.engine": engine, **overrides}, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["xla", "graph"])
@pytest.mark.parametrize("options", [{}, {"alpha": 0.1, "decay_epochs": 2}], ids=str)
def test_a_cosine_after_its_warmup_gives_the_same_bits(options, engine, tmp_path):
    cosine = {
        "name": "cosine",
        "initial_learning_rate": 0.01,
        "warmup_epochs": 1,
        **options,
    }
    overrides = {"training.optimizer.learning_rate": cosine, "training.engine": engine}
    compare("digits", {"training.epochs": 4, **overrides}, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["xla", "graph"])
@pytest.mark.parametrize("spec", ["mnist", "fashion_mnist"])
def test_images_from_tfds_give_the_same_bits(spec, engine, prepared_tfds, tmp_path):
    compare(spec, {"training.epochs": 1, "training.engine": engine}, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["digits", "breast_cancer", "diabetes"])
def test_embedded_specs_in_full_give_the_same_bits(name, tmp_path):
    compare(name, {}, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize(
    "spec",
    [
        "mnist",
        "fashion_mnist",
        EXPERIMENTS / "first_run" / "spec.yaml",
        EXPERIMENTS / "fashion_mnist" / "spec.yaml",
        EXPERIMENTS / "handwritten_forward" / "spec.yaml",
        EXPERIMENTS / "handwritten_layers" / "spec.yaml",
        EXPERIMENTS / "tune_accuracy" / "mnist.yaml",
        EXPERIMENTS / "tune_accuracy" / "fashion_mnist.yaml",
    ],
    ids=str,
)
def test_specs_of_images_in_full_give_the_same_bits(spec, prepared_tfds, tmp_path):
    checked = load_spec(spec if isinstance(spec, str) else str(spec))
    compare(checked.model_copy(update={"search": None}), {}, tmp_path)


@pytest.mark.slow
def test_the_network_of_numpy_autodiff_gives_the_same_bits(idx_datasets, tmp_path):
    source = {"data.source": f"idx:{idx_datasets / 'mnist'}"}
    compare(str(EXPERIMENTS / "numpy_autodiff" / "spec.yaml"), source, tmp_path)


@pytest.mark.parametrize(
    "overrides",
    [
        {"training.engine": "xla"},
        pytest.param({"data.missing": "mean", "data.scale": "robust"}, marks=SLOW),
        pytest.param(
            {"data.columns.fee": "ignore", "data.columns.visits": "ignore"}, marks=SLOW
        ),
        pytest.param({"data.columns.plan": "ignore", "data.scale": "none"}, marks=SLOW),
        pytest.param(
            {"data.target": "visits", "data.task": "regression", "data.scale_target": "none"},
            marks=SLOW,
        ),
    ],
    ids=str,
)
def test_a_table_gives_the_same_bits(overrides, customers, tmp_path):
    spec = {
        "data": {"source": f"csv:{customers}", "target": "late", "rows": 100},
        "network": {"hidden": [16]},
        "training": {"epochs": 2},
    }
    compare(spec, overrides, tmp_path)


@pytest.mark.slow
def test_idx_files_are_read_without_kfc(idx_datasets, tmp_path):
    source = {"data.source": f"idx:{idx_datasets / 'mnist'}", "data.rows": 1000}
    compare("mnist", {"training.epochs": 1, **source}, tmp_path)


def test_layers_with_different_initializers_name_each_of_them():
    hidden = [{"units": 8, "init": "zeros"}, {"units": 8}]
    script = eject("digits", {"network.hidden": hidden})
    check_form(script)
    assert "initializers.Zeros()((64, 8))" in script
    assert script.count("initializers.HeNormal(seed=") == 2
