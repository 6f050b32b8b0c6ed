"""The types of the arguments and options that several commands have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

SpecArguments = Annotated[
    list[str] | None, typer.Argument(metavar="[SPEC] [key=value ...]", show_default=False)
]
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
Verbose = Annotated[
    bool, typer.Option("--verbose", "-v", help="Print a line for each epoch, not a bar.")
]
OnRay = Annotated[
    str | None,
    typer.Option(
        "--ray",
        metavar="[ADDRESS]",
        help="Train on the nodes of a Ray cluster.  [ADDRESS: RAY_ADDRESS, else local]",
        show_default=False,
    ),
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print results and errors only.")]


def progress_level(*, quiet: bool, verbose: bool) -> bool | int:
    """Returns `verbose` of `kfc.fit` for two options of a command; `--quiet` wins."""
    return False if quiet else 2 if verbose else True


def output_flags(*, as_json: bool, quiet: bool, verbose: bool) -> list[str]:
    """Returns the options of a command that say what it prints, as arguments."""
    given = {"--json": as_json, "--quiet": quiet, "--verbose": verbose}
    return [flag for flag, is_set in given.items() if is_set]
