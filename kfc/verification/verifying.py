"""Verifies that every training path of a spec makes the same steps."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from kfc.data import Prepared, prepare, tables_beside
from kfc.errors import DataError, Finding, SpecError
from kfc.runs import environment, make_plan, result_file
from kfc.spec import Spec, SpecLike, load_spec
from kfc.system import atomic, safe_open, user_paths
from kfc.training.engine import is_stateless
from kfc.verification.baseline import Baseline, run_baseline, run_path
from kfc.verification.float64_path import float64_unsupported
from kfc.verification.path_comparison import PathComparison
from kfc.verification.problem import Problem
from kfc.verification.tensor_difference import TOLERANCE
from kfc.verification.training_paths import (
    EagerPath,
    EnginePath,
    FitPath,
    TrainingPath,
    UserPath,
    XlaPath,
)

CERTIFICATE_FILE = "verification.json"


@dataclass(frozen=True)
class Certificate:
    """Result of a verification; the attributes are also the keys of `verification.json`.

    Args:
        passed: Whether every path makes every step within its bound.
        spec: Name of the spec.
        steps: Number of steps that were compared.
        rows: Number of training rows; the steps visit each about twice.
        bound: Allowed difference from another path, as a share of the weights' movement in
            one step, or in all steps so far; see
            `kfc.verification.tensor_difference.compare_tensors`. The allowed difference is a
            hundred times larger from a step on in which a unit of relu is at 0. Over several
            steps, rounding may also grow to 1000 times the effect of a one-ulp change in the
            initial weights.
        paths: Entry of each path: its `name` and `description`; `first_different_step`, the
            first step, from 0, after which its bits differ from those of the graph path, or
            None; `same_bits`, the paths with the same bits after every step; the largest
            difference from the graph's weights after any step as `max_abs`, `max_ulps` (units
            in the last place of the tensor's largest element) and `relative` (share of the
            allowed difference); `step_max_ulps` and `step_relative`, the largest difference
            of a single step from float64, or from the graph without float64.
        tensors: Entry of each tensor: `name`, `shape`, and `max_abs` and `max_ulps` by path.
        first_difference: First step after which the bits of two paths differ, with `step`,
            `path`, `tensor`, `max_abs`, `max_ulps` and `why`; None if all bits are equal.
        failures: First step of each path that exceeds its bound: `path`, `step`, `tensors`,
            `code` and `cause`.
        relu_zeros: Units of relu whose input is 0 within rounding, so that rounding decides
            their derivative; see `kfc.verification.relu_zeros.ReluZero`.
        float64_unsupported: Parts of the spec that the float64 reference does not support;
            empty if the paths were compared with it.
        versions: Versions of the libraries.

    Examples:
        >>> certificate = kfc.verify("breast_cancer", steps=2)
        >>> [path["name"] for path in certificate.paths]
        ['graph', 'eager', 'fit', 'xla', 'engine', 'float64']
    """

    passed: bool
    spec: str
    steps: int
    rows: int
    bound: float
    paths: list[dict[str, Any]]
    tensors: list[dict[str, Any]]
    first_difference: dict[str, Any] | None
    failures: list[dict[str, Any]]
    relu_zeros: list[dict[str, Any]]
    float64_unsupported: str
    versions: dict[str, str]

    def summary(self) -> dict[str, Any]:
        """Returns the object that `--json` prints, with infinity and NaN as text."""
        return {name: _plain(value) for name, value in asdict(self).items()}


def _plain(value: Any) -> Any:
    """Returns a value that JSON can hold."""
    if isinstance(value, dict):
        return {key: _plain(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_plain(entry) for entry in value]
    return str(value) if isinstance(value, float) and not np.isfinite(value) else value


def verify(
    spec: SpecLike,
    *,
    steps: int = 12,
    overrides: Mapping[str, Any] | None = None,
    data: Any = None,
    step: Callable[..., Any] | None = None,
) -> Certificate:
    """Makes some training steps by every path, from the same weights and batches.

    The paths are: the formulas in float64 (`kfc.reference`), a hand-written tape loop,
    `train_step` in a graph and compiled by XLA, Keras's own `fit`, and kfc's engine. Each
    path makes all steps consecutively, and each single step from the weights of the graph,
    so that rounding does not accumulate. Both have a bound: single steps reveal a wrong
    step, consecutive steps reveal state that is lost between steps.

    Args:
        spec: Built-in spec's name, file, dict, `kfc.Spec`, or folder of a run, to which the
            certificate is then added as `verification.json`.
        steps: Number of steps, at least 2. The rows are chosen so that the steps are two
            epochs, each with a short last batch.
        overrides: Dotted keys of the spec with their values.
        data: Rows instead of `data.source`, as for `kfc.fit`.
        step: Function of your own to be verified, which is called with `(model, x, y)`: a
            `keras.Model` with the optimizer of the spec, and a batch. It updates the weights
            of the model and returns the loss of the batch. It may keep state of its own, so
            its consecutive steps have no bound.

    Returns:
        The certificate.

    Raises:
        SpecError: If the spec is wrong.
        DataError: If the data cannot be read or must not be trained on.

    Examples:
        >>> kfc.verify("breast_cancer", steps=2).passed
        True
    """
    if isinstance(steps, bool) or steps < 2:
        expected, remedy = "a whole number of at least 2", "Compare 2 steps or more."
        raise SpecError(Finding("--steps", expected, str(steps), remedy))
    folder = _run_folder(spec)
    checked = load_spec(spec if folder is None else result_file.read_spec(folder), overrides)
    preparer = (
        None if folder is None else functools.partial(_prepared, data=data, folder=folder)
    )
    plan = make_plan(checked, data=data, preparer=preparer)
    problem = Problem.of(plan, steps)
    own_steps = [UserPath(problem, step)] if step else []
    certificate = certify(run_baseline(problem), [*other_paths(problem), *own_steps])
    if folder is not None:
        text = result_file.as_json(certificate.summary())
        atomic.write_file(folder / CERTIFICATE_FILE, text)
    return certificate


def _prepared(spec: Spec, data: Any, folder: Path) -> Prepared:
    """Returns the data of the run in `folder`, with refusals that fit a run."""
    if data is None and spec.data.source is None:
        raise DataError(
            Finding(
                "data",
                "the rows that this run was given in Python",
                "none",
                f"Call `kfc.verify({str(folder)!r}, data=...)` with them.",
            )
        )
    with environment.explaining_relative_paths(folder):
        return prepare(spec, data, cache=tables_beside(folder))


def _run_folder(spec: SpecLike) -> Path | None:
    """Returns the folder of a run if `spec` is one, else None."""
    if isinstance(spec, (str, Path)) and (user_paths.absolute(spec) / "result.json").is_file():
        folder = user_paths.absolute(spec)
        safe_open.distrust(folder)
        return folder
    return None


def other_paths(problem: Problem) -> list[TrainingPath]:
    """Returns all paths of kfc and Keras besides the graph path."""
    kinds: list[Callable[[Problem], TrainingPath]] = [
        EagerPath,
        FitPath,
        *([XlaPath] if is_stateless(problem.spec) else []),
        EnginePath,
    ]
    return [kind(problem) for kind in kinds]


def certify(baseline: Baseline, paths: Sequence[TrainingPath]) -> Certificate:
    """Compares paths with the baseline.

    Args:
        baseline: Results that the paths are compared with.
        paths: Paths besides the graph path and float64.
    """
    all_results = [baseline.graph, *(run_path(path, baseline.states) for path in paths)]
    all_results += [baseline.float64] if baseline.float64 else []
    problem, comparison = baseline.problem, PathComparison(baseline, all_results)
    return Certificate(
        passed=not comparison.failures,
        spec=problem.spec.name,
        steps=len(baseline.states),
        rows=len(problem.rows),
        bound=TOLERANCE,
        paths=[comparison.path_entry(results) for results in all_results],
        tensors=comparison.tensor_entries(),
        first_difference=comparison.first_difference(),
        failures=list(comparison.failures.values()),
        relu_zeros=[zero._asdict() for of_step in baseline.relu_zeros for zero in of_step],
        float64_unsupported=float64_unsupported(problem),
        versions=environment.versions_of(environment.VERSIONS),
    )
