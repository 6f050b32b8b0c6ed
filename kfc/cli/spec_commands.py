"""The commands that begin with a spec, or draft one.

Each command imports its modules when it runs, so that `kfc --help` needs no TensorFlow.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from kfc.cli import printing, table_commands
from kfc.cli.arguments import check_fold_options, spec_and_overrides, with_eager
from kfc.cli.local_workers import check_workers, run_workers
from kfc.cli.options import (
    AsJson,
    OnRay,
    Quiet,
    SpecArguments,
    Verbose,
    output_flags,
    progress_level,
)
from kfc.cli.startup import start_for_command
from kfc.errors import NumbersError


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
    folds: Annotated[
        int | None,
        typer.Option(
            min=2,
            help="Train a run for each of N folds, measured on the rows it has not seen.",
            metavar="N",
            show_default=False,
        ),
    ] = None,
    repeats: Annotated[
        int, typer.Option(min=1, help="Number of times that all folds are trained.")
    ] = 1,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Number of processes: of folds, those that train at once; otherwise, those "
            "that share each batch.  [default: 1]",
            show_default=False,
        ),
    ] = None,
    ray: OnRay = None,
    no_doctor: Annotated[
        bool,
        typer.Option("--no-doctor", help="Leave out the checks of `kfc doctor`."),
    ] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Train a network. SPEC is a file or a built-in spec, by default `digits`.

    key=value sets a dotted path of the spec, such as training.epochs=3.
    """
    from kfc.spec import load_spec

    check_fold_options(folds, repeats, start, ray)
    spec, overrides = spec_and_overrides(arguments or [])
    if eager:
        overrides = with_eager(overrides)
    checked = load_spec(spec, overrides)  # before TensorFlow is imported
    if folds is None and workers is not None and workers > 1:
        check_workers(checked)
        given = [*(arguments or []), "--runs", str(runs)]
        given += [*(["--from", str(start)] if start else []), *(["--eager"] if eager else [])]
        given += ["--no-doctor"] if no_doctor else []
        given += output_flags(as_json=as_json, quiet=quiet, verbose=verbose)
        sys.exit(run_workers(workers, ["fit", *given]))
    start_for_command(quiet)
    import kfc

    shown = progress_level(quiet=quiet, verbose=verbose)
    checks: Any = "none" if no_doctor else "start"
    if folds is not None:
        options: dict[str, Any] = {
            **{"repeats": repeats, "workers": workers, "ray": ray},
            "checks": checks,
        }
        result = kfc.cross_validate(checked, folds=folds, runs=runs, verbose=shown, **options)
        printing.print_cross_validation(result, as_json)
        return
    begin = kfc.load(start) if start else None
    run = kfc.fit(checked, network=begin, runs=runs, verbose=shown, checks=checks)
    if printing.is_printed_elsewhere(run):
        return
    printing.print_run(run.summary(), as_json)
    if not as_json:
        printing.print_published(run)


def tune(
    arguments: SpecArguments = None,
    workers: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Number of processes that train at once.  [default: 1]",
            show_default=False,
        ),
    ] = None,
    ray: OnRay = None,
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
    from kfc.cluster import check_ray
    from kfc.spec import load_spec
    from kfc.tuning import Space, read_status, search_folder

    spec, overrides = spec_and_overrides(arguments or [])
    checked = load_spec(spec, overrides)
    Space.of(checked)  # before TensorFlow is imported
    if ray is not None:
        check_ray(ray)
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

    search = kfc.tune(checked, workers=workers, ray=ray, folder=place, verbose=not quiet)
    if as_json:
        printing.print_json(search.summary())
        return
    printing.print_search_status(read_status(place))
    printing.print_search(search)


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


def eject(arguments: SpecArguments = None) -> None:
    """Print a script that trains SPEC to bit-identical weights without kfc."""
    from kfc.spec import load_spec

    spec, overrides = spec_and_overrides(arguments or [])
    checked = load_spec(spec, overrides)  # before TensorFlow is imported
    start_for_command()
    import kfc

    print(kfc.eject(checked), end="")
