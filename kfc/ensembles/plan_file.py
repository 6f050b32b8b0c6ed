"""The plan of an ensemble, from which each of its runs follows; `ensemble.json`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, Field, ValidationError

from kfc.errors import CheckpointError, DataError, Finding, SpecError, reason
from kfc.runs import environment, result_file
from kfc.spec import FoldSpec, Spec, load_spec
from kfc.system import atomic, safe_open

if TYPE_CHECKING:
    from kfc.runs import Checks

FILE = "ensemble.json"
FOLDS_FILE = "folds.npz"


@dataclass(frozen=True)
class EnsemblePlan:
    """The runs of an ensemble.

    Args:
        kind: `folds` of a cross-validation, or `seeds` of one spec.
        spec: Spec of the caller, valid but not resolved.
        numbers: Numbers of the folds, or of the members, in the order of training.
        repeats: Number of times that all folds are trained, each with other seeds.
        given: Whether the folds were given and are in the file `folds.npz`.
        folds_sha256: SHA-256 of given folds; empty for others.
        in_memory: Whether the caller passes rows as `data=`.
    """

    kind: Literal["folds", "seeds"]
    spec: Spec
    numbers: tuple[int, ...]
    repeats: int = 1
    given: bool = False
    folds_sha256: str = ""
    in_memory: bool = False

    def members(self, folder: Path) -> Iterator[Member]:
        """Yields the runs in the order of their numbers.

        Args:
            folder: Absolute path of the ensemble's folder.
        """
        places = [
            (repeat, number) for repeat in range(self.repeats) for number in self.numbers
        ]
        for place, (repeat, number) in enumerate(places, 1):
            name = f"{place:04d}-{self.spec.name}"
            yield Member(folder / name, repeat, number, self._spec_of(folder, repeat, number))

    def _spec_of(self, folder: Path, repeat: int, number: int) -> Spec:
        spec, data = self.spec, self.spec.data
        if self.kind == "seeds":
            seed = spec.seed + number
            data = data.model_copy(update={"split_seed": spec.seed_of_rows})
        else:
            seed = spec.seed + repeat
            file = str(folder / FOLDS_FILE) if self.given else None
            of = None if self.given else len(self.numbers)
            fold = FoldSpec(number=number, of=of, file=file)
            rows = None if data.split_seed is None else (data.split_seed + repeat) % 2**32
            data = data.model_copy(update={"fold": fold, "split_seed": rows})
        training = spec.training.model_copy(update={"members": 1})
        update = {"seed": seed % 2**32, "data": data, "training": training}
        return spec.model_copy(update=update)

    def facts(self) -> dict[str, Any]:
        """Returns the plan as plain values."""
        return {
            "kind": self.kind,
            "spec": environment.plain_spec(self.spec),
            "numbers": list(self.numbers),
            "repeats": self.repeats,
            "given": self.given,
            "folds_sha256": self.folds_sha256,
            "in_memory": self.in_memory,
        }

    def text(self) -> str:
        """Returns the text of `ensemble.json`."""
        return result_file.as_json(result_file.with_sha256(self.facts()))


@dataclass(frozen=True)
class Member:
    """One run of an ensemble.

    Args:
        folder: Absolute path of its folder.
        repeat: Number of its repeat, from 0.
        number: Number of its fold, or of its seed after the first one.
        spec: Its spec, not resolved.
        checks: Checks of the doctor that run before its training, see `kfc.fit`.
    """

    folder: Path
    repeat: int
    number: int
    spec: Spec
    checks: Checks = "none"


class _PlanRecord(BaseModel, strict=True, extra="forbid"):
    kind: Literal["folds", "seeds"]
    spec: dict[str, Any]
    numbers: list[int] = Field(min_length=2)
    repeats: int = Field(ge=1)
    given: bool
    folds_sha256: str
    in_memory: bool
    sha256: str


@contextmanager
def removed_unless_begun(plan: EnsemblePlan, folder: Path) -> Iterator[None]:
    """Removes the folder of an ensemble if its spec or data are refused before its first run.

    So a corrected spec does not find the folder of another one.

    Args:
        plan: Plan of the ensemble.
        folder: Its folder, locked by this process.
    """
    try:
        yield
    except (SpecError, DataError):
        if not any(member.folder.exists() for member in plan.members(folder)):
            atomic.remove_folder(folder)
        raise


def is_ensemble(folder: Path) -> bool:
    """Returns whether a folder holds an ensemble, finished or not."""
    try:
        return (folder / FILE).is_file()
    except (OSError, ValueError):  # no path at all, which its reader says
        return False


def read_plan(folder: Path) -> EnsemblePlan:
    """Reads the plan of an ensemble.

    Raises:
        CheckpointError: If the folder holds no ensemble, or its plan is damaged.
    """
    safe_open.distrust(folder)
    try:
        facts = json.loads(atomic.read_text(folder / FILE))
        result_file.check_sha256(facts)
        record = _PlanRecord.model_validate(facts)
        return EnsemblePlan(
            record.kind,
            load_spec(record.spec),
            tuple(record.numbers),
            record.repeats,
            record.given,
            record.folds_sha256,
            record.in_memory,
        )
    except (OSError, ValueError, RecursionError, ValidationError) as error:
        got = f"a damaged {FILE} ({reason(error)})"
        remedy = "Restore it from a copy, or train again in another folder."
        raise CheckpointError(Finding(str(folder), "an ensemble", got, remedy)) from error


def check_same(folder: Path, found: EnsemblePlan, wanted: EnsemblePlan) -> None:
    """Checks that a folder holds the ensemble that a caller asks for.

    Raises:
        CheckpointError: If it holds another one.
    """
    changed = environment.value_differences(found.facts(), wanted.facts())
    if changed:
        raise CheckpointError(
            Finding(
                str(folder),
                "the cross-validation with which this folder began",
                "; ".join(changed),
                "Restore these values to continue it, or name another folder.",
            )
        )
