"""The command that predicts a training without running it."""

from __future__ import annotations

import sys

from kfc.cli import printing
from kfc.cli.arguments import spec_and_overrides
from kfc.cli.options import AsJson, SpecArguments
from kfc.cli.startup import modules_that_stay
from kfc.errors import one_line


def explain(arguments: SpecArguments = None, as_json: AsJson = False) -> None:
    """Predict how the training of SPEC begins, without TensorFlow: signals, loss and rates.

    SPEC is a file or a built-in spec, by default `digits`. key=value sets a dotted path of
    the spec, such as training.optimizer.learning_rate=0.1.
    """
    with modules_that_stay():
        from kfc.explaining import explain as predict

        spec, overrides = spec_and_overrides(arguments or [])
        explanation = predict(spec, overrides)
    if as_json:
        printing.print_json(explanation.summary())
        return
    if explanation.layers:
        from rich.console import Console

        # Names of layers are no emoji, whose table would be imported.
        console = Console(width=None if sys.stdout.isatty() else 120, emoji=False)
        console.print(explanation.table())
    for name, text in explanation.lines().items():
        print(f"{name:22} {one_line(text)}")
    for finding in explanation.findings:
        print(f"{finding.severity}: {finding.labelled()}")
