"""Prints results on stdout as lines, tables or JSON."""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

from kfc.errors import one_line
from kfc.system import read_cluster, user_paths

if TYPE_CHECKING:
    from kfc.ensembles import CrossValidation, Ensemble
    from kfc.exporting import Export
    from kfc.runs import ListedRun, Run
    from kfc.tuning import Search, SearchStatus
    from kfc.verification import Certificate


def print_run(summary: dict[str, Any], as_json: bool) -> None:
    """Prints the summary of a run, see `Run.summary`."""
    if as_json:
        print_json(summary)
        return
    print_metrics(summary["metrics"], summary["baseline"])
    print_uncertainty(summary.get("uncertainty", {}))
    print(f"{'epochs':18} {summary['epochs']}")
    print(f"{'seconds':18} {summary['seconds']:.2f}")
    print(f"{'folder':18} {one_line(summary['folder'])}")
    print_report_of(Path(summary["folder"]))


def is_printed_elsewhere(result: Any) -> bool:
    """Returns whether another worker prints this result, because it is the chief."""
    cluster, spec = read_cluster(), getattr(result, "spec", None)
    shared = spec is not None and spec.training.distribute == "multi_worker"
    return shared and cluster is not None and not cluster.is_chief


def print_report_of(folder: Path, width: int = 18) -> None:
    """Prints the path of the page in a folder, if there is one."""
    from kfc.pages import FILE

    if (folder / FILE).is_file():
        print(f"{'report':{width}} {one_line(user_paths.shown_path(folder / FILE))}")


def print_published(run: Run | Ensemble) -> None:
    """Prints published results for the data of a run, if there are any."""
    from kfc.runs import Run, placed, published_beside

    if not isinstance(run, Run) or not (sentence := placed(run)):
        return
    print(f"{'published':18} {sentence}:")
    for each in published_beside(run):
        print(f"{'':18} {each.text}")


def print_cross_validation(result: CrossValidation, as_json: bool) -> None:
    """Prints a line for each fold, the mean and the spread; then the scores of the average."""
    if as_json:
        print_json(result.summary())
        return
    Console(width=None if sys.stdout.isatty() else 250).print(result.table())
    if result.metrics:
        print_metrics(result.metrics, result.baseline)
    print_uncertainty(result.uncertainty)
    print(f"{'folder':18} {one_line(user_paths.shown_path(result.folder))}")
    print_report_of(result.folder)


def print_any(result: Run | Ensemble | CrossValidation, as_json: bool) -> None:
    """Prints a run, an ensemble or a cross-validation."""
    from kfc.ensembles import CrossValidation

    if isinstance(result, CrossValidation):
        print_cross_validation(result, as_json)
    else:
        print_run(result.summary(), as_json)


def print_metrics(metrics: Mapping[str, float], baseline: Mapping[str, float]) -> None:
    """Prints a line for each metric and a column for each part of the rows.

    Args:
        metrics: Metrics by name, with the prefix `val_` or `test_` or without a prefix.
        baseline: Metrics of a constant prediction; may be empty.
    """
    columns = {
        part: {
            name.removeprefix(f"{part}_"): value
            for name, value in metrics.items()
            if name.startswith(f"{part}_")
        }
        for part in ("val", "test")
    }
    columns = {part: found for part, found in columns.items() if found} or {"": dict(metrics)}
    last = next(reversed(columns))
    if baseline:
        columns["baseline"] = {
            name.removeprefix(f"{last}_"): value
            for name, value in baseline.items()
            if name.startswith(f"{last}_")
        }
    if any(columns):  # metrics of other rows have no prefix
        print(" ".join([" " * 18, *(f"{part:>10}" for part in columns)]).rstrip())
    for name in dict.fromkeys(name for found in columns.values() for name in found):
        cells = (
            f"{found[name]:>10.4f}" if name in found else " " * 10
            for found in columns.values()
        )
        print(" ".join([f"{name:18}", *cells]).rstrip())


def print_uncertainty(facts: Mapping[str, Any]) -> None:
    """Prints the temperature or the intervals of a run, if it has any."""
    if not facts:
        return
    from kfc.runs import uncertainty_lines

    for name, text in uncertainty_lines(facts).items():
        print(f"{name:18} {text}")


def print_runs(runs: Sequence[ListedRun]) -> None:
    """Prints a line for each run folder, followed by the differences of its spec."""
    for run in runs:
        numbers = "  ".join(f"{name} {value:.4f}" for name, value in run.headline().items())
        several = f"  ({run.runs} runs)" if run.runs > 1 else ""
        line = f"{one_line(run.name):24} {run.date:16}  {numbers or run.status}{several}"
        print(line.rstrip())
        for line in run.differences:
            print(f"  {one_line(line)}")


def print_search_status(status: SearchStatus) -> None:
    """Prints the ranking of a search and, once it is finished, who won and why."""
    from kfc.tuning import rich_table

    # In a file or a pipe, the table may be wider than a terminal.
    console = Console(width=None if sys.stdout.isatty() else 250)
    console.print(rich_table(status.ranking, status.objective))
    for sentence in status.sentences:
        print_wrapped(sentence)


def print_search(search: Search) -> None:
    """Prints importances, metrics and folders of a finished search."""
    for name, share in search.importance.items():
        print(f"importance of {name}: {share:.2f}")
    for name, value in search.metrics.items():
        print(f"{name:16} {value:.4f}")
    print(f"{'best':16} {user_paths.shown_path(search.folder / 'best.yaml')}")
    print(f"{'folder':16} {user_paths.shown_path(search.run_folder)}")
    print_report_of(search.folder, width=16)


def print_wrapped(sentence: str) -> None:
    """Prints a sentence in lines of at most 80 columns; all but the first are indented."""
    print(textwrap.fill(one_line(sentence), 80, subsequent_indent="  "))


def print_export(exported: Export) -> None:
    """Prints the path of an export, its certificate and the commands to serve and query it."""
    print(f"{'path':16} {user_paths.shown_path(exported.path)}")
    print(f"{'certificate':16} {exported.verdict}")
    for name, line in zip(("serve", "ask"), exported.commands() or (), strict=False):
        print(f"{name:16} {line}")


def print_certificate(certificate: Certificate) -> None:
    """Prints a line for each training path of a verification, and its result."""
    # Differences are the largest of a tensor, in units of the last bit of its largest element.
    head = ("path", "description", "other bits", "units of the last bit", "of bound")
    rows = [
        (
            path["name"],
            path["description"],
            _step_text(path["first_different_step"]),
            f"{path['max_ulps']:.1f}",
            f"{max(path['relative'], path['step_relative']):.1%}",
        )
        for path in certificate.paths
    ]
    print_table(head, rows)
    if certificate.float64_unsupported:
        print(f"Not compared with float64: {certificate.float64_unsupported}.")
    if first := certificate.first_difference:
        print(
            f"First: {first['path']}, {first['tensor']}, step {first['step']}: {first['why']}."
        )
    for unit in certificate.relu_zeros:
        print(
            f"Input of relu at 0: step {unit['step']}, {unit['layer']}, unit {unit['unit']}, "
            f"row {unit['row']} ({unit['value']:.1e})."
        )
    for failure in certificate.failures:
        tensors = ", ".join(failure["tensors"])
        print(
            f"Failure: {failure['path']}, step {failure['step']}: {failure['cause']} "
            f"({tensors})."
        )
    print("passed" if certificate.passed else "FAILED")


def _step_text(first_different_step: int | None) -> str:
    return "none" if first_different_step is None else f"from step {first_different_step}"


def print_json(value: Any) -> None:
    """Prints one JSON object."""
    print(json.dumps(value, indent=1, allow_nan=False))


def print_table(head: tuple[str, ...], rows: Any) -> None:
    """Prints a table without borders."""
    table = Table(*head, box=None, header_style="bold", pad_edge=False)
    for row in rows:
        table.add_row(*row)
    Console().print(table, markup=False, highlight=False)
