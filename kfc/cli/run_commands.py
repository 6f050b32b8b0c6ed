"""The commands that begin with run folders.

Each command imports its modules when it runs, so that `kfc --help` needs no TensorFlow.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from kfc.cli import printing, table_commands
from kfc.cli.local_workers import check_workers, run_workers
from kfc.cli.options import (
    AsJson,
    Quiet,
    RunFolder,
    Verbose,
    output_flags,
    progress_level,
)
from kfc.cli.startup import start_for_command


def resume(
    folder: RunFolder,
    workers: Annotated[
        int, typer.Option(min=1, help="Number of processes that share each batch.")
    ] = 1,
    as_json: AsJson = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Resume an interrupted RUN; the result is bit-identical to an uninterrupted one."""
    from kfc.ensembles import is_ensemble
    from kfc.runs import result_file, resuming

    if not is_ensemble(folder):
        resuming.check_resumable(folder)  # before TensorFlow is imported
    if workers > 1:
        check_workers(result_file.read_spec(folder))
        flags = output_flags(as_json=as_json, quiet=quiet, verbose=verbose)
        sys.exit(run_workers(workers, ["resume", str(folder), *flags]))
    start_for_command(quiet)
    import kfc

    shown = progress_level(quiet=quiet, verbose=verbose)
    result = kfc.resume(folder, verbose=shown)
    if not printing.is_printed_elsewhere(result):
        printing.print_any(result, as_json)


def evaluate(
    folder: RunFolder,
    rows: Annotated[
        str | None,
        typer.Argument(
            metavar="[FILE]",
            help="Other labelled rows: a CSV or Parquet file, a .npz file with x and y, or a "
            "source such as npy:FOLDER, whose test rows are used if it has any.",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Compute the metrics of a finished RUN on its own rows or on labelled rows of FILE."""
    from kfc.data import is_table_file, read_labelled

    if rows and ":" in rows:  # reading a source may import TensorFlow
        start_for_command(quiet)
    of_table = bool(rows) and is_table_file(str(rows))
    source: Any = read_labelled(rows) if rows and not of_table else None
    start_for_command(quiet)
    import kfc

    run = kfc.load(folder)
    if of_table:
        source = table_commands.read_rows_for(run, str(rows))
        if not quiet:
            table_commands.print_ignored_columns(run, source)
    with table_commands.unseen_values_printed(quiet=quiet):
        metrics = run.evaluate(source)
    if source is None:
        printing.print_run({**run.summary(), "metrics": metrics}, as_json)
    elif as_json:
        summary = run.summary()
        del summary["baseline"]
        printing.print_json({**summary, "metrics": metrics})
    else:
        printing.print_metrics(metrics, {})


def list_runs(
    folder: Annotated[Path, typer.Argument(help="Folder of run folders.")] = Path("runs"),
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """List runs with date, metrics and the differences from the spec of the previous run."""
    from kfc.ensembles import list_folder

    listed = list_folder(folder)
    if as_json:
        printing.print_json({"runs": [run.summary() for run in listed]})
    else:
        printing.print_runs(listed)


def predict(
    folder: RunFolder,
    file: Annotated[
        str,
        typer.Argument(
            help="Rows of inputs: CSV, Parquet, .npy, .npz (x), IDX or IDX.gz. With --output "
            "a folder of Parquet files, or an address such as s3://bucket/folder."
        ),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Write a Parquet file of predictions for each file, part by part.",
            show_default=False,
        ),
    ] = None,
    keep: Annotated[
        list[str] | None,
        typer.Option(
            metavar="COLUMN",
            help="Column of the table to print beside the predictions; may be repeated.",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Print the label and probabilities of each row as CSV.

    RUN may also be an export: the folder of one version, or of all versions. With --output,
    the same command continues where it was stopped.
    """
    from kfc.data import is_table_file, read_inputs

    if output is not None:
        table_commands.predict_parts(
            folder, file, output, keep or [], as_json=as_json, quiet=quiet
        )
        return
    x: Any = None if is_table_file(file) else read_inputs(Path(file))
    start_for_command(quiet)
    import kfc
    from kfc.exporting import is_export, load_export
    from kfc.runs import table

    model: Any = load_export(folder) if is_export(folder) else kfc.load(folder)
    kept: dict[str, list[str]] = {}
    if x is None:
        x = table_commands.read_rows_for(model, file)
        kept = table_commands.kept_columns(x, keep or [])
        if not quiet:
            table_commands.print_ignored_columns(model, x)
    with table_commands.unseen_values_printed(quiet=quiet):
        predictions = model.predict(x)
    if as_json:
        columns = predictions._asdict().items()
        found = {name: values.tolist() for name, values in columns if values.size}
        printing.print_json({**found, **({"kept": kept} if kept else {})})
    else:
        sys.stdout.write(table(predictions, model.task, kept))


def export(
    folder: RunFolder,
    path: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of all versions.")],
    version: Annotated[
        int | None,
        typer.Option(min=1, help="Number of the version.  [default: the next free number]"),
    ] = None,
    format: Annotated[
        str, typer.Option(help="saved_model, onnx, litert or the format of a plug-in.")
    ] = "saved_model",
    encoded: Annotated[
        bool,
        typer.Option(
            "--encoded", help="Of a table: the network of encoded rows alone, without text."
        ),
    ] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Export RUN as DIR/VERSION, a model from raw values to labels and probabilities.

    The export is kept only if a new process without kfc and Keras computes the same
    predictions as the run.
    """
    from kfc.registry import EXPORTERS

    EXPORTERS.check(format, "--format")  # before TensorFlow is imported
    start_for_command(quiet)
    import kfc

    exported = kfc.export(
        folder, path, version=version, format=format, encoded=encoded, verbose=not quiet
    )
    if as_json:
        printing.print_json(exported.summary())
    else:
        printing.print_export(exported)
