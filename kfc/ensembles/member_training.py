"""Trains the runs of an ensemble: in turn, at once, in processes, or on a cluster."""

from __future__ import annotations

import functools
import json
import multiprocessing
import pickle
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from kfc.cluster import MAX_DEATHS, ClusterOptions, RemoteJob, cluster_jobs
from kfc.data import Prepared, RawRows, prepare, read_rows, read_source, streams_table
from kfc.ensembles.plan_file import EnsemblePlan, Member
from kfc.errors import Finding, SpecError
from kfc.runs import Checks, Run, fit_member, result_file, train_at_once
from kfc.spec import Spec
from kfc.system import in_lockstep, safe_open, worker_process
from kfc.training.engine import JointCalls, check_at_once

_OF_SPLITS = {"fold", "split_seed"}
"""Keys of `data` that do not change the rows which are read."""


class MemberPreparer:
    """Prepares the data of each member; reads the source once, and encodes rows once.

    Members of other seeds have the same rows, since `data.split_seed` says how they are split.

    Args:
        data: Rows given as `data=`; None for the source of the spec.
        cache: Folder of encoded tables that are larger than the memory.
    """

    def __init__(self, data: Any, cache: Path) -> None:
        self._data, self._cache = data, cache
        self._raw: tuple[str, RawRows] | None = None
        self._prepared: dict[str, Prepared] = {}
        self._keeps = False

    def __call__(self, spec: Spec) -> Prepared:
        """Returns the prepared data of a spec, those of the last one if they are the same."""
        key = _key(spec)
        if key not in self._prepared:
            if not self._keeps:
                self._prepared = {}
            if self._data is None and streams_table(spec.data):
                prepared = prepare(spec, cache=self._cache)
            else:
                prepared = prepare(spec, self._data, raw=self._read(spec))
            self._prepared[key] = prepared
        return self._prepared[key]

    def keep(self, keep: bool = True) -> None:
        """Keeps all that is prepared from now on, or again only the last one."""
        self._keeps = keep
        if not keep:
            self._prepared = dict([*self._prepared.items()][-1:])

    def read_ahead(self, spec: Spec) -> None:
        """Reads the rows of a spec here, so that a copy of this object needs no file of them.

        A table that is streamed from the disk is read where its file is.
        """
        if self._data is not None or not streams_table(spec.data):
            self._read(spec)

    def _read(self, spec: Spec) -> RawRows:
        key = _key(spec, without=_OF_SPLITS)
        if self._raw is None or self._raw[0] != key:
            self._raw = key, read_rows(spec, self._data, read_source)
        return self._raw[1]


def _key(spec: Spec, without: set[str] | None = None) -> str:
    data = spec.data.model_dump(mode="json", exclude=without or set())
    rest = [] if without else [spec.seed_of_rows, spec.accept]
    # A resolved spec names what its data decide; the fold alone tells members apart.
    return json.dumps([data, rest])


class MemberRunner:
    """Trains members in this process.

    Args:
        data: Rows given as `data=`, or None.
        cache: Folder of encoded tables, in the folder of the ensemble.
        verbose: Whether the epochs of each member are shown on stderr.
        warn: Whether warnings of the doctor's checks are shown on stderr.
    """

    def __init__(
        self, data: Any, cache: Path, *, verbose: bool = False, warn: bool = True
    ) -> None:
        safe_open.distrust(cache.parent)  # also in a worker process
        self.data, self.cache, self.verbose, self.warn = data, cache, verbose, warn
        self.prepare = MemberPreparer(data, cache)

    def run(self, member: Member, *, verbose: bool = False) -> Run:
        """Trains a member, continues it, or loads it if it is finished.

        Args:
            member: The member.
            verbose: Whether its epochs are shown on stderr, also if those of others are not.
        """
        return fit_member(
            member.folder,
            member.spec,
            self.prepare,
            data=self.data,
            verbose=self.verbose or verbose,
            checks=member.checks,
            warn=self.warn,
        )


class _Remote:
    """A runner in a worker process, which returns nothing: its run is in its folder."""

    def __init__(self, data: Any, cache: Path, warn: bool) -> None:
        self._runner = MemberRunner(data, cache, warn=warn)

    def run(self, member: Member) -> None:
        self._runner.run(member)


class _OnNode:
    """A runner on a node of a cluster, which trains in a folder there."""

    def __init__(self, runner: MemberRunner, root: Path) -> None:
        self._runner, self._root = runner, root
        safe_open.distrust(root)

    def run(self, member: Member) -> bool:
        self._runner.run(replace(member, folder=self._root / member.folder.name))
        return True


def train_members(
    plan: EnsemblePlan,
    folder: Path,
    runner: MemberRunner,
    *,
    workers: int | None,
    threads: int | None,
    ray: str | None = None,
    say: Callable[[str], None] = print,
    checks: Checks = "none",
) -> Iterator[tuple[Member, Run]]:
    """Yields each member with its finished run, in the order of their numbers.

    Args:
        plan: Plan of the ensemble.
        folder: Folder of the ensemble, locked by this process.
        runner: Runner of this process.
        workers: Number of processes that train at once; 1 trains in this one. None is 1, and
            on a cluster as many as have room.
        threads: Number of TensorFlow's threads in each process.
        ray: Address of a Ray cluster whose nodes train; None for this machine.
        say: Function that shows a line about the cluster, or about networks at once.
        checks: Checks of the doctor that run before the training of the first member; the
            others have the same network, and other rows of the same data.

    Raises:
        KfcError: The error of a member's training.
    """
    first, *rest = plan.members(folder)
    members = [replace(first, checks=checks), *rest]
    if ray is not None:
        yield from _train_on_cluster(members, folder, runner, workers, threads, ray, say)
    elif workers is None or workers == 1:
        yield from _train_here(members, runner, say)
    else:
        yield from _train_in_processes(members, runner, workers, threads)


def check_members(spec: Spec, *, workers: int | None = None, ray: str | None = None) -> None:
    """Checks that the networks of a spec can train as it says, before there is a folder.

    Args:
        spec: Valid spec of the members.
        workers: Number of processes that train at once, as for `train_members`.
        ray: Address of a Ray cluster, or None.

    Raises:
        SpecError: If they cannot.
    """
    check_at_once(spec)
    if spec.training.at_once == "always" and not (ray is None and workers in (None, 1)):
        got = f"workers={workers}" if ray is None else f"ray={ray!r}"
        remedy = "Leave it out, or set training.at_once to auto."
        raise SpecError(Finding("training.at_once", "auto or never with workers", got, remedy))


def _train_here(
    members: list[Member], runner: MemberRunner, say: Callable[[str], None]
) -> Iterator[tuple[Member, Run]]:
    unfinished = [each for each in members if not result_file.is_finished(each.folder)]
    runner.prepare.keep()
    specs = [each.spec for each in unfinished]
    if not train_at_once(specs, runner.prepare, data=runner.data):
        runner.prepare.keep(False)
        for member in members:
            yield member, runner.run(member)
        return
    first = unfinished[0].folder.name
    calls = JointCalls(
        lambda counts: say(f"{_groups(counts)}; the epochs are those of {first}")
    )
    functions = [
        functools.partial(runner.run, member, verbose=runner.warn and not number)
        for number, member in enumerate(unfinished)
    ]
    with closing(in_lockstep(functions, calls)) as trained:
        for member in members:
            yield member, next(trained) if member in unfinished else runner.run(member)


def _groups(counts: list[int]) -> str:
    """Returns a text about networks that train at once.

    Args:
        counts: Number of networks of each shape.
    """
    groups = [str(count) for count in sorted(counts, reverse=True) if count > 1]
    alone = counts.count(1)
    if not groups:
        return f"{alone} networks of different shapes train one after the other"
    rest = f", {alone} alone" if alone else ""
    return f"{' and '.join(groups)} networks train at once{rest}"


def _train_on_cluster(
    members: list[Member],
    folder: Path,
    runner: MemberRunner,
    workers: int | None,
    threads: int | None,
    ray: str,
    say: Callable[[str], None],
) -> Iterator[tuple[Member, Run]]:
    unfinished = [each for each in members if not result_file.is_finished(each.folder)]
    done: set[Path] = {each.folder for each in members} - {each.folder for each in unfinished}
    if not unfinished:
        for member in members:
            yield member, runner.run(member)
        return
    spec = unfinished[0].spec
    runner.prepare.read_ahead(spec)
    quiet = MemberRunner(runner.data, runner.cache, warn=runner.warn)
    quiet.prepare = runner.prepare
    options = ClusterOptions(spec, threads, workers, len(unfinished), folder, say)
    with cluster_jobs(ray, functools.partial(_OnNode, quiet), options) as jobs:
        for number, member in enumerate(unfinished):
            jobs.submit(RemoteJob(number, member, member.folder.name))
        for member in members:
            while member.folder not in done:
                job, result = jobs.next_result()
                if result is None:
                    raise _died(f"{MAX_DEATHS} that died while they trained {job.folder}")
                done.add(job.job.folder)
            yield member, runner.run(member)  # it is finished, so it is loaded


def _train_in_processes(
    members: list[Member], runner: MemberRunner, workers: int, threads: int | None
) -> Iterator[tuple[Member, Run]]:
    executor = ProcessPoolExecutor(
        min(workers, len(members)),
        multiprocessing.get_context("spawn"),  # a forked process hangs after TensorFlow began
        initializer=_start_worker,
        initargs=(pickle.dumps(_MakeRemote(runner.data, runner.cache, runner.warn)), threads),
    )
    try:
        futures = [executor.submit(worker_process.run_job, member) for member in members]
        for member, future in zip(members, futures, strict=True):
            _wait(future)
            yield member, runner.run(member)  # it is finished, so it is loaded
    finally:
        for process in list((executor._processes or {}).values()):
            process.kill()
        executor.shutdown(wait=True, cancel_futures=True)


@dataclass(frozen=True)
class _MakeRemote:
    data: Any
    cache: Path
    warn: bool

    def __call__(self) -> _Remote:
        return _Remote(self.data, self.cache, self.warn)


def _start_worker(pickled: bytes, threads: int | None) -> None:
    worker_process.end_with_parent()
    worker_process.start_worker(pickled, threads)


def _wait(future: Future[None]) -> None:
    try:
        future.result()
    except BrokenProcessPool as error:
        raise _died("one that died") from error


def _died(got: str) -> SpecError:
    return SpecError(
        Finding(
            "workers",
            "processes that train to their end",
            got,
            "Free memory or use fewer workers; the same command continues. In a script, "
            'call kfc below `if __name__ == "__main__":`.',
        )
    )
