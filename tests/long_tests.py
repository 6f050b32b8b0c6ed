"""Writes which tests take long: `tests/long_tests.json`, from the log of a complete run.

    python -m pytest -m "not slow" --durations=0 --durations-min=1 > all.log
    python tests/long_tests.py all.log

A default run leaves these out, so that it ends within six minutes on two cores; `.ci/run` and
`python -m pytest -m "not slow"` run them too.
"""

import json
import re
import sys
from pathlib import Path

FILE = Path(__file__).with_name("long_tests.json")
SECONDS = 1.0
"""A test that takes longer is long."""

_LINE = re.compile(r"\s*([\d.]+)s call\s+(tests/\S.*)")


def long_tests(log: str) -> dict[str, float]:
    """Returns the tests of a log that take long, with the seconds of their calls."""
    found = {m[2].strip(): float(m[1]) for m in map(_LINE.fullmatch, log.splitlines()) if m}
    return {name: found[name] for name in sorted(found) if found[name] >= SECONDS}


if __name__ == "__main__":
    text = json.dumps(long_tests(Path(sys.argv[1]).read_text()), indent=0)
    FILE.write_text(text + "\n")
