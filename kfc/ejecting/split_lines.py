"""A split of rows -> the lines that make the same split in a script."""

from __future__ import annotations

import numpy as np

from kfc.data import split
from kfc.ejecting.refusals import refused


class Splitter:
    """Splits rows as `prepare` does, and says how.

    Args:
        y: Targets of all rows.
        seed: Of every split.
        by_hand: Whether the script has no scikit-learn.
        stratify: Whether parts keep the proportions of classes.
    """

    def __init__(self, y: np.ndarray, *, seed: int, by_hand: bool, stratify: bool) -> None:
        self._y, self._seed, self._by_hand, self._stratify = y, seed, by_hand, stratify
        self.rows = np.arange(len(y))
        self._begun = False

    def lines(self, share: float | int, first: str, second: str) -> list[str]:
        """Returns the lines that split `rows`, and goes on with the part of that name.

        Args:
            share: Share of the rows in the second part, or their number.
            first: Name of the first part.
            second: Name of the second part.

        Raises:
            SpecError: If the lines would draw other rows.
        """
        y = self._y[self.rows]
        parts = split(y, share=share, seed=self._seed, stratify=self._stratify, where="data")
        if not self._by_hand:
            lines = self._scikit_learn(share, first, second)
        elif self._stratify:
            lines = self._by_class(y, parts[0], first, second)
        else:
            size = len(parts[1])
            lines = [
                f"order = np.random.RandomState({self._seed}).permutation({self._count})",
                f"{first}, {second} = {self._at(f'order[{size}:]')}, "
                f"{self._at(f'order[:{size}]')}",
            ]
        self.rows = self.rows[parts[0] if first == "rows" else parts[1]]
        self._begun = True
        return lines

    @property
    def _count(self) -> str:
        return "len(rows)" if self._begun else "len(y)"

    def _at(self, numbers: str) -> str:
        return f"np.sort(rows[{numbers}])" if self._begun else f"np.sort({numbers})"

    def _scikit_learn(self, share: float | int, first: str, second: str) -> list[str]:
        start = [] if self._begun else ["rows = np.arange(len(y))"]
        options = f"test_size={share!r}, random_state={self._seed}"
        options += ", stratify=y[rows]" if self._stratify else ""
        return [
            *start,
            f"{first}, {second} = train_test_split(rows, {options})",
            f"{first}, {second} = np.sort({first}), np.sort({second})",
        ]

    def _by_class(self, y: np.ndarray, part: np.ndarray, first: str, second: str) -> list[str]:
        """Returns what scikit-learn does: NumPy's old generator shuffles class by class."""
        total = np.bincount(y)
        counts = np.bincount(y[part], minlength=len(total))
        drawn = _drawn(total, counts)
        random = np.random.RandomState(self._seed)
        for tied in drawn:
            random.permutation(tied)
        groups = [
            random.permutation(np.flatnonzero(y == label)) for label in range(len(total))
        ]
        taken = [group[:count] for group, count in zip(groups, counts, strict=True)]
        if not np.array_equal(part, np.sort(np.concatenate(taken))):
            raise refused("data.source", "classes whose split is simple", "these")
        group = "rows[y[rows] == label]" if self._begun else "np.flatnonzero(y == label)"
        lines = [
            f"random = np.random.RandomState({self._seed})  # splits as scikit-learn does"
        ]
        if drawn:
            ties = ", ".join(f"random.permutation({tied})" for tied in drawn)
            lines.append(f"_ = {ties}  # of equal claims to a row")
        lines += [f"groups = [random.permutation({group}) for label in range({len(total)})]"]
        cut, each = str(counts[0]), "group in groups"
        if (counts != counts[0]).any():
            lines.append(f"counts = {counts.tolist()}  # of each class")
            cut, each = "n", "group, n in zip(groups, counts, strict=True)"
        lines += [
            f"{name} = np.sort(np.concatenate([group[{taken}] for {each}]))"
            for name, taken in ((second, f"{cut}:"), (first, f":{cut}"))
        ]
        return lines


def _drawn(total: np.ndarray, first: np.ndarray) -> list[int]:
    """Returns how many classes scikit-learn permutes, each time that rounding leaves a tie.

    It does so before it shuffles any rows, and its generator moves on.

    Args:
        total: Rows of each class.
        first: Those of them in the first part.
    """
    drawn: list[int] = []
    for counts, rows in ((total, first.sum()), (total - first, (total - first).sum())):
        exact = counts / counts.sum() * rows
        rest = exact - np.floor(exact)
        missing = int(rows - np.floor(exact).sum())
        for value in np.unique(rest)[::-1]:
            if missing <= 0:
                break
            tied = int((rest == value).sum())
            drawn += [tied] if tied > 1 else []  # one alone moves no generator
            missing -= tied
    return drawn
