"""Runs a search: the trials that the oracle proposes, then the repeats of the finalists."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path

from kfc.errors import CheckpointError, Finding, NumbersError
from kfc.system import atomic, user_paths
from kfc.tuning.comparison import Finalist, look_schedule
from kfc.tuning.display import Display
from kfc.tuning.oracle import Oracle
from kfc.tuning.ranking import Verdict, choose_winner, ranked
from kfc.tuning.search_records import SearchRecords
from kfc.tuning.search_tables import csv_text
from kfc.tuning.space import Space
from kfc.tuning.tensorboard_hparams import write_hparams
from kfc.tuning.time_left import time_left
from kfc.tuning.trial import Proposal, Trial, objective_direction
from kfc.tuning.trial_runner import Job, trial_folder
from kfc.tuning.workers import Workers

_CSV_SECONDS = 1.0  # the table of a running search is at most this old


class SearchLoop:
    """Runs all trainings of a search that its records do not have yet.

    Args:
        space: Space of the search.
        folder: Folder of the search, locked by this process.
        records: Records of the search.
        objective: Metric of the validation rows.
        display: Display of the results.
        num_workers: Number of trainings that can run at once.

    Attributes:
        objective: Metric of the validation rows.
        remarks: Sentences about anything that is unusual, or not guaranteed.
    """

    def __init__(
        self,
        space: Space,
        folder: Path,
        records: SearchRecords,
        *,
        objective: str,
        display: Display,
        num_workers: int,
    ) -> None:
        if space.spec.search is None:
            raise TypeError("a space whose spec has no search part")
        self._space, self._spec, self._search = space, space.spec, space.spec.search
        self._folder, self._records, self.objective = folder, records, objective
        self._display = display
        self._num_workers = min(num_workers, self._search.parallel)
        self._num_planned = 0  # trials, with trial 0 and the finished ones
        self._started = time.monotonic() - records.search_seconds
        self._csv_written = 0.0
        self._with_weights: set[int] = set()  # trials whose weights are on the disk
        self.remarks: list[str] = []

    # --- trials ---------------------------------------------------------------------------

    def run_trials(self, workers: Workers) -> None:
        """Runs trial 0 and the trials that the oracle proposes.

        Results reach the oracle in the order of the trial numbers. Trial n is proposed when
        all trials before it have ended, except the last `parallel` - 1. So each proposal
        depends on the same results, with any number of workers.

        Trial 0 is the baseline, the spec's own values. The oracle does not get its result:
        its values may be outside the space, and so the other trials do not depend on the
        values that the spec has for the hyperparameters.

        Args:
            workers: Workers that run the trials.
        """
        oracle = Oracle(
            self._space,
            self._search,
            seed=self._spec.seed,
            epochs=self._spec.training.epochs,
            direction=objective_direction(self.objective),
        )
        self._num_planned = 1 + oracle.max_num_trials
        self._submit_baseline(workers)
        last_created, last_ended = 0, -1  # numbers of trials
        budget_spent = False
        while True:
            # Propose trials, as many as may run at once.
            while not budget_spent and last_created - last_ended < self._search.parallel:
                recorded = self._records.proposals.get(last_created + 1)
                is_new = recorded is None and last_created > 0 and not oracle.finished
                if is_new and self._is_out_of_time():
                    budget_spent = True
                    break
                proposal = oracle.create_trial(recorded)
                if proposal is None:
                    break
                last_created = proposal.number
                if recorded is None:
                    self._records.add_proposal(proposal)
                if last_created not in self._records.trials:
                    workers.submit(self._trial_job(proposal))
            if last_ended == last_created:
                self._write_csv()
                return

            # Wait for the trial with the next number, and give its result to the oracle.
            while last_ended + 1 not in self._records.trials:
                self._record_result("trial", workers)
            last_ended += 1
            trial = self._records.trials[last_ended]
            if last_ended > 0:
                oracle.end_trial(last_ended, trial.score, diverged=trial.status == "diverged")
                self._drop_weights(last_ended, oracle.promotable())
            budget_spent = budget_spent or self._is_on_target(trial)

    def _submit_baseline(self, workers: Workers) -> None:
        """Submits trial 0, unless it has run.

        Raises:
            CheckpointError: If trial 0 of the journal has other values.
        """
        values = json.loads(json.dumps(dict(self._space.baseline)))  # as the journal has them
        baseline = Proposal(0, {}, values, self._spec.training.epochs)
        recorded = self._records.proposals.get(0)
        if recorded and recorded.values != baseline.values:
            raise CheckpointError(
                Finding(
                    f"trial 0 of {self._folder}, the spec's own values",
                    f"{dict(recorded.values)}, as when this search started",
                    repr(dict(baseline.values)),
                    "Restore these values, or search in another folder with --folder.",
                )
            )
        if recorded is None:
            self._records.add_proposal(baseline)
        if 0 not in self._records.trials:
            self._display.show_start(
                f"trial 0, the spec's own values, then up to {self._num_planned - 1} more in "
                f"{user_paths.shown_path(self._folder)}"
            )
            workers.submit(Job(baseline, self._spec.seed, trial_folder(0)))

    def _trial_job(self, proposal: Proposal) -> Job:
        """Returns the job of a trial, which keeps its weights if it is among the best.

        With Hyperband it always keeps them, because another trial may continue it.
        """
        best = ranked(self._records.searched_trials, self.objective)
        folder, count = trial_folder(proposal.number), self._search.finalists
        full = len(best) >= count and self._search.algorithm != "hyperband"
        to_beat = best[count - 1].score if full else None
        return Job(proposal, self._spec.seed, folder, to_beat)

    def _record_result(self, kind: str, workers: Workers) -> Trial:
        """Waits for the next result, records and shows it, and returns it."""
        job, trial = workers.next_result()
        search_seconds = round(time.monotonic() - self._started, 3)
        self._records.add_trial(kind, trial, search_seconds)
        if kind == "repeat":
            atomic.remove_folder(self._folder / job.folder)  # only its scores are used
        if time.monotonic() - self._csv_written > _CSV_SECONDS:
            self._write_csv()
        if kind == "trial":
            finished = len(self._records.trials)
            # This counts the first look only: undecided finalists get more repeats.
            finalists = 1 + min(self._search.finalists, self._num_planned - 1)
            remaining = self._num_planned - finished
            left = self._time_left(remaining, finalists * self._search.repeats)
            count = f"{finished} of {self._num_planned}"
            self._display.show_trial(trial, self._records.ordered_trials, count, left)
        return trial

    def _drop_weights(self, last_ended: int, promotable: set[int]) -> None:
        """Removes the weights of ended trials that cannot be finalists or be continued.

        Later trials stay as they are: the oracle does not have their results yet.
        """
        best = ranked(self._records.searched_trials, self.objective)
        kept = {trial.number for trial in best[: self._search.finalists]} | promotable
        for number in {*self._with_weights, last_ended} - kept:
            atomic.remove_folder(self._folder / trial_folder(number) / "checkpoints")
        self._with_weights = {*self._with_weights, last_ended} & kept

    # --- budget ---------------------------------------------------------------------------

    def _is_out_of_time(self) -> bool:
        limit = self._search.seconds
        if limit is None or time.monotonic() - self._started < limit:
            return False
        self.remarks.append(
            f"The search ended after {limit:g} s, with {len(self._records.proposals) - 1} "
            "trials beside trial 0: the number of trials depends on the speed of the machine "
            "and on the number of workers."
        )
        return True

    def _is_on_target(self, trial: Trial) -> bool:
        target = self._search.target
        if target is None or trial.status == "diverged":
            return False
        if objective_direction(self.objective) == "max":
            return trial.score >= target
        return trial.score <= target

    def _time_left(self, trials: int, repeats: int) -> str:
        limit = self._search.seconds
        elapsed = time.monotonic() - self._started
        return time_left(
            [trial.seconds for trial in self._records.executions],
            trials,
            repeats,
            workers=self._num_workers,
            seconds=None if limit is None else limit - elapsed,
        )

    # --- finalists ------------------------------------------------------------------------

    def run_finals(self, workers: Workers) -> Verdict:
        """Repeats the best trials on the same fresh seeds, until the winner is decided.

        Trial 0 is always a finalist. Undecided finalists get further seeds, up to
        `search.most_repeats`. The scores alone decide which finalists get them, so a search
        that was killed continues with the same seeds.

        Args:
            workers: Workers that run the trainings.

        Returns:
            The winner, with the comparisons.

        Raises:
            NumbersError: If every trial diverged, trial 0 included.
        """
        trials = self._finalists()
        schedule = look_schedule(self._search.repeats, self._search.repeats_at_most)
        num_seeds = {trial.number: schedule[0] for trial in trials}
        while True:
            self._run_repeats(trials, num_seeds, workers)
            verdict = choose_winner(
                [self._finalist(trial, num_seeds[trial.number]) for trial in trials],
                self.objective,
                margin=self._search.margin,
                num_looks=len(schedule),
            )
            further = verdict.further_seeds(schedule)
            if not further:
                atomic.remove_folder(self._folder / "repeats")
                return verdict
            num_seeds |= further

    def _finalists(self) -> list[Trial]:
        """Returns trial 0 and the best others; removes the weights of all other trials.

        A trial with exactly the weights of trial 0 is left out.

        Raises:
            NumbersError: If every trial diverged, trial 0 included.
        """
        # Choose the best trials, and trial 0 unless it diverged.
        baseline = self._records.trials[0]
        best = self._ranking()[: self._search.finalists]
        best = [t for t in best if t.weights_sha256 != baseline.weights_sha256]
        if baseline.status == "diverged":
            self.remarks.append(f"Trial 0, the spec's own values, diverged: {baseline.cause}")
        else:
            best = [baseline, *best]

        # Report divergence, with at most three causes.
        causes = {
            trial.cause.rstrip("."): None
            for trial in self._records.ordered_trials
            if trial.status == "diverged"
        }
        shown_causes = "; ".join(list(causes)[:3])
        remedy = "Search smaller learning rates and initialisations, in another folder."
        if not best:
            got = f"{len(self._records.trials)} trials that did: {shown_causes}"
            raise NumbersError(Finding("search", "a trial that does not diverge", got, remedy))
        others = self._records.searched_trials
        if others and all(trial.status == "diverged" for trial in others):
            self.remarks.append(
                f"Every trial except trial 0 diverged: {shown_causes}. {remedy}"
            )

        for number in {0, *self._with_weights} - {trial.number for trial in best}:
            atomic.remove_folder(self._folder / trial_folder(number) / "checkpoints")
        return best

    def _ranking(self) -> list[Trial]:
        """Returns the trials that may win, the best first, without trial 0.

        A pruned trial may win only if no trial is completed.
        """
        finite = [t for t in self._records.searched_trials if t.status != "diverged"]
        completed = [trial for trial in finite if trial.status == "completed"]
        return ranked(completed or finite, self.objective)

    def _run_repeats(
        self, trials: list[Trial], num_seeds: dict[int, int], workers: Workers
    ) -> None:
        """Trains each trial on its fresh seeds, except those that the records have."""
        jobs = [
            self._repeat_job(trial, seed)
            for trial in trials
            for seed in self._seeds(num_seeds[trial.number])
            if (trial.number, seed) not in self._records.repeats
        ]
        for job in jobs:
            workers.submit(job)
        for finished in range(1, len(jobs) + 1):
            newest = self._record_result("repeat", workers)
            self._display.show_repeat(
                newest,
                self._records.ordered_trials,
                [self._finalist(trial, num_seeds[trial.number]) for trial in trials],
                f"{finished} of {len(jobs)}",
                self._time_left(0, len(jobs) - finished),
            )

    def _repeat_job(self, trial: Trial, seed: int) -> Job:
        # All epochs, also for a trial that was pruned.
        epochs = self._spec.training.epochs
        proposal = Proposal(trial.number, trial.point, trial.values, epochs)
        folder = f"repeats/{trial.number:04d}-seed-{seed}"
        # No score beats this one, so the weights are not kept.
        to_beat = math.inf if objective_direction(self.objective) == "max" else -math.inf
        return Job(proposal, seed, folder, to_beat)

    def _seeds(self, count: int) -> list[int]:
        """Returns fresh seeds: those after the spec's own."""
        return [(self._spec.seed + 1 + i) % 2**32 for i in range(count)]

    def _finalist(self, trial: Trial, num_seeds: int) -> Finalist:
        """Returns a finalist with its recorded repeats on its first `num_seeds` seeds."""
        repeats = self._records.repeats
        recorded = (repeats.get((trial.number, seed)) for seed in self._seeds(num_seeds))
        return Finalist(trial, tuple(repeat for repeat in recorded if repeat))

    # --- tables ---------------------------------------------------------------------------

    def write_tables(self) -> None:
        """Writes all trainings as CSV and for TensorBoard."""
        self._write_csv()
        folder = self._folder / "tensorboard"
        write_hparams(folder, self._records.executions, self.objective)

    def _write_csv(self) -> None:
        atomic.write_file(self._folder / "trials.csv", csv_text(self._records.executions))
        self._csv_written = time.monotonic()
