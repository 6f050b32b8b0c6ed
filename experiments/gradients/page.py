"""README.md -> its examples run, section by section."""

import doctest
import re
from pathlib import Path

PAGE = Path(__file__).parent / "README.md"


def sections():
    """Returns heading -> the lines of its examples."""
    parts = re.split(r"^#+ (.*)\n", PAGE.read_text("utf-8"), flags=re.MULTILINE)[1:]
    blocks = re.compile(r"^```pycon\n(.*?)^```", flags=re.DOTALL | re.MULTILINE)
    pairs = zip(parts[::2], parts[1::2], strict=True)
    return {heading: "".join(blocks.findall(text)) for heading, text in pairs}


class Printer(doctest.DocTestRunner):
    """Prints every example with what it gave, as the page has it."""

    def report_success(self, out, test, example, got):
        """Prints one that gave what the page says; doctest reports the others."""
        out(">>> " + example.source.rstrip().replace("\n", "\n... ") + "\n" + got)


def run(heading, names, *, runner=Printer):
    """Runs the examples of a section.

    Args:
        heading: Of the section.
        names: What the examples know by name; theirs are added.
        runner: A `doctest.DocTestRunner`.

    Returns:
        How many failed, and how many there are.
    """
    parser = doctest.DocTestParser()
    test = parser.get_doctest(sections()[heading], {}, heading, str(PAGE), 0)
    test.globs = names  # get_doctest copies them
    return tuple(runner(verbose=False).run(test, clear_globs=False))[:2]
