"""A spec with a space -> ranked trials and a winner, through every interruption."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kfc.data import Source
from kfc.data.sources import from_memory
from kfc.errors import Finding, SpecError
from kfc.runs import Run, bind_plugins, resolve_data
from kfc.runs import run as runs_module
from kfc.spec import Spec, SpecLike, dump_spec, load_spec
from kfc.system import (
    atomic,
    hint_on_interrupt,
    locks,
    progress_console,
    tensorflow_startup,
    user_paths,
)
from kfc.training.callbacks import dry_run_callbacks
from kfc.training.engine import check_memory
from kfc.tuning.comparison import Finalist
from kfc.tuning.display import Display
from kfc.tuning.driver import Driver
from kfc.tuning.importance import importance
from kfc.tuning.progress_report import search_folder
from kfc.tuning.ranking import Verdict
from kfc.tuning.search_repr import as_html, as_text
from kfc.tuning.space import Space
from kfc.tuning.trial import Trial, plain
from kfc.tuning.trial_records import Ledger
from kfc.tuning.trial_runner import Preparer, Runner
from kfc.tuning.verdict_text import sentences
from kfc.tuning.workers import OwnProcess, Processes, Workers


@dataclass(frozen=True, repr=False)
class Search:
    """A finished search.

    A notebook shows it as a table.

    Args:
        folder: Absolute path of the search's folder.
        spec: The winner's, which `kfc fit` repeats: `best.yaml`.
        objective: What was searched for, a metric of the validation rows.
        trials: All trials in the order of their numbers: trial 0, which is the spec as it
            stands, then those that the search proposed.
        best: The winner.
        finalists: The best few and trial 0, with their repeats on fresh seeds, the winner
            first.
        sentences: Who won and why, and what cannot be guaranteed.
        importance: Hyperparameter -> its share in what made scores differ.
        metrics: Of the winner's own run, test rows included: it alone has seen them, but
            for finalists that a sentence says could not be measured.
        run_folder: Of that run.
    """

    folder: Path
    spec: Spec
    objective: str
    trials: list[Trial]
    best: Trial
    finalists: list[Finalist]
    sentences: list[str]
    importance: dict[str, float]
    metrics: dict[str, float]
    run_folder: Path

    def __repr__(self) -> str:
        return as_text(self)

    def _repr_html_(self) -> str:
        return as_html(self)

    @property
    def run(self) -> Run:
        """The winner, an ordinary run."""
        return runs_module.load(self.run_folder)

    def summary(self) -> dict[str, Any]:
        """Returns what `--json` prints: plain values only."""
        return {
            "folder": user_paths.shown_path(self.folder),
            "objective": self.objective,
            "trials": [plain(trial) for trial in self.trials],
            "best": plain(self.best),
            "finalists": [
                {
                    **plain(finalist.trial),
                    "mean": finalist.mean,
                    "low": finalist.low,
                    "high": finalist.high,
                    "repeats": [
                        {"seed": repeat.seed, **plain(repeat)} for repeat in finalist.repeats
                    ],
                }
                for finalist in self.finalists
            ],
            "sentences": self.sentences,
            "importance": self.importance,
            "metrics": self.metrics,
            "run": user_paths.shown_path(self.run_folder),
        }


def tune(
    spec: SpecLike,
    *,
    overrides: Mapping[str, Any] | None = None,
    data: Any = None,
    workers: int = 1,
    folder: str | Path | None = None,
    runs: str | Path = "runs",
    verbose: bool = True,
) -> Search:
    """Searches the space of a spec for the values that score best on validation rows.

    Trial 0 trains the spec's own values, wherever they lie. It is always a finalist, so the
    winner is compared with them on the same fresh seeds.

    Called again, it goes on where it stopped, however that was. The trials, their scores
    and the winner depend on the spec alone, and not on `workers`.

    Args:
        spec: A built-in spec's name, a file, a dict or a `kfc.Spec`; its `search` says
            what to vary. Without one, widths, learning rate and initialisation vary.
        overrides: Dotted path -> value, such as `{"search.trials": 20}`.
        data: Rows instead of `data.source`, as for `kfc.fit`.
        workers: Processes that train at once, of at least 1; more than `search.parallel`
            find no work.
        folder: Of the search; by default `<runs>/<name>.search`.
        runs: Folder in which that is made.
        verbose: Whether to show progress on stderr.

    Returns:
        The finished search.

    Raises:
        SpecError: If the spec or its space is wrong, with every finding.
        DataError: If the data cannot be read or must not be trained on.
        BusyError: If another process works on this search.
        CheckpointError: If the folder holds another search, or a damaged one.
        NumbersError: If every trial diverged, trial 0 included, or no finalist's own run
            can be measured.
        PluginError: If a plug-in fails.
        DiskError: If the folder cannot be written.
    """
    if not isinstance(workers, int) or isinstance(workers, bool) or workers < 1:
        raise SpecError(Finding("workers", "a number of at least 1", repr(workers), "Use 1."))
    checked = load_spec(spec, overrides)
    space = Space.of(checked)
    threads = tensorflow_startup.start_tensorflow(checked.training.threads)
    bind_plugins(space.spec)
    source = None if data is None else data if isinstance(data, Source) else from_memory(data)
    prepare = Preparer(source)
    prepared = prepare(checked)
    # Once more, since only now it is known which metrics there are.
    resolved = resolve_data(checked, prepared, in_memory=data is not None)
    prepare.resolved(checked, resolved)
    dry_run_callbacks(resolved, prepared)
    space = Space.of(resolved)
    largest = space.largest(num_inputs=math.prod(prepared.task.input_shape))
    check_memory(space.trial_spec(largest), prepared, processes=workers)

    place = user_paths.absolute(folder or search_folder(space.spec, Path(runs)))
    if space.spec.search is None:
        raise TypeError("a space whose spec has no search part")
    classification = space.spec.data.task == "classification"
    objective = space.spec.search.objective_for(classification=classification)
    atomic.make_folder(place)
    with locks.locked(place):
        make_runner = functools.partial(Runner, space, objective, place, prepare)
        crew: Workers
        if workers == 1:
            crew = OwnProcess(make_runner())
        else:
            crew = Processes(
                workers, make_runner, threads=threads, objective=objective, root=place
            )
        console = progress_console(verbose)
        display = Display(console, objective)
        ledger = Ledger(place, space.spec, objective, prepared.sha256)
        driver = Driver(
            space,
            place,
            ledger,
            objective=objective,
            source=source,
            display=display,
            workers=workers,
        )
        try:
            with (
                hint_on_interrupt(
                    console.print,
                    f"the same command goes on in {user_paths.shown_path(place)}",
                ),
                display,
            ):
                driver.run_trials(crew)
                verdict = driver.run_finals(crew)
        finally:
            crew.close()
        return _finished(space, place, ledger, driver, verdict, objective)


def _finished(
    space: Space,
    folder: Path,
    ledger: Ledger,
    driver: Driver,
    verdict: Verdict,
    objective: str,
) -> Search:
    """Trains the winner as an ordinary run, and writes what people look at."""
    driver.write_tables()
    finalist, winner = driver.run_winner(verdict)
    best = finalist.trial
    spec = space.trial_spec(best.values, seed=space.spec.seed)
    atomic.write_file(folder / "best.yaml", dump_spec(spec))
    reasons = [*sentences(verdict, finalist), *driver.remarks]
    if winner["weights_sha256"] != best.weights_sha256 and best.status == "completed":
        reasons.append(
            f"Trained again, trial {best.number} gave other weights than in the search: "
            "its repeat is not exact on this machine."
        )
    ledger.conclude({"number": best.number, "sentences": reasons})
    return Search(
        folder=folder,
        spec=spec,
        objective=objective,
        trials=ledger.ordered,
        best=best,
        finalists=[finalist, *(one for one in verdict.order if one is not finalist)],
        sentences=reasons,
        importance=importance(ledger.searched_trials, objective),
        metrics=winner["metrics"],
        run_folder=folder / winner["folder"],
    )
