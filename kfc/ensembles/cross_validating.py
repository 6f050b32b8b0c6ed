"""Cross-validates a spec: trains a run for each fold, and keeps what each did not see."""

from __future__ import annotations

import functools
import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from kfc.cluster import check_ray
from kfc.data import GivenFolds, RawRows, Source, as_folds, read_folds
from kfc.data.sources import from_memory
from kfc.data.tables import tables_in_memory
from kfc.ensembles import average_file, fold_scores
from kfc.ensembles.averaging import OUT_OF_FOLD, AverageScore, average_uncertainty
from kfc.ensembles.ensemble import Ensemble, load_ensemble
from kfc.ensembles.fold_scores import FoldScore, mean_and_spread, score_table
from kfc.ensembles.member_training import MemberRunner, check_members, train_members
from kfc.ensembles.out_of_fold import HeldOutRows, OutOfFold, read_out_of_fold
from kfc.ensembles.plan_file import (
    FILE,
    FOLDS_FILE,
    EnsemblePlan,
    check_same,
    is_ensemble,
    read_plan,
)
from kfc.errors import Finding, SpecError
from kfc.pages import write_page
from kfc.runs import Checks, Run, scores, start_for_spec
from kfc.spec import Spec, SpecLike, load_spec
from kfc.system import atomic, hint_on_interrupt, locks, progress_console, user_paths

_CACHE = ".tables"


@dataclass(frozen=True, repr=False)
class CrossValidation:
    """A finished cross-validation; a notebook shows it as a table.

    Args:
        folder: Absolute path of its folder.
        spec: Spec of the caller, valid but not resolved.
        folds: Scores of each fold's run on the rows that it was not trained on.
        pooled: Scores of all held-out rows together, averaged over repeats.
        metrics: Scores of the average of all runs on the test rows of the data themselves;
            empty where there are none.
        baseline: The same scores of a constant prediction.
        uncertainty: Temperature or intervals of the average, fitted on the held-out rows of
            all folds; empty where the spec asks for none.

    Examples:
        >>> short = {"training.epochs": 1}
        >>> cv = kfc.cross_validate("digits", folds=3, overrides=short, verbose=False)
        >>> [fold.rows["test"] for fold in cv.folds]
        [599, 599, 599]
        >>> cv.mean["accuracy"] > 0.5, cv.spread["accuracy"] < 0.2
        (True, True)
        >>> len(cv.out_of_fold.row), len(cv.ensemble.runs)
        (1797, 3)
    """

    folder: Path
    spec: Spec
    folds: tuple[FoldScore, ...]
    pooled: dict[str, float]
    metrics: dict[str, float]
    baseline: dict[str, float]
    uncertainty: dict[str, Any] = field(default_factory=dict)

    @property
    def mean(self) -> dict[str, float]:
        """Mean of each score over all folds."""
        return mean_and_spread(self.folds)[0]

    @property
    def spread(self) -> dict[str, float]:
        """Standard deviation of each score over the folds, which is no error of the mean."""
        return mean_and_spread(self.folds)[1]

    @property
    def out_of_fold(self) -> OutOfFold:
        """Predictions of each row by a run that was not trained on it."""
        return read_out_of_fold(self.folder)

    @property
    def ensemble(self) -> Ensemble:
        """The average of all runs, which is the model to ship."""
        return load_ensemble(self.folder)

    def summary(self) -> dict[str, Any]:
        """Returns the plain values that `--json` prints."""
        return {
            "folder": user_paths.shown_path(self.folder),
            "mean": self.mean,
            "spread": self.spread,
            "pooled": dict(self.pooled),
            "folds": [vars(fold) for fold in self.folds],
            "metrics": dict(self.metrics),
            "baseline": dict(self.baseline),
            **({"uncertainty": dict(self.uncertainty)} if self.uncertainty else {}),
        }

    def table(self) -> Any:
        """Returns a `rich.table.Table` with a line for each fold, the mean and the spread."""
        return score_table(self.folds)

    def __repr__(self) -> str:
        text = Console(file=io.StringIO(), width=200, record=True)
        text.print(self.table())
        return f"CrossValidation {self.folder.name}\n{text.export_text().rstrip()}"

    def _repr_html_(self) -> str:
        shown = Console(file=io.StringIO(), width=200, record=True)
        shown.print(self.table())
        return shown.export_html(inline_styles=True, code_format="<pre>{code}</pre>")


def cross_validate(
    spec: SpecLike,
    *,
    folds: int | Any = 5,
    repeats: int = 1,
    overrides: Mapping[str, Any] | None = None,
    data: Any = None,
    workers: int | None = None,
    ray: str | None = None,
    folder: str | Path | None = None,
    runs: str | Path = "runs",
    verbose: bool | int = True,
    checks: Checks = "data",
) -> CrossValidation:
    """Trains a run for each fold of the rows, on all other rows, and measures it on the fold.

    Everything that is learned, such as scalings and encodings, is learned in each fold.
    Validation rows are a share of the fold's training rows, by `data.validation`. Test rows
    that the data have themselves take no part; they are measured once, by the average of all
    runs. Data without test rows take part with all rows. Repeat r is the same with the seeds
    `seed + r`.

    Called again, an interrupted cross-validation continues, to the same numbers.

    Args:
        spec: A built-in spec's name, a file, a dict or a `kfc.Spec`. Folds are stratified
            for classes, follow the groups of `data.groups`, or the time of `data.order`,
            where a fold is trained on the past only.
        folds: Number of folds, at least 2; or given folds: a number for each row, a pair of
            row numbers and their folds, where other rows take no part, or a file of either.
        repeats: Number of times that all folds are trained.
        overrides: Dotted path -> value, such as `{"training.epochs": 3}`.
        data: Rows instead of `data.source`, as for `kfc.fit`.
        workers: Number of processes that train at once; None is 1, and with `ray` as many as
            there is room for.
        ray: Address of a Ray cluster whose nodes train, as for `kfc.tune`.
        folder: Folder of the cross-validation; None for `<runs>/<name>-cv<folds>`.
        runs: Folder for the default folder.
        verbose: Whether the progress is shown on stderr.
        checks: Checks of the doctor that run before the first fold is trained, as for
            `kfc.fit`; its run keeps their warnings.

    Returns:
        The finished cross-validation.

    Examples:
        >>> short = {"training.epochs": 1}
        >>> cv = kfc.cross_validate("digits", folds=2, overrides=short, verbose=False)
        >>> cv.mean["accuracy"] > 0.5, len(cv.folds)
        (True, 2)

    Raises:
        SpecError: If the spec or an argument is wrong.
        DataError: If the data cannot be read, or cannot be split into these folds.
        CheckpointError: If the folder holds another cross-validation, or a damaged one.
        BusyError: If another process works in the folder.
        NumbersError: If a loss or a weight becomes NaN or infinite.
        DiskError: If the folder cannot be written.
    """
    _check_counts(repeats=repeats, workers=1 if workers is None else workers)
    if ray is not None:
        check_ray(ray)
    valid = load_spec(spec, overrides)
    _check_spec(valid)
    check_members(valid, workers=workers, ray=ray)
    given = None
    if isinstance(folds, int) and not isinstance(folds, bool):
        _check_counts(least=2, folds=folds)
        numbers = tuple(range(folds))
    else:
        given = read_folds(str(folds)) if isinstance(folds, (str, Path)) else as_folds(folds)
        numbers = tuple(given.numbers)
        _check_counts(least=2, folds=len(numbers))
    content = b"" if given is None else _folds_file(given)
    plan = EnsemblePlan(
        "folds",
        valid,
        numbers,
        repeats,
        given is not None,
        atomic.sha256(content) if content else "",
        data is not None,
    )
    times = f"x{repeats}" if repeats > 1 else ""
    place = user_paths.absolute(folder or Path(runs) / f"{valid.name}-cv{len(numbers)}{times}")
    contents = {FILE: plan.text().encode()} | ({FOLDS_FILE: content} if content else {})
    with _opened(place, plan, contents):
        return finish_folds(
            plan, place, data, workers=workers, verbose=verbose, ray=ray, checks=checks
        )


@contextmanager
def _opened(place: Path, plan: EnsemblePlan, contents: dict[str, bytes]) -> Iterator[None]:
    """Locks the folder of a cross-validation, which is created if it is missing."""
    if not is_ensemble(place):
        atomic.make_folder(place.parent)
        with locks.new_locked_folder(place, contents):
            yield
        return
    check_same(place, read_plan(place), plan)
    with locks.locked(place):
        yield


def finish_folds(
    plan: EnsemblePlan,
    folder: Path,
    data: Any,
    *,
    workers: int | None,
    verbose: bool | int,
    ray: str | None = None,
    checks: Checks = "data",
) -> CrossValidation:
    """Trains all folds that are not finished, and returns the result.

    Args:
        plan: Plan of the cross-validation.
        folder: Its folder, locked by this process.
        data: Rows given as `data=`, or None.
        workers: Number of processes that train at once, or None.
        verbose: Whether a line for each fold is shown on stderr.
        ray: Address of a Ray cluster whose nodes train, or None.
        checks: Checks of the doctor that run before the first fold is trained.
    """
    files = (average_file.FILE, fold_scores.FILE)
    if all((folder / name).is_file() for name in files):
        return load_folds(folder)
    console = progress_console(verbose)
    _train(plan, folder, data, workers, ray, console, checks)
    found = load_folds(folder)
    write_page(found, console)
    return found


def load_folds(folder: Path) -> CrossValidation:
    """Loads a finished cross-validation from its folder.

    Args:
        folder: Absolute path of its folder.

    Raises:
        CheckpointError: If it is not finished, or a file is damaged.
    """
    plan = read_plan(folder)
    scored, pooled, _ = fold_scores.read_scores(folder)
    average = average_file.read_average(folder)
    return CrossValidation(
        folder,
        plan.spec,
        scored,
        pooled,
        average["metrics"],
        average["baseline"],
        average.get("uncertainty", {}),
    )


def _train(
    plan: EnsemblePlan,
    folder: Path,
    data: Any,
    workers: int | None,
    ray: str | None,
    console: Console,
    checks: Checks,
) -> None:
    threads = start_for_spec(plan.spec)
    rows = rows_in_memory(data, plan.spec)
    runner = MemberRunner(rows, folder / _CACHE, warn=not console.quiet)
    held_out, average = HeldOutRows(), AverageScore()
    scored: list[FoldScore] = []
    trained: list[Run] = []
    baseline: dict[str, float] = {}
    message = f"the same command continues in {user_paths.shown_path(folder)}"
    total = len(plan.numbers) * plan.repeats
    with hint_on_interrupt(console.print, message):
        trainings = train_members(
            plan,
            folder,
            runner,
            workers=workers,
            threads=threads,
            ray=ray,
            say=functools.partial(console.print, soft_wrap=True),
            checks=checks,
        )
        for member, run in trainings:
            prepared = runner.prepare(member.spec)
            held_out.add(member, run, prepared)
            scored.append(FoldScore.of(member, run))
            trained.append(run)
            if prepared.outside is not None:
                average.add(run, prepared.outside)
                baseline = baseline or scores.baseline_scores(
                    prepared.train, prepared.outside, run.task
                )
            console.print(_line(scored[-1], len(scored), total), soft_wrap=True)
    Ensemble.of(trained)  # refuses runs that cannot be averaged
    constant = {f"test_{name}": value for name, value in baseline.items()}
    parts = {OUT_OF_FOLD: held_out.labelled(), "test": average.labelled({})}
    uncertainty = average_uncertainty(trained[0].spec, parts)
    measured = average.scores("test_", uncertainty)
    average_file.write_average(folder, trained, measured, constant, uncertainty)
    sha256 = held_out.write(folder)
    fold_scores.write_scores(folder, scored, held_out.pooled_scores(), sha256)


def _line(score: FoldScore, done: int, total: int) -> str:
    shown = "  ".join(f"{name} {value:.4f}" for name, value in list(score.metrics.items())[:3])
    return f"{score.folder}: fold {score.fold}  {shown}  {score.seconds:.1f} s  {done}/{total}"


def rows_in_memory(data: Any, spec: Spec) -> Any:
    """Returns rows given as `data=` in a form that can be prepared many times."""
    if data is None or isinstance(data, (Source, RawRows)):
        return data
    if tables_in_memory(data, spec.data):
        return data
    return from_memory(data)


def _folds_file(given: GivenFolds) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, rows=given.rows, fold=given.fold)
    return buffer.getvalue()


def _check_counts(least: int = 1, **counts: Any) -> None:
    for name, count in counts.items():
        if not isinstance(count, int) or isinstance(count, bool) or count < least:
            expected = f"a whole number of at least {least}"
            raise SpecError(Finding(name, expected, repr(count), f"Use {least} or more."))


def _check_spec(spec: Spec) -> None:
    if spec.data.fold is not None:
        remedy = "Remove the key: each run of a cross-validation gets its own."
        raise SpecError(Finding("data.fold", "no fold", "one", remedy))
    if spec.training.members > 1:
        remedy = "Set training.members to 1: the folds are averaged already."
        got = str(spec.training.members)
        raise SpecError(Finding("training.members", "1 in a cross-validation", got, remedy))
