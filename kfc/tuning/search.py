"""Searches the hyperparameters of a spec, and continues interrupted searches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kfc.cluster import LOCAL, check_ray
from kfc.data import Parts, Source, check_parts, tables_beside
from kfc.data.sources import from_memory
from kfc.data.tables import tables_in_memory
from kfc.ensembles import Ensemble, check_members
from kfc.errors import Finding, SpecError
from kfc.findings import run_checks
from kfc.network import num_inputs
from kfc.pages import write_page
from kfc.runs import Run, prepare_data, start_for_spec, train_at_once
from kfc.runs import run as runs_module
from kfc.spec import Spec, SpecLike, dump_spec, load_spec
from kfc.system import atomic, hint_on_interrupt, locks, progress_console, user_paths
from kfc.training.callbacks import dry_run_callbacks
from kfc.tuning.comparison import Finalist
from kfc.tuning.display import Display
from kfc.tuning.hand_out import Runners, started_workers
from kfc.tuning.importance import importance
from kfc.tuning.ranking import Verdict
from kfc.tuning.search_loop import SearchLoop
from kfc.tuning.search_records import SearchRecords
from kfc.tuning.search_repr import search_html, search_text
from kfc.tuning.search_status import search_folder
from kfc.tuning.space import Space
from kfc.tuning.trial import Trial, trial_summary
from kfc.tuning.trial_runner import Preparer
from kfc.tuning.verdict_text import sentences
from kfc.tuning.winner import train_winner


@dataclass(frozen=True, repr=False)
class Search:
    """A finished search; a notebook shows it as a table.

    Args:
        folder: Absolute path of the search's folder.
        spec: Spec of the winner, which `kfc.fit` repeats; `best.yaml` in the folder.
        objective: Metric of the validation rows that ranks the trials.
        trials: All trials in the order of their numbers: trial 0, which is the spec itself,
            then the trials that the search proposed.
        best: Winner.
        finalists: The best trials and trial 0, with their repeats on fresh seeds, the
            winner first.
        sentences: Explanation of the winner, and anything that is not guaranteed.
        importance: Hyperparameter -> its importance for the ranking; they add up to 1.
        metrics: Metrics of the winner's final run, the only one that is measured on the
            test rows. Better finalists are measured before it only if a sentence says so.
        run_folder: Folder of the winner's final run.

    Examples:
        >>> small = {"training.epochs": 1, "search": {"trials": 1, "repeats": 0}}
        >>> search = kfc.tune("digits", overrides=small, runs="searches", verbose=False)
        >>> search.objective, len(search.trials)
        ('val_accuracy', 2)
        >>> search.run.weights_sha256 == search.best.weights_sha256
        True
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
        return search_text(self)

    def _repr_html_(self) -> str:
        return search_html(self)

    @property
    def run(self) -> Run:
        """The winner's final run, an ordinary run."""
        return runs_module.load_run(self.run_folder)

    @property
    def ensemble(self) -> Ensemble:
        """The average of the finalists, as they were trained in the search."""
        folders = [self.folder / finalist.trial.folder for finalist in self.finalists]
        return Ensemble.of(each for each in folders if (each / "checkpoints").is_dir())

    def summary(self) -> dict[str, Any]:
        """Returns the search as `kfc tune --json` prints it, in plain values."""
        return {
            "folder": user_paths.shown_path(self.folder),
            "objective": self.objective,
            "trials": [trial_summary(trial) for trial in self.trials],
            "best": trial_summary(self.best),
            "finalists": [
                {
                    **trial_summary(finalist.trial),
                    "mean": finalist.mean,
                    "low": finalist.low,
                    "high": finalist.high,
                    "repeats": [
                        {"seed": repeat.seed, **trial_summary(repeat)}
                        for repeat in finalist.repeats
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
    workers: int | None = None,
    ray: str | None = None,
    folder: str | Path | None = None,
    runs: str | Path = "runs",
    verbose: bool = True,
) -> Search:
    """Searches the values of a spec's hyperparameters with the best validation score.

    Trial 0 trains the spec's own values, also if they are outside the search space. It is
    always a finalist, so the winner is compared with it on the same fresh seeds.

    Called again, an interrupted search continues. The trials, their scores and the winner
    depend only on the spec, not on `workers` or `ray`; where networks train at once
    (`training.at_once`), scores differ from those of networks alone by rounding. Warnings of
    the doctor's checks of the data are shown before the first trial, and kept with the run of
    the winner.

    Args:
        spec: Name of a built-in spec, file, dict or `kfc.Spec`. Its `search` part has the
            search space and the settings. Without one, the widths of the hidden layers, the
            learning rate and the standard deviation of the initial weights are searched.
        overrides: Dotted path -> value, such as `{"search.trials": 20}`.
        data: Rows instead of `data.source`, as for `kfc.fit`.
        workers: Number of processes that train at once, at least 1; not more than
            `search.parallel` are used. None is 1, and with `ray` as many as there is room for.
        ray: Address of a Ray cluster whose nodes train, such as `10.0.0.1:6379`; `auto` finds
            one that runs on this machine, `local` starts one. None trains on this machine.
        folder: Folder of the search; None for `<runs>/<name>.search`.
        runs: Folder for the default folder of the search.
        verbose: Whether to show the progress on stderr.

    Returns:
        The finished search.

    Raises:
        SpecError: If the spec or its search space is wrong, with all findings.
        DataError: If the data cannot be read, or a check of the data fails.
        BusyError: If another process works on this search.
        CheckpointError: If the folder contains another search, or a damaged one.
        NumbersError: If every trial diverged, trial 0 included, or no finalist's final run
            can be measured.
        PluginError: If a plug-in fails.
        DiskError: If the folder cannot be written.

    Examples:
        >>> space = {"training.optimizer.learning_rate": {"low": 0.001, "high": 0.1}}
        >>> search = kfc.tune(
        ...     "digits",
        ...     overrides={
        ...         "network.hidden": [8],
        ...         "training.epochs": 1,
        ...         "search": {"trials": 2, "repeats": 0, "space": space},
        ...     },
        ...     verbose=False,
        ... )
        >>> [trial.number for trial in search.trials]
        [0, 1, 2]
        >>> search.best.score == max(trial.score for trial in search.trials)
        True
    """
    if workers is not None and (type(workers) is not int or workers < 1):
        raise SpecError(Finding("workers", "a number of at least 1", repr(workers), "Use 1."))
    if ray is not None:
        check_ray(ray)
    checked = load_spec(spec, overrides)
    if checked.training.members > 1:
        remedy = "Set it to 1; search.ensemble averages the finalists of a search."
        got = str(checked.training.members)
        raise SpecError(Finding("training.members", "1 in a search", got, remedy))
    check_members(checked, workers=workers, ray=ray)
    space = Space.of(checked)
    threads = start_for_spec(space.spec)
    source = _rows_in_memory(data, checked)
    search_path = user_paths.absolute(folder or search_folder(space.spec, Path(runs)))
    prepare = Preparer(source, tables_beside(search_path))
    resolved, prepared = prepare_data(checked, data, preparer=prepare)
    prepare.resolved(checked, resolved)
    dry_run_callbacks(resolved, prepared)
    space = Space.of(resolved)
    # The largest network must fit into the memory, once for each training at once.
    values = space.largest(num_inputs=num_inputs(resolved, prepared.task))
    largest = space.trial_spec(values)
    here = workers or 1 if ray in (None, LOCAL) else 1
    alone = ray is not None or workers not in (None, 1)
    at_once = 1 if alone else _number_at_once(space, largest, prepare)
    run_checks("before_training", largest, prepared, processes=here, networks=at_once)

    # Search in the folder, which is locked until the search has finished.
    if space.spec.search is None:
        raise TypeError("a space whose spec has no search part")
    classification = space.spec.data.task == "classification"
    objective = space.spec.search.objective_for(classification=classification)
    run_checks("before_search", objective, prepared)
    atomic.make_folder(search_path)
    with locks.locked(search_path):
        console = progress_console(verbose)
        of_parts = check_parts(Parts.of(resolved, prepared), resolved.accept)
        for finding in (*prepared.warnings, *of_parts):
            console.print(f"warning: {finding.labelled()}", markup=False, soft_wrap=True)
        display = Display(console, objective)
        records = SearchRecords(search_path, space.spec, objective, prepared.sha256)
        message = f"the same command continues in {user_paths.shown_path(search_path)}"
        runners = Runners(space, objective, search_path, prepare)
        with (
            hint_on_interrupt(console.print, message),
            started_workers(runners, workers, threads, ray, console, at_once=at_once) as pool,
        ):
            loop = SearchLoop(
                space,
                search_path,
                records,
                objective=objective,
                display=display,
                num_workers=pool.count,
            )
            with display:
                loop.run_trials(pool)
                verdict = loop.run_finals(pool)
            loop.remarks.extend(pool.remarks)
        search = _finish(space, search_path, records, loop, verdict, source)
        write_page(search, console)
        return search


def _number_at_once(space: Space, largest: Spec, prepare: Preparer) -> int:
    """Returns the number of trainings in lockstep, see `training.at_once`.

    Args:
        space: Space of the search.
        largest: Spec of its largest network, which decides for all.
        prepare: Prepares the data of a spec.
    """
    search = space.spec.search
    return search.parallel if search and train_at_once([largest] * 2, prepare) else 1


def _rows_in_memory(data: Any, spec: Spec) -> Any:
    """Returns rows given as `data=` in a form that can be prepared many times."""
    # Each trial may choose other types of a table's columns, so the table stays as it is.
    if data is None or isinstance(data, Source) or tables_in_memory(data, spec.data):
        return data
    return from_memory(data)


def _finish(
    space: Space,
    folder: Path,
    records: SearchRecords,
    loop: SearchLoop,
    verdict: Verdict,
    source: Any,
) -> Search:
    """Trains the winner as an ordinary run, and writes the results of the search."""
    loop.write_tables()
    winner = train_winner(verdict, space, folder, records, source)
    best, final_run = winner.finalist.trial, winner.final_run
    spec = space.trial_spec(best.values, seed=space.spec.seed)
    atomic.write_file(folder / "best.yaml", dump_spec(spec))
    explanation = [*sentences(verdict, winner.finalist), *loop.remarks, *winner.remarks]
    at_once = max(trial.at_once for trial in records.executions)
    if at_once > 1:
        explanation.append(
            f"Up to {at_once} networks trained at once (training.at_once). Those of one shape "
            "made each step together, so their weights are those of a training alone but for "
            "rounding."
        )
    if final_run["weights_sha256"] != best.weights_sha256 and best.status == "completed":
        again = f"Trained again, trial {best.number} has other weights than in the search"
        why = ": training is not exactly repeatable on this machine" if at_once == 1 else ""
        explanation.append(f"{again}{why}.")
    records.add_verdict({"number": best.number, "sentences": explanation})
    others = [finalist for finalist in verdict.order if finalist is not winner.finalist]
    return Search(
        folder=folder,
        spec=spec,
        objective=loop.objective,
        trials=records.ordered_trials,
        best=best,
        finalists=[winner.finalist, *others],
        sentences=explanation,
        importance=importance(records.searched_trials, loop.objective),
        metrics=final_run["metrics"],
        run_folder=folder / final_run["folder"],
    )
