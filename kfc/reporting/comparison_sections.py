"""The sections of a page with several runs side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from kfc.reporting.blocks import Cell, Section, Table, Text, count, number, number_text, shown
from kfc.reporting.curves import learning_curves
from kfc.reporting.run_facts import Answers, RunFacts
from kfc.reporting.spec_section import flat_values
from kfc.runs import environment
from kfc.spec import METRICS

_FEWEST = 2
_METRICS = ("loss", "accuracy", "mae", "r2")
_SHOWN = 6
"""Runs whose curves have a colour."""


@dataclass(frozen=True)
class PairedDifference:
    """Difference between two runs on the rows that both were tested on.

    Args:
        rows: Number of these rows.
        first: Accuracy, or mean absolute error, of the first run on them.
        second: The same of the second run.
        difference: Second minus first.
        low: Lower end of the 95 % confidence interval of the difference.
        high: Upper end.
        only_first: Rows that only the first run has right; None for values.
        only_second: Rows that only the second run has right; None for values.
        p_value: Exact p-value of McNemar's test; None for values.
    """

    rows: int
    first: float
    second: float
    difference: float
    low: float
    high: float
    only_first: int | None = None
    only_second: int | None = None
    p_value: float | None = None


def paired_difference(first: RunFacts, second: RunFacts) -> PairedDifference | None:
    """Returns the difference between two runs on the test rows that they share.

    Each row has the difference d of both runs: of 1 for a right answer and 0 for a wrong one,
    or of the absolute errors. What makes a row easy or hard for both cancels in it. The
    interval is Student's:

        mean(d)  +-  t * std(d) / sqrt(rows)

    It holds for other rows of the same kind and these two networks, not for other seeds.
    McNemar's test compares how often only one of both is right: Q. McNemar, "Note on the
    sampling error of the difference between correlated proportions or percentages",
    Psychometrika 12, 1947, https://doi.org/10.1007/BF02295996.

    Args:
        first: Run.
        second: Another run.

    Returns:
        None if the runs share fewer than two rows, or have other classes or targets.
    """
    places = shared_rows(first, second)
    a, b = first.final, second.final
    if places is None or a is None or b is None or len(places[0]) < _FEWEST:
        return None
    if first.run.task.classification:
        scores = [
            (each.predicted[rows] == each.y[rows]).astype(np.float64)
            for each, rows in zip((a, b), places, strict=True)
        ]
        only = [int((x > y).sum()) for x, y in (scores, scores[::-1])]
        p_value = 1.0
        if sum(only):
            p_value = float(stats.binomtest(only[0], sum(only), 0.5).pvalue)
        return PairedDifference(*_interval(scores[0], scores[1]), only[0], only[1], p_value)
    return PairedDifference(
        *_interval(*(_error(e, r) for e, r in zip((a, b), places, strict=True)))
    )


def _error(answers: Answers, rows: np.ndarray) -> np.ndarray:
    distance = np.abs(answers.predictions.value[rows].astype(np.float64) - answers.y[rows])
    return np.asarray(distance.mean(axis=1))


def _interval(
    first: np.ndarray, second: np.ndarray
) -> tuple[int, float, float, float, float, float]:
    """Returns rows, both means, the mean difference and its 95 % confidence interval."""
    each = second - first
    mean, error = float(each.mean()), float(each.std(ddof=1)) / np.sqrt(len(each))
    width = float(stats.t.ppf(0.975, len(each) - 1)) * error
    means = float(first.mean()), float(second.mean())
    return len(each), *means, mean, mean - width, mean + width


def shared_rows(first: RunFacts, second: RunFacts) -> tuple[np.ndarray, np.ndarray] | None:
    """Returns the places, in the test rows of each run, of the rows that both have.

    Args:
        first: Run.
        second: Another run.

    Returns:
        None if the runs have other data, classes or targets, or their rows are not to be had.
    """
    a, b = first.prepared, second.prepared
    tasks = first.run.task, second.run.task
    same = first.run.data_sha256 == second.run.data_sha256
    same = same and tasks[0].class_names == tasks[1].class_names
    if a is None or b is None or not same or tasks[0].outputs != tasks[1].outputs:
        return None
    if a.test is None or b.test is None:
        return None
    if a.test_numbers is None and b.test_numbers is None:  # the test rows of the source
        places = np.arange(len(a.test))
        return places, places
    if a.test_numbers is None or b.test_numbers is None:
        return None
    _, mine, others = np.intersect1d(a.test_numbers, b.test_numbers, return_indices=True)
    return mine, others


def comparison_sections(runs: Sequence[RunFacts]) -> list[Section]:
    """Returns the sections of a page about several runs.

    Args:
        runs: Two runs or more; all others are compared with the first one.
    """
    return [
        _metrics_section(runs),
        _differences_section(runs),
        _curves_section(runs),
        _spec_section(runs),
        _cost_section(runs),
    ]


def _metrics_section(runs: Sequence[RunFacts]) -> Section:
    blocks = []
    for part, noun in (("test", "test rows"), ("val", "validation rows")):
        names = dict.fromkeys(
            name.removeprefix(f"{part}_")
            for each in runs
            for name in each.run.metrics
            if name.startswith(f"{part}_")
        )
        rows: list[list[Cell | str]] = []
        for name in names:
            values = [each.run.metrics.get(f"{part}_{name}") for each in runs]
            best = _best(values, METRICS.get(name, ""))
            cells = [
                Cell("") if v is None else Cell(number_text(v), v, strong=v == best)
                for v in values
            ]
            rows.append([shown(name), *cells])
        if rows:
            head = ["metric", *(shown(each.name, 60) for each in runs)]
            blocks.append(Table(f"Metrics on {noun}", head, rows))
    text = "The best value of each metric is bold; whether it is better by chance is below."
    return Section("result", "Results", [Text(text), *blocks])


def _best(values: Sequence[float | None], direction: str) -> float | None:
    known = [value for value in values if value is not None]
    if len(known) < _FEWEST or direction not in ("min", "max"):
        return None
    return min(known) if direction == "min" else max(known)


def _differences_section(runs: Sequence[RunFacts]) -> Section:
    first, rows, apart = runs[0], [], []
    classes = first.run.task.classification
    for each in runs[1:]:
        found = paired_difference(first, each)
        if found is None:
            apart.append(each.name)
            continue
        rows.append(_difference_row(each.name, found))
    measure = "accuracy" if classes else "mean absolute error"
    blocks: list[object] = []
    if rows:
        head = ["run", "shared rows", measure, "difference", "95 % interval"]
        head += ["only this run right", "only the first right", "p"] if classes else []
        head.append("verdict")
        caption = f"Difference from {shown(first.name, 60)} on the same test rows"
        blocks.append(Table(caption, head, rows, wide=True))
        text = (
            "Both networks answer the same rows, so that rows that are hard for both cancel. "
            "The interval holds for other rows of this kind, not for other seeds."
        )
        blocks.append(Text(text, "note"))
    if apart:
        text = f"No rows in common with {first.name}, or they are not to be had: "
        blocks.append(Text(shown(text + ", ".join(apart), 900), "note"))
    return Section("differences", "Paired differences", blocks)


def _difference_row(name: str, found: PairedDifference) -> list[Cell | str]:
    row: list[Cell | str] = [
        shown(name, 60),
        count(found.rows),
        number(found.second),
        Cell(f"{found.difference:+.4g}", found.difference),
        f"{found.low:+.4g} to {found.high:+.4g}",
    ]
    higher_is_better = found.p_value is not None
    if found.p_value is not None:
        row += [
            count(found.only_second or 0),
            count(found.only_first or 0),
            number(found.p_value),
        ]
    verdict = "undecided"
    if found.low > 0 or found.high < 0:
        verdict = "better" if (found.low > 0) == higher_is_better else "worse"
    return [*row, verdict]


def _curves_section(runs: Sequence[RunFacts]) -> Section:
    figures: list[object] = []
    for metric in _METRICS:
        for prefix, rows in (("val_", "validation"), ("test_", "test")):
            lines = {
                each.name: each.run.history[f"{prefix}{metric}"]
                for each in runs[:_SHOWN]
                if each.run.history.get(f"{prefix}{metric}")
            }
            if lines:
                figures.append(learning_curves(f"{metric}, {rows} rows", lines, None))
    if len(runs) > _SHOWN:
        figures.append(Text(f"The first {_SHOWN} of {len(runs)} runs are drawn.", "note"))
    return Section("learning", "Learning curves", figures)


def _spec_section(runs: Sequence[RunFacts]) -> Section:
    specs = [flat_values(environment.plain_spec(each.run.spec)) for each in runs]
    keys = dict.fromkeys(key for spec in specs for key in spec)
    rows: list[list[Cell | str]] = [
        [shown(key, 80), *(shown(spec.get(key, ""), 80) for spec in specs)]
        for key in keys
        if len({spec.get(key) for spec in specs}) > 1
    ]
    if not rows:
        return Section("spec", "Differences of the specs", [Text("The specs are the same.")])
    head = ["key", *(shown(each.name, 60) for each in runs)]
    return Section("spec", "Differences of the specs", [Table("Keys that differ", head, rows)])


def _cost_section(runs: Sequence[RunFacts]) -> Section:
    rows: list[list[Cell | str]] = [
        [
            shown(each.name, 60),
            count(each.run.network.count_params()),
            count(each.run.epochs),
            Cell(f"{each.run.seconds:.1f}", each.run.seconds),
            Cell(f"{(each.result.get('memory') or {}).get('peak', 0) / 2**20:,.0f}"),
        ]
        for each in runs
    ]
    head = ["run", "weights", "epochs", "seconds", "memory (MiB)"]
    return Section("cost", "Cost", [Table("Cost of each run", head, rows, sortable=True)])
