import csv
import io
import json
import math
import warnings

import numpy as np
import pytest
import tensorflow as tf
from rich.console import Console
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from kfc.errors import NumbersError
from kfc.training.callbacks.logs import CSVLog, MetricsLog, TensorBoardLog
from kfc.training.callbacks.terminal_log import Terminal
from kfc.training.checkpoints.training_state import Progress


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def table(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def scalars(folder, tag):
    events = EventAccumulator(str(folder), {"scalars": 0})
    events.Reload()
    return [(event.step, event.value) for event in events.Scalars(tag)]


@pytest.fixture(scope="module")
def logged(problem, tmp_path_factory):
    """Every log alone on a plain Keras model, and in kfc's loop."""
    made = {}
    for place in ("keras", "kfc"):
        folder, text = tmp_path_factory.mktemp(place), io.StringIO()
        console = Console(file=text, width=200)
        callbacks = [
            MetricsLog(folder / "metrics.jsonl", every=2),
            CSVLog(folder / "epochs.csv"),
            TensorBoardLog(folder / "events", every=2),
            Terminal(every=2, log=folder / "run.log", console=console),
        ]
        case = problem({"training.evaluate_every": 4})
        if place == "kfc":
            history = case.loop(callbacks).run(Progress()).history
        else:
            history = (
                case.stock()
                .fit(
                    case.train.x,
                    case.train.y,
                    validation_data=(case.held_out.x, case.held_out.y),
                    callbacks=callbacks,
                    **case.fit_options,
                )
                .history
            )
        made[place] = folder, history, text.getvalue()
    return made


BOTH = pytest.mark.parametrize("place", ["keras", "kfc"])


@BOTH
def test_metrics_has_a_line_for_each_epoch_and_every_second_step(logged, place):
    folder, history, _ = logged[place]
    written = lines(folder / "metrics.jsonl")
    # Nine steps, three to an epoch, whose own lines follow those of its steps.
    assert [(line["epoch"], line["step"]) for line in written] == [
        *((1, 2), (1, 3)),
        *((2, 4), (2, 6), (2, 6)),
        *((3, 8), (3, 9)),
    ]
    epochs = [written[number] for number in (1, 4, 6)]
    for name, values in history.items():
        assert [line[name] for line in epochs] == pytest.approx(values)


def test_lines_within_an_epoch_tell_the_loss_of_their_batch(logged):
    folder, _, _ = logged["kfc"]
    assert ["batch_loss" in line for line in lines(folder / "metrics.jsonl")] == [
        *(True, False),
        *(True, True, False),
        *(True, False),
    ]


def test_evaluations_within_an_epoch_are_in_their_lines(logged):
    folder, _, text = logged["kfc"]
    within = [line for line in lines(folder / "metrics.jsonl") if "batch_loss" in line]
    assert ["val_loss" in line for line in within] == [False, True, False, True]
    assert text.count("  step ") == 4


@BOTH
def test_csv_has_a_row_for_each_epoch(logged, place):
    folder, history, _ = logged[place]
    rows = table(folder / "epochs.csv")
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    for name, values in history.items():
        assert [float(row[name]) for row in rows] == pytest.approx(values)


@BOTH
def test_tensorboard_reads_the_history_under_the_tags_of_keras(logged, place):
    folder, history, _ = logged[place]
    for part, prefix in (("train", ""), ("validation", "val_")):
        for name in ("loss", "accuracy"):
            steps, values = zip(
                *scalars(folder / "events" / part, f"epoch_{name}"), strict=True
            )
            assert steps == (0, 1, 2)
            assert values == pytest.approx(history[prefix + name])


def test_tensorboard_reads_the_loss_of_batches(logged):
    folder, _, _ = logged["kfc"]
    expected = [
        (line["step"], pytest.approx(line["batch_loss"]))
        for line in lines(folder / "metrics.jsonl")
        if "batch_loss" in line
    ]
    assert scalars(folder / "events/train", "batch_loss") == expected


@BOTH
def test_the_terminal_shows_each_epoch_with_its_numbers(logged, place):
    _, history, text = logged[place]
    for epoch in range(3):
        (line,) = [
            line for line in text.splitlines() if line.startswith(f"epoch {epoch + 1}/3")
        ]
        for name, values in history.items():
            held_out, _, metric = name.partition("_")
            shown = f"({held_out} " if metric in history else f"  {name} "
            assert f"{shown}{values[epoch]:.4f}" in line


@BOTH
def test_the_log_file_holds_what_the_terminal_showed(logged, place):
    folder, _, text = logged[place]
    assert (folder / "run.log").read_text() == text


def test_a_quiet_terminal_still_writes_the_log(problem, tmp_path):
    text = io.StringIO()
    quiet = Terminal(log=tmp_path / "run.log", console=Console(file=text, quiet=True))
    problem().loop([quiet]).run(Progress())
    assert text.getvalue() == ""
    assert len((tmp_path / "run.log").read_text().splitlines()) == 3


def test_the_bar_goes_away_when_training_fails(problem):
    case, text = problem(), io.StringIO()
    terminal = Terminal(console=Console(file=text, force_terminal=True))
    case.train.x[0] = np.nan
    with pytest.raises(NumbersError):
        case.loop([terminal]).run(Progress())
    hidden, shown = "\x1b[?25l", "\x1b[?25h"  # the cursor
    assert text.getvalue().rindex(shown) > text.getvalue().rindex(hidden)


def test_numbers_that_are_not_finite_are_written_as_text(tmp_path):
    log = MetricsLog(tmp_path / "metrics.jsonl")
    log.set_params({"steps": 3})
    log.on_epoch_begin(0)
    log.on_epoch_end(0, {"loss": math.nan, "val_loss": -math.inf, "mae": 1.5})
    (line,) = lines(tmp_path / "metrics.jsonl")
    assert (line["loss"], line["val_loss"], line["mae"]) == ("nan", "-inf", 1.5)


def test_logs_work_where_keras_does_not_know_the_steps_of_an_epoch(problem, tmp_path):
    case, text = problem(), io.StringIO()
    callbacks = [
        MetricsLog(tmp_path / "metrics.jsonl", every=2),
        TensorBoardLog(tmp_path / "events", every=2),
        Terminal(every=2, console=Console(file=text, force_terminal=True, width=200)),
    ]
    batch = tf.data.Dataset.from_tensors((case.train.x[:32], case.train.y[:32]))
    # A filter may drop any row, so that nobody knows how many it leaves.
    stream = batch.repeat(3).filter(lambda x, y: True)
    options = {"epochs": 2, "shuffle": False, "verbose": 0}
    with warnings.catch_warnings():
        # Keras finds the end of the stream, and says so.
        warnings.filterwarnings("ignore", "Your input ran out of data", UserWarning)
        case.stock().fit(stream, callbacks=callbacks, **options)
    steps = [line["step"] for line in lines(tmp_path / "metrics.jsonl")]
    assert steps == [2, 3, 4, 6, 6]


def test_a_table_keeps_the_columns_of_its_first_epoch(tmp_path):
    for log in (CSVLog(tmp_path / "epochs.csv"), CSVLog(tmp_path / "epochs.csv")):
        log.on_epoch_end(0, {"loss": 1.0, "val_loss": 2.0})
        log.on_epoch_end(1, {"accuracy": 0.5, "loss": 0.5})
    rows = table(tmp_path / "epochs.csv")
    assert (
        rows
        == [
            {"epoch": "1", "loss": "1.0", "val_loss": "2.0"},
            {"epoch": "2", "loss": "0.5", "val_loss": ""},
        ]
        * 2
    )


def test_tensorboard_keeps_the_whole_name_of_a_metric(tmp_path):
    log = TensorBoardLog(tmp_path)
    log.on_epoch_end(0, {"val_top_k": 0.5, "top_k": 0.25, "test_loss": 1.0})
    log.on_train_end()
    assert scalars(tmp_path / "validation", "epoch_top_k") == [(0, 0.5)]
    assert scalars(tmp_path / "train", "epoch_top_k") == [(0, 0.25)]
    assert scalars(tmp_path / "test", "epoch_loss") == [(0, 1.0)]


def test_lines_fit_80_columns():
    text = io.StringIO()
    terminal = Terminal(console=Console(file=text, width=200))
    terminal.set_params({"epochs": 200, "steps": 3})
    terminal.on_train_begin()
    names = ("loss", "mae", "r2", "val_loss", "val_mae", "val_r2", "learning_rate")
    terminal.on_epoch_begin(0)
    terminal.on_epoch_end(0, dict.fromkeys(names, 12345.6789))
    first, *others = text.getvalue().splitlines()
    assert first.startswith("epoch   1/200  loss 12345.6789 (val 12345.6789)  mae ")
    assert [line.split()[0] for line in others] == ["r2"]
    assert "learning_rate 12345.6789" in others[0]
    assert max(map(len, [first, *others])) <= 80
