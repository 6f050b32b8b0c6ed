import importlib
import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parent.parent / "experiments" / "benchmarks"

needs_matplotlib = pytest.mark.skipif(
    importlib.util.find_spec("matplotlib") is None,
    reason="install the extra `benchmarks` to draw",
)

MACHINE = {
    "processor": "A processor",
    "cores": 2,
    "avx512": True,
    "gpus": [],
    "blas": "openblas 0.3, Haswell kernels",
    "system": "Linux x86_64",
    "python": "3.11.0",
    "versions": {"numpy": "2.0", "jax": "not installed"},
    "date": "2026-01-01 00:00 UTC",
}

# Contender -> samples per second of each round, on W2.
RATES = {
    "matmuls_numpy": (400_000, 300_000, 500_000),
    "matmuls_tensorflow": (200_000, 400_000, 100_000),
    "kfc": (300_000, 200_000, 250_000),
    "keras": (100_000, 100_000, 125_000),
    "numpy": (200_000, 50_000, 250_000),
}


@pytest.fixture
def module(experiment):
    """Imports a file of experiments/benchmarks as its own commands do."""
    return lambda name: experiment("benchmarks", name)


def measurement(number, contender, workload, rate, **work):
    return {
        **work,
        "round": number,
        "contender": contender,
        "workload": workload,
        "samples_per_second": rate,
        "first_epoch_seconds": 1.0,
        "first_loss": 2.3,
        "last_loss": 0.3,
        "settings": "xla" if contender == "kfc" else "",
        "peak_memory_mb": 100 * number,
    }


def results(rates=RATES, **skipped):
    found = [
        measurement(number, contender, "W2", rate)
        for contender, row in rates.items()
        for number, rate in enumerate(row, start=1)
    ]
    found += [measurement(n, "kfc", "W2-dropout", 0.9 * RATES["kfc"][n - 1]) for n in (1, 2)]
    return {
        "machine": MACHINE,
        "seconds": 3.0,
        "rows": None,
        "skipped": skipped,
        "measurements": found,
    }


def test_the_bound_and_the_best_peer_are_the_fastest_of_each_round(module):
    rates = module("report").rates_of(results(), "W2")
    assert rates["matmuls"] == {1: 400_000, 2: 400_000, 3: 500_000}
    assert rates["best peer"] == {1: 200_000, 2: 100_000, 3: 250_000}


def test_ratios_are_taken_within_rounds(module):
    report = module("report")
    rates = report.rates_of(results(), "W2")
    assert report.ratio(rates, "kfc", "matmuls") == [0.75, 0.5, 0.5]
    assert report.ratio(rates, "kfc", "keras") == [3.0, 2.0, 2.0]
    assert report.ratio(rates, "kfc", "nobody") == []


def test_peers_in_the_same_work_are_apart_from_peers_as_called(module):
    report, found = module("report"), results()
    for number, rate in enumerate((150_000, 40_000, 125_000), start=1):
        found["measurements"].append(measurement(number, "numpy", "W2", rate, same_work=True))
    for m in found["measurements"]:
        if m["contender"] in ("keras", "numpy"):
            m.setdefault("same_work", False)
    called = report.rates_of(found, "W2")
    same = report.rates_of(found, "W2", same_work=True)
    assert called["best peer"] == {1: 200_000, 2: 100_000, 3: 250_000}
    assert same["best peer"] == {1: 150_000, 2: 40_000, 3: 125_000}
    assert same["kfc"] == called["kfc"]
    text = report.table(found)
    assert "| NumPy by hand; same work | 125 (40.0 to 150) |" in text
    assert "| over the best peer of the round; same work | 2.00 (2.00 to 5.00) |" in text


def test_scores_that_differ_from_those_of_the_weights_are_refused(module):
    np = importlib.import_module("numpy")
    measuring = module("measuring")
    workload = module("workloads").WORKLOADS["W4"]
    generator = np.random.default_rng(0)
    x, y = generator.random((100, 64), np.float32), generator.integers(0, 10, 100)
    rows, weights = module("data").Data(x, y, x, y), measuring.start_weights(workload)
    logits = measuring.logits_of(weights, rows.test_inputs())
    loss = measuring.loss_of(logits, rows.test_targets("cross_entropy"), "cross_entropy")
    accuracy = measuring.accuracy_of(logits, y)
    measuring.Scores(0.5, loss, accuracy).check(weights, workload, rows)
    with pytest.raises(RuntimeError, match="evaluates wrongly"):
        measuring.Scores(0.5, loss + 0.1, accuracy).check(weights, workload, rows)
    with pytest.raises(RuntimeError, match="evaluates wrongly"):
        measuring.Scores(0.5, loss, accuracy - 0.1).check(weights, workload, rows)
    with pytest.raises(RuntimeError, match="counts wrongly"):
        measuring.Scores(0.0, loss, accuracy).check(weights, workload, rows)


def test_a_round_that_lacks_one_of_the_two_gives_no_ratio(module):
    report = module("report")
    rates = report.rates_of(results({**RATES, "keras": RATES["keras"][:2]}), "W2")
    assert report.ratio(rates, "kfc", "keras") == [3.0, 2.0]


def test_the_table_has_medians_spreads_and_ratios(module):
    text = module("report").table(results())
    assert "| kfc.fit | 250 (200 to 300) |" in text
    assert "| of the bare matrix products | 0.50 (0.50 to 0.75) |" in text
    assert "| over Keras fit, defaults | 2.00 (2.00 to 3.00) |" in text
    assert "| over the best peer of the round | 1.50 (1.00 to 2.00) |" in text
    assert "| fastest bare products | products, NumPy |" in text
    assert "| fastest peer | NumPy by hand |" in text
    assert "| bare products, GFLOP/s | 403 |" in text
    assert "dropout 0.2 | 225 (180 to 270) | 0.90 (0.90 to 0.90) |" in text
    assert "| kfc.fit | 1.00 | 200 |" in text
    assert "kfc.fit: xla (W2, W2-dropout)" in text


def test_a_contender_that_is_not_installed_is_listed_as_such(module):
    assert "| JAX, scan over the epoch | not installed |" in module("report").table(
        results(jax="not installed")
    )


def test_what_cannot_run_here_is_skipped_with_a_reason(module, monkeypatch):
    run = module("run")
    absent = run.importlib.util.find_spec
    monkeypatch.setattr(
        run.importlib.util, "find_spec", lambda name: None if name == "jax" else absent(name)
    )
    names = ("kfc", "jax", "numpy_skylakex")
    default = {**MACHINE, "blas": "openblas 0.3, SkylakeX kernels"}
    assert run.reasons_to_skip(names, MACHINE) == {"jax": "not installed"}
    assert "are the default" in run.reasons_to_skip(names, default)["numpy_skylakex"]
    older = {**MACHINE, "avx512": False}
    assert "do not run here" in run.reasons_to_skip(names, older)["numpy_skylakex"]


def test_the_command_line_takes_names_and_beginnings_of_names(module, capsys):
    parse = module("run").parse
    arguments = parse(["--small", "--only", "W2,W4", "--contenders", "keras,matmuls"])
    assert arguments.only == ["W2", "W4"]
    assert arguments.contenders == [
        "matmuls_numpy",
        "matmuls_numpy_skylakex",
        "matmuls_tensorflow",
        "keras",
    ]
    assert (arguments.rounds, arguments.seconds, arguments.rows) == (1, 0.2, 2000)
    with pytest.raises(SystemExit):
        parse(["--contenders", "karas"])
    assert "unknown karas" in capsys.readouterr().err


@needs_matplotlib
def test_table_numbers_and_plot_are_written(module, tmp_path):
    module("report").write(results(), tmp_path / "new")
    assert json.loads((tmp_path / "new" / "results.json").read_text())["machine"] == MACHINE
    assert (tmp_path / "new" / "results.md").read_text().startswith("# Samples per second")
    assert (tmp_path / "new" / "results.png").read_bytes().startswith(b"\x89PNG")


def test_the_operations_of_a_step_leave_out_the_product_into_the_input(module):
    digits = module("workloads").WORKLOADS["W4"]
    assert digits.operations() == 2 * 32 * (2 * 64 * 32 + 3 * 32 * 10)


@pytest.mark.parametrize(
    ("first_loss", "last_loss"), [(1.0, 1.0), (1.0, 2.0), (1.0, float("nan"))]
)
def test_a_loss_that_does_not_go_down_is_refused(module, first_loss, last_loss):
    measured = module("measuring").Measurement(1.0, 1.0, first_loss, last_loss)
    with pytest.raises(RuntimeError, match="does not learn"):
        measured.check()


def test_numpy_by_hand_follows_the_gradient_of_the_checked_loss(module):
    """A step moves the checked loss by what its own gradient says: -rate * |gradient|^2."""
    np = importlib.import_module("numpy")
    workload = module("workloads").Workload("tiny", (5,), "cross_entropy", "sgd", 8, "digits")
    generator = np.random.default_rng(0)
    x = generator.random((8, 64), np.float32)
    x[0, 0], y = 1.0, generator.integers(0, 10, 8)
    rows = module("data").Data(x, y, x, y)
    network = module("contenders.numpy")._Network(workload)
    measuring = module("measuring")
    before = measuring.training_loss(network.weights, workload, rows)
    start = np.concatenate([weight.ravel() for weight in network.weights])
    network.step(rows.inputs(), rows.targets("mse"), np.arange(8))
    after = measuring.training_loss(network.weights, workload, rows)
    moved = np.concatenate([weight.ravel() for weight in network.weights]) - start
    expected = -np.sum(moved.astype(np.float64) ** 2) / workload.learning_rate
    assert after - before == pytest.approx(expected, rel=0.05)


@pytest.mark.slow
def test_the_command_measures_the_digits(tmp_path):
    command = [sys.executable, BENCHMARKS / "run.py", "--small", "--rounds", "1"]
    chosen = ["--only", "W4", "--contenders", "matmuls_numpy,numpy,kfc", "--out", tmp_path]
    subprocess.run([*command, *chosen], check=True)
    found = json.loads((tmp_path / "results.json").read_text())
    measured = [(m["contender"], m.get("same_work")) for m in found["measurements"]]
    assert measured == [
        ("matmuls_numpy", None),
        ("kfc", None),
        ("numpy", False),
        ("numpy", True),
    ]
    assert all(m["samples_per_second"] > 0 for m in found["measurements"])
