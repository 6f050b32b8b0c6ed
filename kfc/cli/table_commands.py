"""The parts of commands that are about tables: the draft of a spec, and files of rows."""

from __future__ import annotations

import shlex
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TextIO

from rich.console import Console

from kfc.cli import printing
from kfc.cli.arguments import spec_and_overrides
from kfc.cli.startup import start_for_command
from kfc.errors import DataError, Finding, SpecError, UnseenValuesWarning, one_line

if TYPE_CHECKING:
    from kfc.data.tables import RawTable
    from kfc.ensembles import Ensemble
    from kfc.exporting import Export
    from kfc.runs import Run


def write_draft(
    file: str, arguments: list[str], target: str | None, out: Path | None, *, as_json: bool
) -> None:
    """Drafts a spec for a table, writes it to a new file and prints its path.

    Args:
        file: CSV or Parquet file, or a folder of parts.
        arguments: Overrides as `key=value` of the part `data` of the spec.
        target: Name of the target's column; by default the last one.
        out: File to write; by default NAME.yaml in the current folder.
        as_json: Whether one JSON object is printed.

    Raises:
        DataError: If the table cannot be read.
        SpecError: If the file to write exists.
        DiskError: If it cannot be written.
    """
    from kfc.data.tables import draft_spec, report_table
    from kfc.spec import load_spec
    from kfc.system import atomic

    _, overrides = spec_and_overrides(["", *arguments])
    other = [key for key in overrides if not key.startswith(("data.csv.", "data.columns."))]
    if other:
        expected, remedy = "keys of data.csv and data.columns", "Edit the draft instead."
        raise SpecError(Finding("arguments", expected, other[0], remedy))
    draft = draft_spec(file, target, load_spec({}, overrides).data)
    path = out or Path(f"{draft.name}.yaml")
    if path.exists():
        remedy = "Name another with --out, or remove it."
        raise SpecError(Finding(str(path), "a new file", "one that exists", remedy))
    atomic.write_file(path, draft.text)
    if as_json:
        columns = {report.name: report.column.type for report in draft.reports}
        printing.print_json({"path": str(path), "columns": columns})
        return
    width = None if sys.stderr.isatty() else 160
    Console(stderr=True, width=width).print(report_table(draft.reports))
    print(f"{'spec':16} {one_line(str(path))}")
    print(f"{'train':16} kfc fit {one_line(shlex.quote(str(path)))}")


def read_rows_for(run: Run | Ensemble | Export, file: Path | str) -> RawTable:
    """Reads a table for a run that was trained on a table, or for an export of one.

    Raises:
        DataError: If the run was trained on arrays, or the file cannot be read.
    """
    from kfc.data import read_table_file

    if run.task.table is None:
        expected, got = "rows as the run was trained on", "a table, for a run on arrays"
        raise DataError(Finding(str(file), expected, got, "Pass .npy, .npz (x) or IDX."))
    return read_table_file(file, run.task.table.csv)


def predict_parts(
    folder: Path,
    source: str,
    output: Path,
    keep: Sequence[str],
    *,
    as_json: bool,
    quiet: bool,
) -> None:
    """Predicts Parquet files part by part, and prints how many rows there are.

    Args:
        folder: Run folder, or folder of an export.
        source: Parquet file, folder or address.
        output: Folder for the files of predictions.
        keep: Columns that are written beside the predictions.
        as_json: Whether one JSON object is printed.
        quiet: Whether nothing is printed on stderr.
    """
    start_for_command(quiet)
    import kfc
    from kfc.exporting import is_export, load_export

    model = load_export(folder) if is_export(folder) else kfc.load(folder)
    with unseen_values_printed(quiet=quiet):
        parts = kfc.predict_parts(model, source, output, keep=keep, verbose=not quiet)
    if as_json:
        files = [
            {"path": str(part.path), "rows": part.rows, "skipped": part.skipped}
            for part in parts
        ]
        printing.print_json({"folder": str(output), "parts": files})
        return
    print(f"{'folder':16} {one_line(str(output))}")
    print(f"{'parts':16} {len(parts):,}")
    print(f"{'rows':16} {sum(part.rows for part in parts):,}")


@contextmanager
def unseen_values_printed(*, quiet: bool) -> Iterator[None]:
    """Prints `UnseenValuesWarning` as a line on stderr, or not at all, as long as it is open.

    Args:
        quiet: Whether nothing is printed.
    """
    show = warnings.showwarning

    def print_line(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        if issubclass(category, UnseenValuesWarning):
            print(message, file=sys.stderr)
        else:
            show(message, category, filename, lineno, file, line)

    with warnings.catch_warnings():
        action: Literal["ignore", "always"] = "ignore" if quiet else "always"
        warnings.simplefilter(action, UnseenValuesWarning)
        warnings.showwarning = print_line
        yield


def print_ignored_columns(run: Run | Ensemble | Export, table: RawTable) -> None:
    """Prints on stderr the columns that the training did not have."""
    if run.task.table is None:
        return
    known = {*run.task.table.columns, run.task.table.target}
    extra = [name for name in table.columns.column_names if name not in known]
    declared = run.spec.data.columns if hasattr(run, "spec") else {}  # not of an export
    new = [name for name in extra if name not in declared]
    if new:
        print(f"ignored columns: {one_line(', '.join(new))}", file=sys.stderr)


def kept_columns(table: RawTable, names: Sequence[str]) -> dict[str, list[str]]:
    """Returns columns that predictions are printed with, as text.

    Raises:
        DataError: If the table has no such column.
    """
    import pyarrow as pa

    kept = {}
    for name in names:
        if name not in table.columns.column_names:
            remedy = f"Known columns: {', '.join(table.columns.column_names[:12])}."
            finding = Finding("--keep", "a column of the table", repr(name), remedy)
            raise DataError(finding)
        values = table.columns.column(name).cast(pa.string()).to_pylist()
        kept[name] = ["" if value is None else value for value in values]
    return kept
