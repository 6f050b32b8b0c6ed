"""Arguments -> the functions of the package; prints and exit codes, nothing else.

Commands import what they use when they run, so that `kfc --help` stays instant.
"""

from __future__ import annotations

import gc
import io
import logging
import os
import signal
import sys
import traceback
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import typer

from kfc import printing, streams
from kfc.errors import Fault, KfcError, NumbersError, SpecError
from kfc.quiet import import_tensorflow, open_standard_streams

_SIGNALS = (signal.SIGINT, signal.SIGTERM)

app = typer.Typer(
    help="A dense network from a one-page spec to a trained, proven and shipped model.",
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
    """Options that stand before a command."""


SpecArguments = Annotated[
    list[str] | None, typer.Argument(metavar="[SPEC] [key=value ...]", show_default=False)
]
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print results and errors only.")]


@app.command()
def fit(
    arguments: SpecArguments = None,
    runs: Annotated[Path, typer.Option(help="Folder for the numbered run folder.")] = Path(
        "runs"
    ),
    start: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="RUN",
            help="Start from the weights of a finished run of the same architecture.",
            show_default=False,
        ),
    ] = None,
    eager: Annotated[
        bool, typer.Option("--eager", help="Run line by line, for a debugger; slow.")
    ] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Train. SPEC is a file or a built-in spec; without one it is `digits`.

    key=value sets a dotted path of the spec, as in training.epochs=3.
    """
    from kfc import spec as specs

    spec, overrides = _spec_and_overrides(arguments or [])
    if eager:
        overrides = _with_eager(overrides)
    checked = specs.load(spec, overrides)  # before TensorFlow is imported
    _import_tensorflow(quiet)
    import kfc

    network = kfc.load(start).model if start else None
    run = kfc.fit(checked, network=network, runs=runs, verbose=not quiet)
    printing.print_run(run.summary(), as_json)


@app.command()
def tune(
    arguments: SpecArguments = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes that train at once.")] = 1,
    folder: Annotated[
        Path | None,
        typer.Option(help="Of the search.  [default: RUNS/NAME.search]", show_default=False),
    ] = None,
    runs: Annotated[Path, typer.Option(help="Folder for the search's folder.")] = Path("runs"),
    show: Annotated[
        bool,
        typer.Option("--show", help="Print the ranking, and who won; search nothing."),
    ] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Search the space of SPEC; the same command goes on where it was interrupted.

    Trial 0 trains the values of SPEC itself. Trials are scored on validation rows; the
    best and trial 0 are trained again on fresh seeds, and the winner alone meets the test
    rows. `search:` in SPEC says what to vary and how.
    """
    from kfc import spec as specs
    from kfc.tuning.show import search_folder, standing
    from kfc.tuning.space import Space

    spec, overrides = _spec_and_overrides(arguments or [])
    checked = specs.load(spec, overrides)
    Space.of(checked)  # before TensorFlow is imported
    place = folder or search_folder(checked, runs)
    if show:
        ranking = standing(place)
        printing.print_json(ranking.summary()) if as_json else printing.print_standing(ranking)
        return
    _import_tensorflow(quiet)
    import kfc

    search = kfc.tune(checked, workers=workers, folder=place, verbose=not quiet)
    if as_json:
        printing.print_json(search.summary())
        return
    printing.print_standing(standing(place))
    printing.print_search(search)


@app.command()
def resume(folder: RunFolder, as_json: AsJson = False, quiet: Quiet = False) -> None:
    """Go on with an interrupted RUN, to the bits it would have without the interruption."""
    from kfc import resuming

    resuming.check(folder)  # before TensorFlow is imported
    _import_tensorflow(quiet)
    import kfc

    printing.print_run(kfc.resume(folder, verbose=not quiet).summary(), as_json)


@app.command()
def evaluate(
    folder: RunFolder,
    rows: Annotated[
        str | None,
        typer.Argument(
            metavar="[FILE]",
            help="Other labelled rows: a .npz file with x and y, or a source such as "
            "npy:FOLDER, of which the test rows are taken if it has any.",
            show_default=False,
        ),
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Measure a finished RUN again on its own rows, or on the labelled rows of FILE."""
    from kfc.data.files import read_labelled

    if rows and ":" in rows:  # a source, which may import TensorFlow itself
        _import_tensorflow(quiet)
    source = read_labelled(rows) if rows else None
    _import_tensorflow(quiet)
    import kfc

    run = kfc.load(folder)
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
    """List runs: name, date, metrics, and how each spec differs from the run before."""
    from kfc.run_list import list_runs

    listed = list_runs(folder)
    if as_json:
        printing.print_json({"runs": [run.summary() for run in listed]})
    else:
        printing.print_runs(listed)


@app.command()
def predict(
    folder: RunFolder,
    file: Annotated[Path, typer.Argument(help="Raw rows: .npy, .npz (x), IDX or IDX.gz.")],
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Print label and probabilities of each row, as CSV.

    RUN may also be what `kfc export` made: the folder of a version, or of all of them.
    """
    from kfc.data.files import read_inputs

    x = read_inputs(file)
    _import_tensorflow(quiet)
    import kfc
    from kfc.exporting.exported import load_export
    from kfc.exporting.versions import is_export
    from kfc.predictions import table

    model = load_export(folder) if is_export(folder) else kfc.load(folder)
    predictions = model.predict(x)
    if as_json:
        columns = predictions._asdict().items()
        printing.print_json({name: values.tolist() for name, values in columns if values.size})
    else:
        sys.stdout.write(table(predictions, model.task))


@app.command()
def export(
    folder: RunFolder,
    path: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of all versions.")],
    version: Annotated[
        int | None,
        typer.Option(min=1, help="Its number.  [default: the next free one]"),
    ] = None,
    format: Annotated[
        str, typer.Option(help="saved_model, onnx, litert or a plug-in's.")
    ] = "saved_model",
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Export RUN as DIR/VERSION: raw values in, labels and probabilities out.

    A fresh process without kfc and Keras must give the run's own answers, or nothing is
    exported.
    """
    from kfc.registry import EXPORTERS

    EXPORTERS.check(format, "--format")  # before TensorFlow is imported
    _import_tensorflow(quiet)
    import kfc

    exported = kfc.export(folder, path, version=version, format=format, verbose=not quiet)
    if as_json:
        printing.print_json(exported.summary())
    else:
        printing.print_export(exported)


@app.command()
def prove(
    arguments: SpecArguments = None,
    steps: Annotated[int, typer.Option(min=2, help="Steps to compare.")] = 12,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Prove that every path to the weights makes the same steps as the maths.

    SPEC may also be the folder of a run, which the certificate then joins as proof.json.
    """
    from kfc import doors
    from kfc import spec as specs

    spec, overrides = _spec_and_overrides(arguments or [])
    of_run = Path(spec) / "spec.yaml"
    if of_run.is_file():
        doors.hand_over(Path(spec))
        specs.load(of_run, overrides)  # before TensorFlow is imported
    else:
        specs.load(spec, overrides)
    _import_tensorflow(quiet)
    import kfc

    certificate = kfc.prove(spec, steps=steps, overrides=overrides)
    if as_json:
        printing.print_json(certificate.summary())
    else:
        printing.print_certificate(certificate)
    if not certificate.passed:
        sys.exit(NumbersError.exit_code)


@app.command()
def eject(arguments: SpecArguments = None) -> None:
    """Print a script without kfc that trains SPEC to the same weights, bit for bit."""
    from kfc import spec as specs

    spec, overrides = _spec_and_overrides(arguments or [])
    checked = specs.load(spec, overrides)  # before TensorFlow is imported
    _import_tensorflow()
    import kfc

    print(kfc.eject(checked), end="")


@app.command(name="specs")
def list_specs(
    name: Annotated[str | None, typer.Argument(help="Print this one.")] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """List the built-in specs, or print one."""
    from kfc import spec as specs

    if name:
        text = specs.builtin_text(name)
        printing.print_json(specs.load(name).model_dump(mode="json")) if as_json else print(
            text, end=""
        )
    elif as_json:
        printing.print_json({"specs": specs.builtin_specs()})
    else:
        rows = (
            (n, specs.builtin_text(n).splitlines()[0].lstrip("# "))
            for n in specs.builtin_specs()
        )
        printing.print_table(("spec", "what it is"), rows)


@app.command()
def sources(as_json: AsJson = False, quiet: Quiet = False) -> None:
    """List the kinds of sources, built in and from plug-ins."""
    from kfc.registry import SOURCES

    uses = {
        "sklearn": ("sklearn:digits, :breast_cancer, :wine, :iris, :diabetes", "never"),
        "tfds": ("tfds:NAME, any tensorflow-datasets set; TFDS_DATA_DIR", "first time"),
        "idx": ("idx:FOLDER, MNIST-format files, plain or .gz", "never"),
        "npz": ("npz:FILE, arrays x, y (and x_test, y_test)", "never"),
        "npy": ("npy:FOLDER, x.npy, y.npy (and x_test, y_test), of any size", "never"),
    }
    if as_json:
        printing.print_json({"sources": SOURCES.owners()})
        return
    rows = (
        (
            kind,
            *uses.get(kind, (SOURCES.summary(kind) or f"{kind}:...", "ask its author")),
            " and ".join(owners),
        )
        for kind, owners in SOURCES.owners().items()
    )
    printing.print_table(("kind", "use", "network", "from"), rows)


@app.command()
def plugins(as_json: AsJson = False, quiet: Quiet = False) -> None:
    """List every component by kind, and the distribution it comes from."""
    from kfc.registry import REGISTRIES
    from kfc.spec.components import Activation, Callback, Initializer, Loss
    from kfc.spec.optimizer import Optimizer

    if as_json:
        printing.print_json({registry.kind: registry.owners() for registry in REGISTRIES})
        return
    rows = [
        (registry.kind, name, " and ".join(owners), registry.group)
        for registry in REGISTRIES
        for name, owners in registry.owners().items()
    ]
    for component in (Activation, Initializer, Loss, Optimizer, Callback):
        own = component.registry.names() if component.registry else []
        names = [name for name in component.known() if name not in own]
        rows.append((component.kind, ", ".join(names), "keras", ""))
    printing.print_table(("kind", "name", "from", "entry-point group"), rows)


@app.command()
def schema(as_json: AsJson = False, quiet: Quiet = False) -> None:
    """Print the JSON Schema of a spec, for an editor to complete from."""
    from kfc.spec import Spec

    printing.print_json(Spec.model_json_schema())


def main(arguments: list[str] | None = None) -> None:
    """Runs a command; every kfc error becomes its message and its exit code.

    Args:
        arguments: Of the command line, by default the process's own.
    """
    _prepare_streams()
    signal.signal(signal.SIGTERM, _terminate)
    logging.getLogger("absl").setLevel(logging.ERROR)
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    with streams.guarded():
        try:
            # It ends with SystemExit: 0, 2 for its own complaints, 130 for Ctrl-C.
            app(arguments)
        except KfcError as error:
            for fault in error.faults:
                print(f"error: {fault}", file=sys.stderr)
            sys.exit(error.exit_code)
        except Exception:
            traceback.print_exc()
            bug = "This is a bug in kfc; please report it with the lines above."
            print(bug, file=sys.stderr)
            sys.exit(1)


def _prepare_streams() -> None:
    """Lets a command run where a standard stream is missing or lacks letters.

    A service may have no stderr, and the letters of a label may not be in the encoding of
    stdout; they are written by their numbers then, as Python does on stderr.
    """
    open_standard_streams()
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            null = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115  # until the end
            setattr(sys, name, null)
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _terminate(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)


def _spec_and_overrides(arguments: list[str]) -> tuple[str, dict[str, Any]]:
    from kfc.spec import read_value

    pairs = [argument.partition("=") for argument in arguments if "=" in argument]
    names = [argument for argument in arguments if "=" not in argument]
    if len(names) > 1:
        raise SpecError(
            Fault("arguments", "one SPEC", " and ".join(names), "Overrides read key=value.")
        )
    keys = [key for key, _, _ in pairs]
    if twice := {key for key in keys if keys.count(key) > 1}:
        raise SpecError(
            Fault(
                "arguments", "each key once", f"{sorted(twice)[0]} twice", "Drop one of them."
            )
        )
    overrides = {key: read_value(value) for key, _, value in pairs}
    return (names[0] if names else "digits"), overrides


def _with_eager(overrides: dict[str, Any]) -> dict[str, Any]:
    if "training.engine" in overrides:
        got = f"--eager and training.engine={overrides['training.engine']}"
        raise SpecError(Fault("arguments", "one engine", got, "Drop one of them."))
    return {**overrides, "training.engine": "eager"}


def _import_tensorflow(quiet: bool = False) -> None:
    """Imports TensorFlow and Keras without a second of garbage collection.

    The collector would walk the million objects they make, which all stay, again and again
    as their number grows. A process of somebody else's keeps its own habits.

    Args:
        quiet: Whether to leave out the line that tells a person at a terminal to wait.
    """
    if "tensorflow" in sys.modules:
        return
    if not quiet and sys.stderr.isatty():  # the import takes three to eight seconds
        print("starting TensorFlow", file=sys.stderr, flush=True)
    before = {
        number: signal.signal(number, _leave)
        for number in _SIGNALS
        if signal.getsignal(number) not in (signal.SIG_IGN, None)  # ignored stays ignored
    }
    gc.disable()
    try:
        import_tensorflow()
        gc.freeze()
    finally:
        gc.enable()
        for number, handler in before.items():
            signal.signal(number, handler)


def _leave(number: int, frame: FrameType | None) -> None:
    # An exception within the import of a C extension may end in a crash; nothing is lost.
    os._exit(128 + number)
