import json
import math
import statistics
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import kfc
from kfc.errors import DataError, NumbersError

EXPERIMENTS = Path(__file__).parent.parent / "experiments"
TUTORIALS = ("handwritten_forward", "handwritten_layers", "himmelblau", "fashion_mnist")


def kept(name, file="measured.json"):
    return json.loads((EXPERIMENTS / name / file).read_text("utf-8"))


def check(found, bounds, where=""):
    """Checks that every number lies where expected.json says, however deep."""
    if "low" in bounds:
        assert found, where
        for value in found:
            assert bounds["low"] <= value <= bounds["high"], where
    else:
        for key, inner in bounds.items():
            check(found[key], inner, f"{where} {key}")


def last(measured):
    *_, found = measured
    return found


# --- what was recorded --------------------------------------------------------------------


def row(*cells):
    return "| " + " | ".join(cells) + " |"


def listed(values, form=".4f"):
    return ", ".join(f"{value:{form}}" for value in values)


def with_median(values, form=".4f"):
    return f"{listed(values, form)}; median {statistics.median(values):{form}}"


def reached(values):
    return ", ".join("-" if value is None else f"{value:g}" for value in values)


def rows_of_forward(found):
    for step in ("100", "500", "1000", "2000", "3000", "4000", "4600"):
        yield row(f"{int(step):,}", listed(found["batch_loss"][step]))
    yield row("train accuracy, epoch 10", with_median(found["train_accuracy"]))
    yield row("test accuracy, epoch 10", with_median(found["test_accuracy"]))
    yield row("seconds", listed(found["seconds"], ".1f"))


def rows_of_layers(found):
    for case in ("raw_refused", "raw", "stddev_1"):
        losses = [loss for loss in found[case]["first_loss"] if loss is not None]
        (code,), ends = set(found[case]["exit_code"]), sorted(set(found[case]["error"]))
        yield row(f"`{case}`", listed(losses, ".1e") or "none", f"{code}: {'; '.join(ends)}")
    for case in ("steady", "cross_entropy"):
        if case in found:
            points = ("test_accuracy_at_50", "test_accuracy_at_180", "test_accuracy")
            yield row(f"`{case}`", *(listed(found[case][point]) for point in points))
            yield row(f"`{case}`", listed(found[case]["train_accuracy"]))
            yield from found[case]["log"][0]
    for case in ("steady", "cross_entropy", "mnist_spec"):
        if case in found:
            goals = ("epochs_to_0.90", "seconds_to_0.90", "epochs_to_0.93", "seconds_to_0.93")
            numbers = (reached(found[case][goal]) for goal in goals)
            yield row(f"`{case}`", *numbers, listed(found[case]["seconds_per_epoch"], ".2f"))
    for case in ("full_batch", "mini_batch", "single_example"):
        losses, accuracies = found[case]["test_loss"], found[case]["test_accuracy"]
        seconds = found[case]["seconds_per_epoch"]
        numbers = with_median(losses), with_median(accuracies), listed(seconds, ".2f")
        yield row(f"`{case}`", *numbers)


def rows_of_himmelblau(found):
    starts = list(next(iter(found.values())))
    yield row("optimizer", *starts)
    for name, reports in found.items():
        yield row(f"`{name}`", *(_where(report) for report in reports.values()))


def _where(report):
    if report["minimum"]:
        return f"{report['minimum']}, {report['steps']}"
    return "to infinity" if report["end"] is None else f"height {report['height']:g}"


def rows_of_fashion(found):
    for step in ("500", "1000", "2000", "5000", "10000", "15000", "18000"):
        yield row(f"{int(step):,}", listed(found["by_step"][step]))
    yield row("at best", with_median(found["best"]))
    yield row("at the end", with_median(found["test_accuracy"]))
    yield row("seconds", listed(found["seconds"], ".1f"))


ROWS = (rows_of_forward, rows_of_layers, rows_of_himmelblau, rows_of_fashion)


@pytest.mark.parametrize(("name", "rows"), list(zip(TUTORIALS, ROWS, strict=True)))
def test_the_tables_of_the_readme_are_what_the_script_recorded(name, rows):
    readme = (EXPERIMENTS / name / "README.md").read_text("utf-8")
    for line in rows(kept(name)):
        assert line in readme


@pytest.mark.parametrize("name", [name for name in TUTORIALS if name != "himmelblau"])
def test_the_recorded_numbers_are_the_expected_ones(name):
    bounds = kept(name, "expected.json")
    del bounds["small"]
    check(kept(name), bounds)


def test_the_recorded_minima_are_the_expected_ones():
    assert minima(kept("himmelblau")) == kept("himmelblau", "expected.json")


def minima(reports):
    """Returns optimizer -> the minimum from each start, in the order of the starts."""
    return {
        name: [report["minimum"] for report in starts.values()]
        for name, starts in reports.items()
    }


@pytest.mark.parametrize("name", TUTORIALS)
def test_a_script_has_at_most_40_lines(name):
    assert len((EXPERIMENTS / name / "run.py").read_text("utf-8").splitlines()) <= 40


# --- small runs ---------------------------------------------------------------------------


@pytest.mark.slow
def test_the_forward_pass_learns_on_a_slice(experiment, prepared_tfds):
    found = experiment("handwritten_forward").measure()
    check(found, kept("handwritten_forward", "expected.json")["small"])


def test_the_loop_as_it_is_written_by_hand_has_the_same_losses(tmp_path):
    generator = np.random.default_rng(0)
    pixels = generator.integers(0, 256, (300, 28, 28), np.uint8)
    labels = generator.integers(0, 10, 300)
    labels[:10] = range(10)
    spec = EXPERIMENTS / "handwritten_forward" / "spec.yaml"
    start = kfc.build(spec, input_shape=(28, 28), classes=10).get_weights()

    w1, b1, w2, b2, w3, b3 = map(tf.Variable, start)
    losses = []
    for first in range(0, 300, 128):
        x = tf.cast(pixels[first : first + 128].reshape(-1, 784), tf.float32) / 255.0
        y = tf.one_hot(labels[first : first + 128], depth=10)
        with tf.GradientTape() as tape:
            h1 = tf.nn.relu(x @ w1 + b1)
            h2 = tf.nn.relu(h1 @ w2 + b2)
            loss = tf.reduce_mean(tf.square(y - (h2 @ w3 + b3)))
        for w, g in zip(
            (w1, b1, w2, b2, w3, b3),
            tape.gradient(loss, (w1, b1, w2, b2, w3, b3)),
            strict=True,
        ):
            w.assign_sub(1e-3 * g)
        losses.append(float(loss))

    changes = {"training.epochs": 1, "training.log_every": 1, "data.source": None}
    data = ((pixels, labels), (pixels, labels))
    run = kfc.fit(spec, overrides=changes, data=data, runs=tmp_path, verbose=False)
    lines = map(json.loads, (run.folder / "metrics.jsonl").read_text("utf-8").splitlines())
    logged = [line["batch_loss"] for line in lines if "batch_loss" in line]
    np.testing.assert_allclose(logged, losses, rtol=1e-5)


def test_variables_that_become_tensors_have_no_gradient(experiment):
    found = experiment("handwritten_layers").show_bugs()
    assert found["w = w - lr * g"] == [{"gradient": [True, False], "w": "Tensor"}]
    assert found["w.assign_sub(lr * g)"] == [{"gradient": [True, True], "w": "Variable"}]


def test_int32_labels_do_not_compare_with_int64_predictions(experiment):
    found = experiment("handwritten_layers").show_bugs()
    assert found["int64 == int32"] == ["InvalidArgumentError"]
    assert found["int64 == int64"] == [0.5]


@pytest.mark.slow
def test_unscaled_or_large_starts_explode_as_in_the_tutorial(experiment, prepared_tfds):
    cases = ("raw_refused", "raw", "stddev_1")
    found = last(experiment("handwritten_layers").measure(only=cases))
    assert found["raw_refused"]["exit_code"] == [DataError.exit_code]
    assert found["raw_refused"]["batch_losses"] == [[]]
    assert "got 85" in found["raw_refused"]["error"][0]
    for case in ("raw", "stddev_1"):
        assert found[case]["exit_code"] == [NumbersError.exit_code]
        assert found[case]["error"][0].endswith("got NaN or infinity")
        check(found[case], kept("handwritten_layers", "expected.json")[case])
        assert not math.isfinite(float(found[case]["batch_losses"][0][-1]))


@pytest.mark.slow
def test_one_row_at_a_time_learns_most_from_an_epoch(experiment, prepared_tfds):
    cases = ("full_batch", "mini_batch", "single_example")
    found = last(experiment("handwritten_layers").measure(only=cases))
    full, mini, single = (found[case]["test_loss"][0] for case in cases)
    assert full > mini > single
    check(found, kept("handwritten_layers", "expected.json")["small"])


def test_sgd_and_momentum_reach_their_minima_from_the_tutorials_start(experiment):
    reports, paths = experiment("himmelblau").measure()
    assert minima(reports) == {"tape_sgd": ["C"], "momentum": ["B"], "adam": [None]}
    assert all(path.shape == (201, 2) for path in paths.values())
    assert reports["tape_sgd"] == {"(-4, 0)": kept("himmelblau")["tape_sgd"]["(-4, 0)"]}


def test_the_path_is_gradient_descent(experiment):
    _, paths = experiment("himmelblau").measure()
    x, y = -4.0, 0.0
    for step in range(10):
        np.testing.assert_allclose(paths["tape_sgd"][step], (x, y), rtol=1e-4)
        across, along = x**2 + y - 11, x + y**2 - 7
        x, y = (
            x - 0.01 * (4 * x * across + 2 * along),
            y - 0.01 * (2 * across + 4 * y * along),
        )


def test_a_plug_in_descends_too(experiment, tmp_path, monkeypatch):
    (tmp_path / "jumping.py").write_text(
        "import keras\n"
        "class Jump(keras.optimizers.Optimizer):\n"
        "    def __init__(self, learning_rate=0.01, x=3.0, y=2.0):\n"
        "        super().__init__(learning_rate=learning_rate)\n"
        "        self.place = (x, y)\n"
        "    def update_step(self, gradient, variable, learning_rate):\n"
        "        self.assign(variable, keras.ops.convert_to_tensor(self.place))\n"
    )
    info = tmp_path / "jumping-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: jumping\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[kfc.optimizers]\njump = jumping:Jump\n")
    monkeypatch.syspath_prepend(tmp_path)
    others = {"yours": {"name": "jump", "learning_rate": 0.5}}
    reports, _ = experiment("himmelblau").measure(others=others)
    found = reports["yours"]["(-4, 0)"]
    assert (found["minimum"], found["steps"], found["height"]) == ("A", 1, 0.0)


def test_the_pictures_are_drawn(experiment, tmp_path):
    pytest.importorskip("matplotlib")
    _, paths = experiment("himmelblau").measure()
    import picture

    picture.draw(paths, tmp_path)
    for name in ("surface.png", "contours.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
        assert (EXPERIMENTS / "himmelblau" / name).read_bytes().startswith(b"\x89PNG")


@pytest.mark.slow
def test_fashion_mnist_is_evaluated_every_500_steps(experiment, prepared_tfds):
    found = experiment("fashion_mnist").measure()
    assert list(found["by_step"]) == ["500"]
    check(found, kept("fashion_mnist", "expected.json")["small"])
    endless = found["endless"]
    assert endless["steps per epoch"] == 600
    assert endless["for x, y in batches"] == endless["network.fit(batches)"] == 601
    assert endless["kfc.fit(data=batches)"].startswith("exit code 4: data: expected a data")


# --- full runs ----------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("name", ["handwritten_forward", "fashion_mnist"])
def test_each_reaches_its_numbers_in_full(experiment, name, prepared_tfds):
    bounds = kept(name, "expected.json")
    del bounds["small"]
    check(experiment(name).measure(full=True), bounds)


@pytest.mark.slow
def test_every_case_of_the_layers_reaches_its_numbers(experiment, prepared_tfds):
    bounds = kept("handwritten_layers", "expected.json")
    del bounds["small"]
    check(last(experiment("handwritten_layers").measure(full=True)), bounds)


@pytest.mark.slow
def test_every_optimizer_ends_where_the_table_says(experiment):
    reports, _ = experiment("himmelblau").measure(full=True)
    assert minima(reports) == kept("himmelblau", "expected.json")
