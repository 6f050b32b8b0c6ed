"""The command that names the faults of a spec, before anything is trained."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kfc.cli import printing
from kfc.cli.arguments import spec_and_overrides
from kfc.cli.options import AsJson, Quiet, SpecArguments
from kfc.cli.rate_range_command import print_rate_range
from kfc.cli.startup import start_for_command

if TYPE_CHECKING:
    from kfc.diagnosing import Diagnosis
    from kfc.spec import Spec


def doctor(
    arguments: SpecArguments = None,
    fix: Annotated[
        bool,
        typer.Option(
            "--fix", help="Write the cured spec beside the old one, as NAME.cured.yaml."
        ),
    ] = False,
    explain: Annotated[
        str | None,
        typer.Option(
            metavar="CODE",
            help="Print the background of a finding, such as KFC203 or input_shape.",
            show_default=False,
        ),
    ] = None,
    learning_rate: Annotated[
        bool,
        typer.Option(
            "--learning-rate",
            help="Run a learning-rate range test instead; the argument FILE.svg, if there is "
            "one, is the picture to write.",
        ),
    ] = False,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Name the faults of SPEC, of its data and of its first steps, with evidence and cure.

    key=value sets a dotted path of the spec, such as training.epochs=3.
    """
    if explain is not None:
        print_background(explain, as_json)
        return
    if learning_rate:
        print_rate_range(arguments or [], as_json, quiet)
        return
    from kfc.spec import load_spec

    name, overrides = spec_and_overrides(arguments or [])
    spec = load_spec(name, overrides)  # before TensorFlow is imported
    start_for_command(quiet)
    from kfc.diagnosing import diagnose_spec

    diagnosis = diagnose_spec(spec)
    cured = _write_cured(name, overrides, spec, diagnosis) if fix else None
    if as_json:
        written = {"cured": str(cured)} if cured else {}
        printing.print_json({**diagnosis.as_json(), **written})
        return
    print_diagnosis(diagnosis)
    if cured:
        print(f"{'cured':16} {cured}")
    elif fix:
        print("No finding has a cure in the spec.")


def print_background(code: str, as_json: bool) -> None:
    """Prints the background of a finding: its cause, its cure and the sources.

    Args:
        code: Code or name of the check.
        as_json: Whether to print JSON.

    Raises:
        SpecError: If there is no such check.
    """
    from kfc.diagnosing import background

    text = background(code)
    if as_json:
        printing.print_json({"code": code, "text": text})
    else:
        print(text)


def print_diagnosis(diagnosis: Diagnosis) -> None:
    """Prints a table of the findings, or that there are none."""
    from rich.console import Console

    Console().print(diagnosis, markup=False, highlight=False)
    if diagnosis.findings:
        code = diagnosis.findings[0].code
        print(f"`kfc doctor --explain {code}` prints the background of a finding.")


def _write_cured(
    name: str, overrides: dict[str, Any], spec: Spec, diagnosis: Diagnosis
) -> Path | None:
    from kfc.diagnosing import cure_spec
    from kfc.spec import write_cured

    changes = cure_spec(spec, diagnosis)
    return write_cured(name, {**overrides, **changes}) if changes else None
