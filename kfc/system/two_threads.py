"""Runs a function for several items in two threads."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar, cast

THREADS = 2
"""More would need more memory, since each works on a whole column of a table."""

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")
_Other = TypeVar("_Other")


def in_threads(function: Callable[[_Item], _Result], items: Iterable[_Item]) -> list[_Result]:
    """Returns the results of a function for some items, in the order of the items.

    Two items are worked on at a time, which saves time where the function spends it in Arrow,
    NumPy or a hash, which release the interpreter's lock.

    Args:
        function: Function of one item.
        items: The items.

    Raises:
        Exception: The error of the first item, in their order, for which there is one.
    """
    listed = list(items)
    if len(listed) < THREADS:
        return [function(item) for item in listed]
    with ThreadPoolExecutor(THREADS) as pool:
        return list(pool.map(function, listed))


def both_in_threads(
    first: Callable[[], _Result], second: Callable[[], _Other]
) -> tuple[_Result, _Other]:
    """Returns the results of two functions that run at the same time.

    Args:
        first: Function whose error is raised before that of the other one.
        second: The other function.

    Raises:
        Exception: The error of the first function, or else that of the second.
    """
    functions: tuple[Callable[[], object], ...] = (first, second)
    return cast("tuple[_Result, _Other]", tuple(in_threads(lambda work: work(), functions)))
