"""Writes the page of a run, of several runs, of a cross-validation or of a search.

The modules that read a search are imported where they are used: they bring keras-tuner, 10 MB
that the page of a run does not need.
"""

from __future__ import annotations

import html
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kfc.data import Prepared, Rows
from kfc.ensembles import CrossValidation, Ensemble, is_ensemble, load, load_folds, read_plan
from kfc.errors import CheckpointError, DataError, Finding, SpecError
from kfc.pages import FILE
from kfc.reporting.average_sections import average_sections
from kfc.reporting.class_numbers import confusion
from kfc.reporting.comparison_sections import comparison_sections
from kfc.reporting.fold_sections import fold_sections
from kfc.reporting.rendering import page_html
from kfc.reporting.run_facts import RunFacts
from kfc.reporting.run_sections import run_sections
from kfc.reporting.tensorboard_images import write_confusion_image
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
    """Writes the page of a result: what a network learned, and where it fails.

    The page is one HTML file that needs no network. `kfc.fit`, `kfc.cross_validate` and
    `kfc.tune` write it too, unless the spec has `report: false`. A run on rows that were given
    in Python keeps the page that `kfc.fit` wrote where the rows are not passed again.

    Args:
        *results: A run, an ensemble, a cross-validation or a search, or its folder; several
            runs are compared on one page.
        data: Rows that the run was given in Python.
        path: File to write; by default `report.html` in the folder of the result, or
            `comparison.html` beside the folder of the first run.

    Returns:
        The page, which a notebook shows.

    Raises:
        SpecError: If there is no result, or several that are not all runs.
        CheckpointError: If a folder holds no finished run.
        DataError: If `data` are not the rows of the run, or if its page would lose what it
            shows because the rows are not there any more.
        DiskError: If the file cannot be written.

    Examples:
        >>> run = kfc.fit("digits", overrides={"training.epochs": 1}, verbose=False)
        >>> page = kfc.report(run)
        >>> page.path.name, len(page.html) < 3_000_000
        ('report.html', True)
    """
    tensorflow_startup.check_process()
    place = None if path is None else user_paths.absolute(path)
    loaded = [_loaded(each) for each in results]
    if not loaded:
        raise SpecError(Finding("results", "a run", "none", "Pass a run or its folder."))
    if len(loaded) == 1:
        return _write_one(loaded[0], data=data, path=place)
    for each in loaded:
        if not isinstance(each, Run):
            got, remedy = type(each).__name__, "Write the page of each of the others alone."
            raise SpecError(Finding("results", "runs, if there are several", got, remedy))
    return _write_several(loaded, data=data, path=place)


def report_on(result: Run | Ensemble, rows: Rows, path: str | Path) -> Report:
    """Writes the page of a result with its answers for other rows than its own.

    Args:
        result: Run or average, in a folder.
        rows: Encoded inputs and targets, as the networks take them.
        path: File to write.
    """
    place = user_paths.absolute(path)
    runs = result.runs if isinstance(result, Ensemble) else [result]
    facts = [RunFacts.of(run).for_rows(rows) for run in runs]
    if isinstance(result, Ensemble):
        sections = average_sections(result, facts)
        kind = "Average of several runs"
        return _written(place, page_html(result.folder.name, kind, "", sections))
    return _write_page_of(facts[0], place)


def write_finished(result: Any, *, prepared: Prepared | None = None, data: Any = None) -> None:
    """Writes the page of a result that has just been finished.

    Args:
        result: Finished run, ensemble, cross-validation or search.
        prepared: Data of a run.
        data: Rows given in Python.
    """
    if not isinstance(result, Run):
        _write_one(result, data=data)
        return
    facts = RunFacts.of(result, prepared, data)
    _write_page_of(facts, result.folder / FILE)
    answers, names = facts.final, result.task.class_names
    if answers is not None and names:
        counts = confusion(answers.y, answers.predicted, len(names))
        folder = result.folder / "tensorboard" / "test"
        write_confusion_image(folder, counts, names, result.epochs)


def _loaded(result: Any) -> Any:
    """Returns a result, or the one in a folder."""
    from kfc.tuning import Search, SearchStatus, read_status

    if not isinstance(result, (str, Path)):
        if isinstance(result, (Run, Ensemble, CrossValidation, Search, SearchStatus)):
            return result
        got = type(result).__name__
        expected = "a run, an ensemble, a cross-validation, a search or a folder"
        remedy = "Pass the result of kfc.fit."
        if hasattr(result, "report"):
            remedy = "Call its method `report`."
        raise SpecError(Finding("results", expected, got, remedy))
    place = user_paths.absolute(result)
    if place.is_file():
        remedy = "Pass the folder that `kfc fit` has printed, such as runs/0001-digits."
        where = user_paths.shown_path(place)
        raise CheckpointError(Finding(where, "the folder of a run", "a file", remedy))
    if (place / "journal.jsonl").is_file():
        return read_status(place)
    if is_ensemble(place):
        return load_folds(place) if read_plan(place).kind == "folds" else load(place)
    return load_run(place)


def _write_one(result: Any, *, data: Any = None, path: Path | None = None) -> Report:
    if isinstance(result, Run):
        return _write_run(result, data=data, path=path)
    place = path or result.folder / FILE
    name = result.folder.name
    if isinstance(result, CrossValidation):
        date = f"begun {date_of(result.folder, 'ensemble.json')}"
        return _written(
            place, page_html(name, "Cross-validation", date, fold_sections(result))
        )
    if isinstance(result, Ensemble):
        sections = average_sections(result, _facts(result.runs, data))
        return _written(place, page_html(name, "Average of several runs", "", sections))
    from kfc.reporting.search_sections import search_sections
    from kfc.tuning import read_status

    status = read_status(result.folder)
    date = f"begun {date_of(status.folder, 'journal.jsonl')}"
    title = f"search for the best {status.objective}, {date}"
    return _written(place, page_html(name, "Search", title, search_sections(status)))


def _write_several(runs: list[Run], *, data: Any, path: Path | None) -> Report:
    place = path or runs[0].folder.parent / "comparison.html"
    title = " and ".join(each.folder.name for each in runs[:3])
    more = f" and {len(runs) - 3} more" if len(runs) > 3 else ""
    sections = comparison_sections(_facts(runs, data))
    return _written(place, page_html(f"{title}{more}", "Comparison", "", sections))


def _facts(runs: Iterable[Run], data: Any) -> list[RunFacts]:
    """Returns the runs with their rows; `data` are those of the runs without a source."""
    return [
        RunFacts.of(each, data=data if each.spec.data.source is None else None)
        for each in runs
    ]


def _write_run(run: Run, *, data: Any, path: Path | None) -> Report:
    place = path or run.folder / FILE
    in_python = run.spec.data.source is None and data is None
    if in_python and path is None and place.is_file():
        return Report(place)
    facts = RunFacts.of(run, data=data)
    if facts.prepared is None and path is None and place.is_file():
        raise DataError(
            Finding(
                f"{user_paths.shown_path(place)}",
                "the rows of the run, to write its page again",
                facts.no_rows,
                "The page is left as it is. Bring the rows back, or name another file, as in "
                "`--out page.html`, for a page without its answers.",
            )
        )
    return _write_page_of(facts, place)


def _write_page_of(facts: RunFacts, place: Path) -> Report:
    date = f"begun {date_of(facts.run.folder)}"
    return _written(place, page_html(facts.name, "Run", date, run_sections(facts)))


def _written(place: Path, text: str) -> Report:
    atomic.write_file(place, text)
    return Report(place)
