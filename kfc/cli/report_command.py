"""The command that writes the page of a result."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from kfc.cli import printing
from kfc.cli.options import AsJson, Quiet
from kfc.cli.startup import start_for_command
from kfc.system import user_paths


def report(
    folders: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN...",
            help="Folder of a run, a cross-validation or a search; several runs are compared.",
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="File to write.  [default: report.html]", show_default=False),
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Write a page that shows what a network learned and where it fails.

    The page of one RUN is report.html in its folder. Several runs are compared on one page,
    comparison.html beside the first one.
    """
    start_for_command(quiet)
    import kfc

    shown = user_paths.shown_path(kfc.report(*folders, path=out).path)
    if as_json:
        printing.print_json({"path": shown})
    else:
        print(f"{'report':18} {shown}")
