"""Runs the examples of README.md, printing what each gives, and draws their functions."""

import sys
from pathlib import Path

import page
from curves import draw


def measure(*, runner=page.Printer):
    """Returns heading -> how many of its examples failed, and how many there are."""
    names = {}
    return {heading: page.run(heading, names, runner=runner) for heading in page.sections()}


if __name__ == "__main__":
    counts = measure().values()
    draw(Path(__file__).parent / "functions.png")
    failed, tried = (sum(numbers) for numbers in zip(*counts, strict=True))
    print(f"{tried - failed} of {tried} examples give what README.md says")
    sys.exit(failed > 0)
