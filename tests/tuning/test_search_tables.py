import csv
import io
from dataclasses import replace

import pytest
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table

from kfc.tuning.comparison import Finalist
from kfc.tuning.search_tables import (
    cells,
    csv_text,
    finalists_table,
    rich_table,
    trial_line,
    values_text,
)
from kfc.tuning.trial import Trial

RATE, INITIAL = "training.optimizer.learning_rate", "network.initializer.stddev"


def rows(text):
    return list(csv.DictReader(io.StringIO(text, newline="")))


def printed(table, width=200):
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    console.print(table)
    return console.file.getvalue()


# The CSV table


def test_the_csv_has_a_row_for_each_training_repeats_included(trials):
    found = rows(csv_text(trials))
    assert [(row["number"], row["seed"]) for row in found] == [
        *(("1", "5"), ("2", "6"), ("3", "7"), ("1", "99"))
    ]


def test_the_columns_are_facts_then_dotted_paths_then_metrics(trials):
    head = csv_text(trials).splitlines()[0]
    assert head == (
        "number,seed,status,score,epochs,seconds,weights,cause,folder,"
        f"{RATE},network.hidden,training.nesterov,{INITIAL},val_accuracy,val_loss,val_mae"
    )


def test_numbers_come_back_to_the_last_bit_and_what_is_missing_is_empty(trials):
    first, second, *_ = rows(csv_text(trials))
    assert float(first["val_loss"]) == 0.1 + 0.2
    assert float(second[RATE]) == 1e-05
    assert (first[INITIAL], second["val_accuracy"], second["val_loss"]) == ("", "", "nan")


def test_lists_booleans_and_none_are_json(trials, labelled):
    first, second, *_ = rows(csv_text(trials))
    assert (first["network.hidden"], first["training.nesterov"]) == ("[64, 32]", "true")
    assert second["network.hidden"] == "[]"
    assert rows(csv_text([labelled(None)]))[0]["a"] == "null"


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", " =1"]
)
def test_text_that_a_spreadsheet_would_run_has_an_apostrophe(labelled, text):
    row = rows(csv_text([labelled(text, text)]))[0]
    assert row["a"].startswith("'")
    assert row["cause"].startswith("'")


def test_negative_numbers_stay_numbers(labelled):
    assert rows(csv_text([labelled(-0.5)]))[0]["a"] == "-0.5"


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n", "\x0b", "\u2028"])
def test_text_with_commas_quotes_and_line_ends_stays_one_row(labelled, end):
    text = csv_text([labelled(f'a,"b"{end}c', f"x{end}y")])
    assert len(text.splitlines()) == 2
    assert rows(text)[0]["a"] == 'a,"b" c'
    assert rows(text)[0]["cause"] == "x y"


def test_control_characters_and_halves_of_characters_do_not_reach_the_file(labelled):
    text = csv_text([labelled("\x1b[31m\ud800\0", "\x07")])
    assert rows(text)[0]["a"] == "\\x1b[31m\\ud800\\x00"
    assert text.encode()


def test_no_trials_are_a_head_alone():
    assert len(csv_text([]).splitlines()) == 1


# The table in the terminal


def test_the_table_is_the_ranking_with_values_score_status_epochs_and_seconds(trials):
    table = rich_table(trials[:3], "val_accuracy")
    assert isinstance(table, Table)
    cells = [line.split() for line in printed(table).splitlines() if line.strip()]
    assert cells[0] == [
        *("trial", "learning_rate", "hidden", "nesterov", "stddev", "val_accuracy"),
        *("epochs", "seconds", "status"),
    ]
    assert cells[1] == [*("1", "0.1", "64-32", "true", "0.8750", "2", "0.2", "completed")]
    assert (cells[2][0], cells[2][-1]) == ("3", "pruned")
    assert cells[3] == [
        *("2", "1e-05", "[]", "10", "diverged", "1", "1.5", "loss", "became", "NaN")
    ]


def test_on_a_narrow_terminal_each_trial_is_still_one_line_that_says_whether_it_diverged():
    cause = "step 12: expected a finite loss, got nan. Lower training.optimizer.learning_rate."
    values = {"network.hidden": [512, 256, 128], INITIAL: 0.02, RATE: 0.1}
    facts = ({}, 0, "diverged", 1e30, 40, 1.2, 100, "0001", cause)
    lines = printed(rich_table([Trial(1, values, *facts)], "val_loss"), width=80).splitlines()
    assert len(lines) == 2
    assert all(len(line) <= 80 for line in lines)
    assert lines[1].split()[:5] == ["1", "512-256-128", "0.02", "0.1", "diverged"]


def heads(*paths):
    trial = Trial(1, dict.fromkeys(paths, 1), {}, 0, "completed", 0.5, 1, 0.1, 1, "")
    columns = [str(column.header) for column in rich_table([trial], "val_accuracy").columns]
    return columns[1:-4]


def test_a_head_is_as_many_last_parts_of_the_path_as_are_unique():
    assert heads("a.b.rate", "a.c.rate", "a.hidden") == ["b.rate", "c.rate", "hidden"]
    assert heads("seed", "data.seed") == ["seed", "data.seed"]
    assert heads("x.a.n", "y.a.n", "xa.n") == ["x.a.n", "y.a.n", "xa.n"]


def test_other_peoples_text_is_neither_markup_nor_a_terminals_command(labelled):
    text = printed(
        rich_table([labelled("[red]x[/nope] :smile:", "\x1b]0;t\x07\n[b]")], "accuracy")
    )
    assert "[red]x[/nope] :smile:" in text
    assert "\\x1b]0;t\\x07 [b]" in text
    assert "\x1b]0" not in text


def test_a_limit_leaves_the_best_and_says_of_how_many(trials):
    text = printed(rich_table(trials[:3], "val_accuracy", limit=1))
    assert "completed" in text
    assert "pruned" not in text
    assert "1 of 3 trials" in text
    assert "trials" not in printed(rich_table(trials[:3], "val_accuracy", limit=3))


def test_a_small_loss_is_not_shown_as_zero():
    trial = Trial(1, {}, {}, 0, "completed", 1.5e-7, 1, 0.1, 1, "")
    assert "1.50e-07" in printed(rich_table([trial], "val_loss"))


def test_no_trials_are_an_empty_table():
    assert rich_table([], "val_accuracy").row_count == 0


# The line of a trial


def test_a_line_says_score_duration_what_is_left_and_values(trials):
    text = trial_line(trials[0], "val_accuracy", head="trial 1", time_left="about 3 min left")
    assert text == (
        "trial 1  val_accuracy 0.8750  0.2 s  about 3 min left  learning_rate 0.1  hid..."
    )


def test_a_line_of_a_diverged_trial_says_why(trials):
    diverged = replace(trials[0], status="diverged", cause="a loss\x1b[31m that is NaN")
    assert (
        trial_line(diverged, "val_accuracy") == "diverged  0.2 s  a loss\\x1b[31m that is NaN"
    )


@pytest.mark.parametrize("letter", ["x", "\u6f22"], ids=["narrow", "wide"])
def test_a_line_fits_80_columns_whatever_is_in_it(trials, letter):
    long = replace(trials[0], status="diverged", cause=200 * letter)
    assert cell_len(trial_line(long, "val_accuracy")) <= 80
    named = replace(trials[0], values={f"a.{200 * letter}": 200 * letter})
    assert cell_len(trial_line(named, "val_accuracy")) <= 80


# The table of finalists


def test_the_table_of_finalists_has_the_mean_over_the_seeds_that_are_done(trials):
    repeats = tuple(replace(trials[0], seed=seed, score=0.5 + seed) for seed in (0, 1, 2))
    text = printed(
        finalists_table([Finalist(trials[0], repeats), Finalist(trials[2], ())], "r2")
    )
    head, first, second = (row.split() for row in text.splitlines() if row.strip())
    assert head == ["trial", "seeds", "mean", "r2", "diverged"]
    assert first == ["1", "3", "1.5000", "+-", "2.4841", "0"]
    assert second == ["3", "0", "0"]


def test_the_table_says_which_trial_is_the_spec_itself(trials):
    own = replace(
        trials[0], number=0, values=trials[0].values | {"network.init": {"name": "zeros"}}
    )
    head, rows = cells([*trials[1:3], own], "val_accuracy")
    assert "init" not in head  # which trial 0 alone sets
    assert [(row[0], row[-1]) for row in rows if row[0] == "0"] == [("0", "the spec itself")]
    assert "init zeros" in values_text(own)


def test_a_value_of_many_letters_does_not_widen_the_table(labelled):
    text = printed(rich_table([labelled(300 * "x")], "val_accuracy"), width=80)
    assert all(len(row) <= 80 for row in text.splitlines())
    assert "diver" in text
