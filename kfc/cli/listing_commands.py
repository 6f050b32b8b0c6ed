"""The commands that print lists: of specs, sources, components and keys.

Each command imports its modules when it runs, so that `kfc --help` needs no TensorFlow.
"""

from __future__ import annotations

from typing import Annotated

import typer

from kfc.cli import printing
from kfc.cli.options import AsJson, Quiet


def list_specs(
    name: Annotated[str | None, typer.Argument(help="Name of the spec to print.")] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """List the built-in specs, or print one of them."""
    from kfc.cli.listings import print_specs

    print_specs(name, as_json)


def list_presets(
    name: Annotated[str | None, typer.Argument(help="Name of the preset to print.")] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """List the presets, or print the values of one of them."""
    from kfc.cli.listings import print_presets

    print_presets(name, as_json)


def sources(as_json: AsJson = False, quiet: Quiet = False) -> None:
    """List the kinds of data sources, built in and from plug-ins."""
    from kfc.cli.listings import print_sources

    print_sources(as_json)


def plugins(as_json: AsJson = False, quiet: Quiet = False) -> None:
    """List all components with their kind and distribution."""
    from kfc.cli.listings import print_components

    print_components(as_json)


def schema(as_json: AsJson = False, quiet: Quiet = False) -> None:
    """Print the JSON Schema of specs, for completion in an editor."""
    from kfc.spec import Spec

    printing.print_json(Spec.model_json_schema())
