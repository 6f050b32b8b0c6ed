"""Writes the page of a run, of several runs, of a cross-validation or of a search."""

from __future__ import annotations

import html
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kfc.data import Prepared
from kfc.pages import FILE
from kfc.reporting.rendering import page_html
from kfc.reporting.run_facts import RunFacts
from kfc.reporting.run_sections import run_sections
from kfc.runs import Run, date_of, load_run
from kfc.system import atomic, tensorflow_startup, user_paths


@dataclass(frozen=True)
class Report:
    """A page on the disk; a notebook shows it.

    Args:
        path: Absolute path of the HTML file.

    Examples:
        >>> run = kfc.fit("digits", overrides={"training.epochs": 1}, verbose=False)
        >>> kfc.report(run).path == run.folder / "report.html"
        True
    """

    path: Path

    @property
    def html(self) -> str:
        """Content of the file."""
        return atomic.read_text(self.path)

    def __repr__(self) -> str:
        return f"Report {user_paths.shown_path(self.path)}"

    def _repr_html_(self) -> str:
        # In a frame of its own, the page's style does not change the notebook.
        return (
            '<iframe title="Report" sandbox="allow-scripts" '
            'style="width: 100%; height: 40rem; border: 1px solid #8888" '
            f'srcdoc="{html.escape(self.html)}"></iframe>'
        )


def report(*results: Any, data: Any = None, path: str | Path | None = None) -> Report:
    """Writes the page of a finished run: what it learned, and where it fails.

    The page is one HTML file that needs no network. `kfc.fit` writes it too, unless the spec
    has `report: false`. A run on rows that were given in Python keeps the page that `kfc.fit`
    wrote where the rows are not passed again.

    Args:
        *results: A run, or its folder.
        data: Rows that the run was given in Python.
        path: File to write; by default `report.html` in the folder of the run.

    Returns:
        The page, which a notebook shows.

    Raises:
        SpecError: If there is no result, or one that has no page.
        CheckpointError: If a folder holds no finished run.
        DataError: If `data` are not the rows of the run.
        DiskError: If the file cannot be written.

    Examples:
        >>> run = kfc.fit("digits", overrides={"training.epochs": 1}, verbose=False)
        >>> page = kfc.report(run)
        >>> page.path.name, len(page.html) < 3_000_000
        ('report.html', True)
    """
    tensorflow_startup.check_process()
    place = None if path is None else user_paths.absolute(path)
    (result,) = results
    return _write_run(_loaded(result), data=data, path=place)


def write_finished(result: Any, *, prepared: Prepared | None = None, data: Any = None) -> None:
    """Writes the page of a result that has just been finished.

    Args:
        result: Finished run.
        prepared: Data of a run.
        data: Rows given in Python.
    """
    if isinstance(result, Run):
        _write_run(result, prepared=prepared, data=data)


def _loaded(result: Any) -> Any:
    return result if isinstance(result, Run) else load_run(user_paths.absolute(result))


def _write_run(
    run: Run,
    *,
    prepared: Prepared | None = None,
    data: Any = None,
    path: Path | None = None,
) -> Report:
    place = path or run.folder / FILE
    in_python = run.spec.data.source is None and data is None and prepared is None
    if in_python and path is None and place.is_file():
        return Report(place)
    facts = RunFacts.of(run, prepared, data)
    date = f"begun {date_of(run.folder)}"
    return _written(place, page_html(facts.name, "Run", date, run_sections(facts)))


def _written(place: Path, text: str) -> Report:
    atomic.write_file(place, text)
    return Report(place)
