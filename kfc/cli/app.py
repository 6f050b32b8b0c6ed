"""Defines the command line: its commands in the order of `kfc --help`, and its errors."""

from __future__ import annotations

import logging
import signal
import sys
import traceback
from collections.abc import Callable
from types import FrameType
from typing import Annotated

import typer

from kfc.cli import (
    doctor_command,
    explain_command,
    listing_commands,
    report_command,
    run_commands,
    spec_commands,
)
from kfc.cli.arguments import with_ray_address
from kfc.cli.startup import forgo_pandas
from kfc.errors import Finding, KfcError, SpecError
from kfc.system import memory, standard_streams

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


_COMMANDS: dict[str, Callable[..., None]] = {
    "new": spec_commands.new,
    "fit": spec_commands.fit,
    "tune": spec_commands.tune,
    "resume": run_commands.resume,
    "evaluate": run_commands.evaluate,
    "report": report_command.report,
    "runs": run_commands.list_runs,
    "predict": run_commands.predict,
    "export": run_commands.export,
    "doctor": doctor_command.doctor,
    "verify": spec_commands.verify,
    "eject": spec_commands.eject,
    "explain": explain_command.explain,
    "specs": listing_commands.list_specs,
    "presets": listing_commands.list_presets,
    "sources": listing_commands.sources,
    "plugins": listing_commands.plugins,
    "schema": listing_commands.schema,
}
for _name, _command in _COMMANDS.items():
    app.command(name=_name)(_command)


def main(arguments: list[str] | None = None) -> None:
    """Runs a command; an error of kfc is printed and sets the exit code.

    Args:
        arguments: Arguments of the command; by default those of the process.
    """
    standard_streams.prepare_streams()
    if arguments is None and sys.argv[1:2] in (["explain"], ["new"]):
        forgo_pandas()
    signal.signal(signal.SIGTERM, _terminate)
    logging.getLogger("absl").setLevel(logging.ERROR)
    logging.getLogger("tensorflow").setLevel(logging.ERROR)
    with standard_streams.guarded_streams():
        try:
            # typer ends with SystemExit: 0, 2 for a usage error, 130 for Ctrl-C.
            app(with_ray_address(sys.argv[1:] if arguments is None else arguments))
        except KfcError as error:
            for finding in error.findings:
                print(f"error: {finding.labelled()}", file=sys.stderr)
            sys.exit(error.exit_code)
        except MemoryError as error:
            print(f"error: {_too_large(error).labelled()}", file=sys.stderr)
            sys.exit(SpecError.exit_code)
        except Exception:
            traceback.print_exc()
            bug = "This is a bug in kfc; please report it with the lines above."
            print(bug, file=sys.stderr)
            sys.exit(1)


def _too_large(error: MemoryError) -> Finding:
    """Returns the finding about a command that needs more memory than it may have."""
    remedy = "Use a machine or a limit with more, data.stream: always, or fewer data.rows."
    expected = f"a command that fits in {memory.limit_bytes() / 1e9:.1f} GB"
    return Finding("memory", expected, str(error) or "no memory left", remedy)


def _terminate(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)
