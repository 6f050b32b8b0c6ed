"""Asks, runs and judges: a search from its first trial to its winner's own run."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Any

from kfc.data import Source
from kfc.errors import CheckpointError, DataError, Finding, NumbersError, SpecError
from kfc.runs import fitting, run
from kfc.system import atomic, safe_open, user_paths
from kfc.tuning.comparison import Finalist, looks
from kfc.tuning.display import Display
from kfc.tuning.oracle import Oracle
from kfc.tuning.ranking import Verdict, decide, ranked
from kfc.tuning.space import Space
from kfc.tuning.tables import csv_text, write_hparams
from kfc.tuning.time_left import time_left
from kfc.tuning.trial import Proposal, Trial, direction
from kfc.tuning.trial_records import Ledger
from kfc.tuning.trial_runner import Order, trial_folder
from kfc.tuning.workers import Workers

_CSV_SECONDS = 1.0  # at most so old is the table of a running search


class Driver:
    """Runs what has not run yet of a search, in the folder that it holds.

    Args:
        space: Of the search.
        folder: Where all of it is kept.
        ledger: What it has come to know.
        objective: A metric of the validation rows.
        source: Rows given as `data=`, or None for the spec's own.
        display: Shows each result.
        workers: Trainings that can run at once.
    """

    def __init__(
        self,
        space: Space,
        folder: Path,
        ledger: Ledger,
        *,
        objective: str,
        source: Source | None,
        display: Display,
        workers: int,
    ) -> None:
        if space.spec.search is None:
            raise TypeError("a space whose spec has no search part")
        self._space, self._spec, self._search = space, space.spec, space.spec.search
        self._folder, self._ledger, self._objective = folder, ledger, objective
        self._source, self._display = source, display
        self._workers = min(workers, self._search.parallel)
        self._planned = 0  # trials, trial 0 and those that are done included
        self._began = time.monotonic() - ledger.searched
        self._csv_written = 0.0
        self._kept: set[int] = set()  # trials whose weights are on the disk
        self.remarks: list[str] = []
        """What cannot be guaranteed of this search."""

    def run_trials(self, crew: Workers) -> None:
        """Proposes and runs trials, in an order that no number of workers changes.

        Results are told to the oracle in the order of their numbers, and trial n is
        proposed when all but the `parallel` - 1 trials before it have been told: each
        proposal follows from the same facts, whoever was faster.

        Trial 0, the spec's own values, comes first, and the oracle is not told of it: its
        values may lie outside the space, and the other trials stay the same whatever the
        spec says where it varies.
        """
        oracle = Oracle(
            self._space,
            self._search,
            seed=self._spec.seed,
            epochs=self._spec.training.epochs,
            direction=direction(self._objective),
        )
        self._planned = 1 + oracle.most_trials
        self._begin_with_own(crew)
        asked, told = 0, -1
        over = False
        while True:
            while not over and asked - told < self._search.parallel:
                known = self._ledger.proposals.get(asked + 1)
                if known is None and asked and not oracle.finished and self._is_out_of_time():
                    over = True
                    break
                proposal = oracle.ask(known)
                if proposal is None:
                    break
                asked = proposal.number
                if known is None:
                    self._ledger.propose(proposal)
                if asked not in self._ledger.trials:
                    crew.submit(self._order(proposal))
            if told == asked:
                self._write_csv()
                return
            while told + 1 not in self._ledger.trials:
                self._record("trial", crew)
            told += 1
            trial = self._ledger.trials[told]
            if told > 0:
                oracle.tell(told, trial.score, diverged=trial.status == "diverged")
                self._drop_weights(told, oracle.promotable())
            over = over or self._is_on_target(trial)

    def _begin_with_own(self, crew: Workers) -> None:
        """Submits trial 0, unless it is done.

        Raises:
            CheckpointError: If trial 0 of the journal has other values.
        """
        epochs = self._spec.training.epochs
        own = Proposal(0, {}, json.loads(json.dumps(dict(self._space.own))), epochs)
        known = self._ledger.proposals.get(0)
        if known and known.values != own.values:
            raise CheckpointError(
                Finding(
                    f"trial 0 of {self._folder}, the spec's own values",
                    f"{dict(known.values)}, as this search began",
                    repr(dict(own.values)),
                    "Put them back, or search in another folder with --folder.",
                )
            )
        if known is None:
            self._ledger.propose(own)
        if 0 not in self._ledger.trials:
            self._display.begin(
                f"trial 0, the spec's own values, then up to {self._planned - 1} more in "
                f"{user_paths.shown_path(self._folder)}"
            )
            crew.submit(Order(own, self._spec.seed, trial_folder(0)))

    def _order(self, proposal: Proposal) -> Order:
        """Returns an order that keeps the weights only where they are among the best.

        With hyperband they are: another trial may go on from them.
        """
        best = ranked(self._ledger.searched_trials, self._objective)
        place, count = trial_folder(proposal.number), self._search.finalists
        full = len(best) >= count and self._search.algorithm != "hyperband"
        to_beat = best[count - 1].score if full else None
        return Order(proposal, self._spec.seed, place, to_beat)

    def _record(self, kind: str, crew: Workers) -> Trial:
        """Waits for the next result, puts it on the disk and returns it."""
        order, trial = crew.next_done()
        searched = round(time.monotonic() - self._began, 3)
        self._ledger.finish(kind, trial, searched)
        if kind == "repeat":
            atomic.remove_folder(self._folder / order.folder)  # its numbers are all we want
        if time.monotonic() - self._csv_written > _CSV_SECONDS:
            self._write_csv()
        if kind == "trial":
            done = len(self._ledger.trials)
            # More repeats follow where finalists are undecided.
            finalists = 1 + min(self._search.finalists, self._planned - 1)
            left = self._time_left(self._planned - done, finalists * self._search.repeats)
            count = f"{done} of {self._planned}"
            self._display.show_trial(trial, self._ledger.ordered, count, left)
        return trial

    def _time_left(self, trials: int, repeats: int) -> str:
        limit = self._search.seconds
        spent = time.monotonic() - self._began
        return time_left(
            [trial.seconds for trial in self._ledger.executions],
            trials,
            repeats,
            workers=self._workers,
            seconds=None if limit is None else limit - spent,
        )

    def run_finals(self, crew: Workers) -> Verdict:
        """Trains the best few again, on the same fresh seeds, until they are decided.

        The spec's own values, trial 0, are always among them. Finalists that are undecided
        get further seeds, up to `search.most_repeats`. Which ones do follows from the
        scores alone, so a search that was killed comes to the same seeds.
        """
        best = self._finalists()
        stages = looks(self._search.repeats, self._search.repeats_at_most)
        seeds = {trial.number: stages[0] for trial in best}
        while True:
            self._repeat(best, seeds, crew)
            verdict = decide(
                [self._finalist(trial, seeds[trial.number]) for trial in best],
                self._objective,
                margin=self._search.margin,
                num_looks=len(stages),
            )
            further = verdict.further_seeds(stages)
            if not further:
                atomic.remove_folder(self._folder / "repeats")
                return verdict
            seeds |= further

    def _finalists(self) -> list[Trial]:
        """Returns trial 0 and the best others; removes the weights that nobody keeps.

        A trial that came to the very weights of trial 0 is not compared with it.

        Raises:
            NumbersError: If every trial diverged, trial 0 included.
        """
        own = self._ledger.trials[0]
        best = self._ranking()[: self._search.finalists]
        best = [trial for trial in best if trial.weights_sha256 != own.weights_sha256]
        causes = {
            trial.cause.rstrip("."): None
            for trial in self._ledger.ordered
            if trial.status == "diverged"
        }
        told = "; ".join(list(causes)[:3])
        if own.status == "diverged":
            self.remarks.append(f"Trial 0, the spec's own values, diverged: {own.cause}")
        else:
            best = [own, *best]
        others = self._ledger.searched_trials
        remedy = "Search smaller learning rates and initialisations, in another folder."
        if not best:
            got = f"{len(self._ledger.trials)} that did: {told}"
            raise NumbersError(Finding("search", "a trial that does not diverge", got, remedy))
        if others and all(trial.status == "diverged" for trial in others):
            self.remarks.append(f"Every trial but 0 diverged: {told}. {remedy}")
        for number in {0, *self._kept} - {trial.number for trial in best}:
            atomic.remove_folder(self._folder / trial_folder(number) / "checkpoints")
        return best

    def _repeat(self, trials: list[Trial], seeds: dict[int, int], crew: Workers) -> None:
        """Trains each trial on its first so many fresh seeds, unless that is done."""
        orders = [
            self._repeat_order(trial, seed)
            for trial in trials
            for seed in self._seeds(seeds[trial.number])
            if (trial.number, seed) not in self._ledger.repeats
        ]
        for order in orders:
            crew.submit(order)
        for done in range(1, len(orders) + 1):
            newest = self._record("repeat", crew)
            self._display.show_repeat(
                newest,
                self._ledger.ordered,
                [self._finalist(trial, seeds[trial.number]) for trial in trials],
                f"{done} of {len(orders)}",
                self._time_left(0, len(orders) - done),
            )

    def _repeat_order(self, trial: Trial, seed: int) -> Order:
        whole = Proposal(trial.number, trial.point, trial.values, self._spec.training.epochs)
        place = f"repeats/{trial.number:04d}-seed-{seed}"
        unbeatable = math.inf if direction(self._objective) == "max" else -math.inf
        return Order(whole, seed, place, to_beat=unbeatable)

    def _seeds(self, count: int) -> list[int]:
        return [(self._spec.seed + 1 + i) % 2**32 for i in range(count)]

    def _finalist(self, trial: Trial, count: int) -> Finalist:
        """Returns a trial with what is known of its first so many fresh seeds."""
        known = (self._ledger.repeats.get((trial.number, seed)) for seed in self._seeds(count))
        return Finalist(trial, tuple(repeat for repeat in known if repeat))

    def run_winner(self, verdict: Verdict) -> tuple[Finalist, dict[str, Any]]:
        """Trains the winner as an ordinary run, which alone sees the test rows.

        Where a number of that run is NaN or infinite, such as its test loss, it cannot be
        measured; that is recorded, and the next finalist wins in its place. So a second run
        may meet the test rows, and still nothing is chosen by them: who is next was decided
        on validation rows, and nobody is passed over for a test number, however bad, but
        only for having none.

        Returns:
            The winner, and what is recorded of its run.

        Raises:
            NumbersError: If no finalist's run can be measured.
        """
        causes = []
        for finalist in verdict.order:
            number = finalist.trial.number
            if number not in self._ledger.unmeasured:
                try:
                    return finalist, self._winners_run(finalist.trial)
                except NumbersError as error:
                    cause = "; ".join(
                        f"{finding.where}: {finding.got}" for finding in error.findings
                    )
                    self._ledger.pass_over(number, cause)
            causes.append(f"trial {number} ({self._ledger.unmeasured[number]})")
            self.remarks.append(
                f"The own run of {causes[-1]} could not be measured: the next finalist "
                "takes its place."
            )
        raise NumbersError(
            Finding(
                f"{self._folder}, the winner's own run",
                "a finalist with finite metrics",
                "; ".join(causes),
                "The trials and their scores are kept. Look at the test rows, or search on "
                "with more search.finalists.",
            )
        )

    def _winners_run(self, best: Trial) -> dict[str, Any]:
        """Returns what is recorded of a winner's own run, which is trained unless it was."""
        for event in self._ledger.winners:
            place = self._folder / event["folder"]
            if event["number"] == best.number and (place / "result.json").exists():
                return event
        winner = self._earlier_winner(best) or fitting.fit(
            self._space.trial_spec(best.values, seed=self._spec.seed),
            data=self._source,
            runs=self._folder / "winner",
            verbose=False,
        )
        facts = {
            "number": best.number,
            "folder": str(winner.folder.relative_to(self._folder)),
            "metrics": winner.metrics,
            "weights_sha256": winner.weights_sha256,
        }
        self._ledger.win(facts)
        return facts

    def _earlier_winner(self, best: Trial) -> run.Run | None:
        """Returns the winner's run if a process was killed within or after it; tidies up."""
        for place in self._winner_folders():
            try:
                earlier = fitting.resume(place, data=self._source, verbose=False)
            except (CheckpointError, DataError, NumbersError, SpecError):
                # Damaged, or another finalist's, which could not be measured.
                atomic.remove_folder(place)
                continue
            if earlier.weights_sha256 == best.weights_sha256:
                return earlier
        return None

    def _winner_folders(self) -> list[Path]:
        folder = self._folder / "winner"
        with atomic.disk_errors(folder):
            names = safe_open.names_in(folder)
        return [folder / name for name in names if name[0].isdigit()]

    def _ranking(self) -> list[Trial]:
        """Returns the trials that may win, the best first, without trial 0."""
        alive = [t for t in self._ledger.searched_trials if t.status != "diverged"]
        whole = [trial for trial in alive if trial.status == "completed"]
        return ranked(whole or alive, self._objective)

    def _drop_weights(self, told: int, promotable: set[int]) -> None:
        """Removes the weights of trials that are not among the best, and go no further.

        Of those of which the oracle has not been told yet, it cannot say.
        """
        best = ranked(self._ledger.searched_trials, self._objective)
        kept = {trial.number for trial in best[: self._search.finalists]} | promotable
        for number in {*self._kept, told} - kept:
            atomic.remove_folder(self._folder / trial_folder(number) / "checkpoints")
        self._kept = {*self._kept, told} & kept

    def _is_out_of_time(self) -> bool:
        limit = self._search.seconds
        if limit is None or time.monotonic() - self._began < limit:
            return False
        self.remarks.append(
            f"The search ended after {limit:g} s, with {len(self._ledger.proposals) - 1} "
            "trials beside trial 0: "
            "another machine, or another number of workers, may have come less or more far."
        )
        return True

    def _is_on_target(self, trial: Trial) -> bool:
        target = self._search.target
        if target is None or trial.status == "diverged":
            return False
        if direction(self._objective) == "max":
            return trial.score >= target
        return trial.score <= target

    def _write_csv(self) -> None:
        atomic.write_file(self._folder / "trials.csv", csv_text(self._ledger.executions))
        self._csv_written = time.monotonic()

    def write_tables(self) -> None:
        """Writes every training as CSV and for TensorBoard."""
        self._write_csv()
        folder = self._folder / "tensorboard"
        write_hparams(folder, self._ledger.executions, self._objective)
