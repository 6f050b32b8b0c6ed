"""The sections of the page of a search: trials, hyperparameters and finalists."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from kfc.reporting.blocks import (
    Cell,
    CodeText,
    Section,
    Table,
    Text,
    count,
    number,
    number_text,
    shown,
)
from kfc.reporting.figures import bars, intervals
from kfc.reporting.search_drawings import (
    parallel_coordinates,
    short_point_name,
    value_against_score,
)
from kfc.spec import dump_spec, load_spec
from kfc.tuning import (
    Finalist,
    SearchStatus,
    Trial,
    importance,
    keys_of,
    short_names,
    short_value,
)

_DRAWN = 12


def search_sections(status: SearchStatus) -> list[Section]:
    """Returns the sections of the page of a search, which may still be running.

    Args:
        status: Its trials, and its winner if it has one.
    """
    searched = [trial for trial in status.ranking if trial.number] or status.ranking
    paths = keys_of(searched, "values")
    names = dict(zip(paths, short_names(paths), strict=True))
    return [
        _winner_section(status, names),
        _trial_section(status, names),
        _value_section(status, searched),
        _finalist_section(status),
        *_best_spec_section(status),
    ]


def _winner_section(status: SearchStatus, names: dict[str, str]) -> Section:
    blocks: list[object] = [Text(shown(sentence, 600)) for sentence in status.sentences]
    if status.winner is None:
        blocks.append(
            Text("The search is not finished; the ranking may still change.", "note")
        )
    best = status.best
    if best is not None:
        rows: list[list[Cell | str]] = [
            [shown(name, 60), shown(short_value(best.values[path]), 80)]
            for path, name in names.items()
            if path in best.values
        ]
        blocks.append(Table(f"Values of trial {best.number}", ["key", "value"], rows))
    if status.metrics:
        metrics: list[list[Cell | str]] = [
            [shown(name), number(value)] for name, value in status.metrics.items()
        ]
        blocks.append(Table("Metrics of the winner's final run", ["metric", "value"], metrics))
    return Section("result", "Result", blocks)


def _trial_section(status: SearchStatus, names: dict[str, str]) -> Section:
    rows: list[list[Cell | str]] = []
    for trial in status.ranking:
        kind = "the spec itself" if trial.number == 0 else trial.status
        score = Cell(
            number_text(trial.score), trial.score, strong=trial.number == status.winner
        )
        if trial.status == "diverged":
            score = Cell("diverged")
        rows.append(
            [
                Cell(str(trial.number), float(trial.number)),
                *(_value_cell(trial.values.get(path)) for path in names),
                score,
                count(trial.epochs),
                Cell(f"{trial.seconds:.1f}", trial.seconds),
                count(trial.weights),
                shown(trial.cause or kind, 80),
            ]
        )
    head = ["trial", *(shown(name, 40) for name in names.values()), status.objective]
    head += ["epochs", "seconds", "weights", "status"]
    text = f"{len(status.ranking)} trials, the best first. A click on a head sorts them."
    table = Table("All trials", head, rows, sortable=True, wide=True)
    return Section("trials", "Trials", [Text(text), table])


def _value_cell(value: Any) -> Cell:
    if value is None:
        return Cell("")
    text = shown(short_value(value), 40)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return Cell(text, float(value))
    return Cell(text)


def _value_section(status: SearchStatus, searched: Sequence[Trial]) -> Section:
    usable = [trial for trial in searched if trial.status != "diverged" and trial.point]
    blocks: list[object] = []
    shares = importance.importance(searched, status.objective)
    if shares:
        short = [shown(short_point_name(name), 30) for name in shares]
        values = [*shares.values()]
        alt = "importance of " + ", ".join(
            f"{n} {v:.2f}" for n, v in zip(short, values, strict=True)
        )
        blocks.append(bars("Importance", alt, short, values, unit="share of the importance"))
    points = list(dict.fromkeys(name for trial in usable for name in trial.point))
    if len(usable) > 1 and points:
        blocks.append(parallel_coordinates(usable, points, status.objective))
        blocks += [
            value_against_score(usable, name, status.objective) for name in points[:_DRAWN]
        ]
    if not blocks:
        blocks.append(Text("There are too few trials for a drawing.", "note"))
    text = (
        "Importance is the share of the ranking that a forest explains by one key; it needs "
        "eight trials. Diverged trials and the spec itself are not drawn."
    )
    return Section("values", "Hyperparameters", [*blocks, Text(text, "note")])


def _finalist_section(status: SearchStatus) -> Section:
    finalists = status.finalists
    if not finalists:
        text = "No finalist was trained on fresh seeds yet, or search.repeats is 0."
        return Section("finalists", "Finalists", [Text(text, "note")])
    rows: list[list[Cell | str]] = [_finalist_row(each, status.winner) for each in finalists]
    head = [
        "trial",
        "seeds",
        f"mean {status.objective}",
        "95 % interval",
        "diverged",
        "weights",
    ]
    means = [each.mean for each in finalists]
    figure = intervals(
        "Finalists on fresh seeds",
        ", ".join(f"trial {e.trial.number}: {e.mean:.4g}" for e in finalists),
        [str(each.trial.number) for each in finalists],
        means,
        lows=[each.low if each.low is not None else each.mean for each in finalists],
        highs=[each.high if each.high is not None else each.mean for each in finalists],
        unit=f"{status.objective}, mean and 95 % interval",
        kind="trial",
    )
    return Section(
        "finalists", "Finalists", [figure, Table("Finalists, the best first", head, rows)]
    )


def _finalist_row(each: Finalist, winner: int | None) -> list[Cell | str]:
    interval = ""
    if each.low is not None and each.high is not None:
        interval = f"{number_text(each.low)} to {number_text(each.high)}"
    won = each.trial.number == winner
    return [
        Cell(f"{each.trial.number}{' (winner)' if won else ''}", strong=won),
        count(len(each.repeats)),
        number(each.mean),
        interval,
        count(each.diverged),
        count(each.trial.weights),
    ]


def _best_spec_section(status: SearchStatus) -> list[Section]:
    path = status.folder / "best.yaml"
    if not path.is_file():
        return []
    text = dump_spec(load_spec(path))
    return [Section("spec", "Spec", [CodeText("Spec of the winner, best.yaml", text)])]
