"""The learning-rate range test of `kfc doctor --learning-rate`."""

from __future__ import annotations

from rich.console import Console

from kfc.cli import printing
from kfc.cli.arguments import spec_and_overrides
from kfc.cli.startup import start_for_command
from kfc.errors import Finding, SpecError
from kfc.system import user_paths


def print_rate_range(arguments: list[str], as_json: bool, quiet: bool) -> None:
    """Runs a learning-rate range test, and prints the rate that it suggests.

    Args:
        arguments: Arguments of the command: a spec, `key=value`, and perhaps the name of a
            picture, which ends in `.svg`.
        as_json: Whether to print JSON.
        quiet: Whether to omit the line that asks the user of a terminal to wait.

    Raises:
        KfcError: If the spec or its data are wrong, or the picture cannot be written.
    """
    from kfc.spec import load_spec

    pictures = [word for word in arguments if _is_picture(word)]
    if len(pictures) > 1:
        remedy = "Name one file."
        raise SpecError(Finding("arguments", "one picture", " and ".join(pictures), remedy))
    name, overrides = spec_and_overrides([w for w in arguments if not _is_picture(w)])
    checked = load_spec(name, overrides)  # before TensorFlow is imported
    start_for_command(quiet)
    import kfc

    found = kfc.learning_rate_range(checked)
    written = [user_paths.shown_path(found.save_picture(file)) for file in pictures]
    if as_json:
        printing.print_json(
            {**found.summary(), **({"picture": written[0]} if written else {})}
        )
        return
    Console().print(found.table())
    printing.print_wrapped(found.sentence())
    for file in written:
        print(f"{'picture':16} {file}")


def _is_picture(word: str) -> bool:
    return "=" not in word and word.lower().endswith(".svg")
