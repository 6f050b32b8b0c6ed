"""Defines the commands of `kfc`, which call the package, print results and set exit codes.

Each command imports its modules when it runs, so that `kfc --help` needs no TensorFlow.
"""

from __future__ import annotations

import logging
import signal
import sys
import traceback
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import typer

from kfc.cli import printing, table_commands
from kfc.cli.arguments import spec_and_overrides, with_eager
from kfc.cli.startup import start_for_command
from kfc.errors import KfcError, NumbersError
from kfc.system import standard_streams

app = typer.Typer(
    help="Train, verify, tune and export dense networks that a one-page spec describes.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"kfc {version('keras-fully-connected')}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", is_eager=True, callback=_print_version, help="Print the version."
        ),
    ] = False,
) -> None:
    """Defines the options before a command."""


SpecArguments = Annotated[
    list[str] | None, typer.Argument(metavar="[SPEC] [key=value ...]", show_default=False)
]
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print results and errors only.")]


@app.command()
def new(
    file: Annotated[
        str,
        typer.Argument(metavar="DATA", help="A CSV or Parquet file, or a folder of parts."),
    ],
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[key=value ...]", show_default=False)
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(
            help="Column of the target.  [default: the last one]", show_default=False
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="File to write.  [default: NAME.yaml]", show_default=False),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Draft a commented spec for a table, which `kfc fit` can train as it is.

    key=value says how the table is read, such as data.csv.encoding=latin-1.
    """
    table_commands.write_draft(file, overrides or [], target, out, as_json=as_json)


@app.command()
def fit(
    arguments: SpecArguments = None,
    runs: Annotated[Path, typer.Option(help="Folder of the numbered run folders.")] = Path(
        "runs"
    ),
    start: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="RUN",
            help="Start from the weights of a finished run with the same architecture.",
            show_default=False,
        ),
    ] = None,
    eager: Annotated[
        bool, typer.Option("--eager", help="Run eagerly, line by line, for a debugger; slow.")
    ] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Train a network. SPEC is a file or a built-in spec, by default `digits`.

    key=value sets a dotted path of the spec, such as training.epochs=3.
    """
    from kfc.spec import load_spec

    spec, overrides = spec_and_overrides(arguments or [])
    if eager:
        overrides = with_eager(overrides)
    checked = load_spec(spec, overrides)  # before TensorFlow is imported
    start_for_command(quiet)
    import kfc

    network = kfc.load(start).model if start else None
    run = kfc.fit(checked, network=network, runs=runs, verbose=not quiet)
    printing.print_run(run.summary(), as_json)


@app.command()
def tune(
    arguments: SpecArguments = None,
    workers: Annotated[
        int, typer.Option(min=1, help="Number of processes that train at once.")
    ] = 1,
    folder: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the search.  [default: RUNS/NAME.search]", show_default=False
        ),
    ] = None,
    runs: Annotated[Path, typer.Option(help="Parent of the default search folder.")] = Path(
        "runs"
    ),
    show: Annotated[
        bool,
        typer.Option("--show", help="Print the ranking and the winner without searching."),
    ] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Search for better values of SPEC; the same command continues an interrupted search.

    Trial 0 trains SPEC without changes. Trials are ranked on validation rows. The best trials
    and trial 0 are trained again with new seeds, and only the winner is evaluated on the test
    rows. The key `search` of SPEC sets the search space and the algorithm.
    """
    from kfc.spec import load_spec
    from kfc.tuning import Space, read_status, search_folder

    spec, overrides = spec_and_overrides(arguments or [])
    checked = load_spec(spec, overrides)
    Space.of(checked)  # before TensorFlow is imported
    place = folder or search_folder(checked, runs)
    if show:
        status = read_status(place)
        if as_json:
            printing.print_json(status.summary())
        else:
            printing.print_search_status(status)
        return
    start_for_command(quiet)
    import kfc

    search = kfc.tune(checked, workers=workers, folder=place, verbose=not quiet)
    if as_json:
        printing.print_json(search.summary())
        return
    printing.print_search_status(read_status(place))
    printing.print_search(search)


@app.command()
def resume(folder: RunFolder, as_json: AsJson = False, quiet: Quiet = False) -> None:
    """Resume an interrupted RUN; the result is bit-identical to an uninterrupted one."""
    from kfc.runs import resuming

    resuming.check_resumable(folder)  # before TensorFlow is imported
    start_for_command(quiet)
    import kfc

    printing.print_run(kfc.resume(folder, verbose=not quiet).summary(), as_json)


@app.command()
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


@app.command(name="runs")
def list_runs(
    folder: Annotated[Path, typer.Argument(help="Folder of run folders.")] = Path("runs"),
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """List runs with date, metrics and the differences from the spec of the previous run."""
    from kfc.runs import list_runs

    listed = list_runs(folder)
    if as_json:
        printing.print_json({"runs": [run.summary() for run in listed]})
    else:
        printing.print_runs(listed)


@app.command()
def predict(
    folder: RunFolder,
    file: Annotated[
        Path,
        typer.Argument(help="Rows of inputs: CSV, Parquet, .npy, .npz (x), IDX or IDX.gz."),
    ],
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

    RUN may also be an export: the folder of one version, or of all versions.
    """
    from kfc.data import is_table_file, read_inputs

    x: Any = None if is_table_file(file) else read_inputs(file)
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


@app.command()
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


@app.command()
def verify(
    arguments: SpecArguments = None,
    steps: Annotated[int, typer.Option(min=2, help="Number of steps to compare.")] = 12,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Check that every training path takes the same steps as a float64 reference.

    SPEC may also be a run folder, in which the certificate is saved as verification.json.
    """
    from kfc.runs import result_file
    from kfc.spec import Spec, load_spec
    from kfc.system import safe_open

    spec, overrides = spec_and_overrides(arguments or [])
    # The spec is checked before TensorFlow is imported.
    if (Path(spec) / "spec.yaml").is_file():
        safe_open.distrust(Path(spec))
        load_spec(result_file.read_spec(Path(spec)), overrides)
        verified: str | Spec = spec
    else:
        verified, overrides = load_spec(spec, overrides), {}
    start_for_command(quiet)
    import kfc

    certificate = kfc.verify(verified, steps=steps, overrides=overrides)
    if as_json:
        printing.print_json(certificate.summary())
    else:
        printing.print_certificate(certificate)
    if not certificate.passed:
        sys.exit(NumbersError.exit_code)


@app.command()
def eject(arguments: SpecArguments = None) -> None:
    """Print a script that trains SPEC to bit-identical weights without kfc."""
    from kfc.spec import load_spec

    spec, overrides = spec_and_overrides(arguments or [])
    checked = load_spec(spec, overrides)  # before TensorFlow is imported
    start_for_command()
    import kfc

    print(kfc.eject(checked), end="")


@app.command(name="specs")
def list_specs(
    name: Annotated[str | None, typer.Argument(help="Name of the spec to print.")] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """List the built-in specs, or print one of them."""
    from kfc.cli.listings import print_specs

    print_specs(name, as_json)


@app.command()
def sources(as_json: AsJson = False, quiet: Quiet = False) -> None:
    """List the kinds of data sources, built in and from plug-ins."""
    from kfc.cli.listings import print_sources

    print_sources(as_json)


@app.command()
def plugins(as_json: AsJson = False, quiet: Quiet = False) -> None:
    """List all components with their kind and distribution."""
    from kfc.cli.listings import print_components

    print_components(as_json)


@app.command()
def schema(as_json: AsJson = False, quiet: Quiet = False) -> None:
    """Print the JSON Schema of specs, for completion in an editor."""
    from kfc.spec import Spec

    printing.print_json(Spec.model_json_schema())


def main(arguments: list[str] | None = None) -> None:
    """Runs a command; an error of kfc is printed and sets the exit code.

    Args:
        arguments: Arguments of the command; by default those of the process.
    """
    standard_streams.prepare_streams()
    signal.signal(signal.SIGTERM, _terminate)
    logging.getLogger("absl").setLevel(logging.ERROR)
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    with standard_streams.guarded_streams():
        try:
            # typer ends with SystemExit: 0, 2 for a usage error, 130 for Ctrl-C.
            app(arguments)
        except KfcError as error:
            for finding in error.findings:
                print(f"error: {finding}", file=sys.stderr)
            sys.exit(error.exit_code)
        except Exception:
            traceback.print_exc()
            bug = "This is a bug in kfc; please report it with the lines above."
            print(bug, file=sys.stderr)
            sys.exit(1)


def _terminate(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)
