"""Names of the inputs of a Keras model that takes the columns of a table."""

from __future__ import annotations

import keyword
import re
from collections.abc import Collection, Iterable, Mapping

_OPERATIONS = (
    "absolute|add|all|argmax|cast|clip|concatenate|divide|equal|expand_dims|floor|floor_divide|"
    "get_item|greater|greater_equal|integer_lookup|isinf|isnan|less|less_equal|logical_and|"
    "logical_not|logical_or|matmul|maximum|minimum|mod|multiply|not_equal|reshape|stack|string_lookup|"
    "subtract|take|take_along_axis|text_vectorization|true_divide|where|zeros_like"
)
_TAKEN = re.compile(rf"(?:{_OPERATIONS})(?:_[0-9]+)?")
"""Names that Keras gives the operations of the graph; those of a model must be different."""


def keras_names(columns: Iterable[str], reserved: Collection[str] = ()) -> dict[str, str]:
    """Returns the name of the Keras input of each column: its own where Keras accepts it.

    Args:
        columns: Names of the columns, which are different.
        reserved: Names of the model's layers.
    """
    names: dict[str, str] = {}
    columns = list(columns)
    fine = {name for name in columns if _accepted(name, reserved)}
    taken = set(fine)
    for column in columns:
        if column in fine:
            names[column] = column
            continue
        base = column.replace("/", "_") or "column"
        names[column] = _free(base if _accepted(base, reserved) else f"{base}_column", taken)
    return names


def signature_names(names: Mapping[str, str]) -> dict[str, str]:
    """Returns the name of each input in the signature of a SavedModel.

    TensorFlow renames or refuses an input whose name is not one of a Python argument in
    ASCII.

    Args:
        names: Values that are the names of the inputs in the Keras model.

    Returns:
        Names by the same keys.
    """
    # TensorFlow takes `Zip` and `zip` for one name. Of such names the first one stays.
    found: dict[str, str] = {}
    taken: set[str] = set()
    for key, name in names.items():
        if _is_argument(name) and name.lower() not in taken:
            found[key] = name
            taken.add(name.lower())
    for key, name in names.items():
        if key in found:
            continue
        base = re.sub("[^A-Za-z0-9]+", "_", name).strip("_")
        base = base if _is_argument(base) else f"column_{base}"
        number, free = 2, base
        while free.lower() in taken:
            number, free = number + 1, f"{base}_{number}"
        taken.add(free.lower())
        found[key] = free
    return {key: found[key] for key in names}


def _is_argument(name: str) -> bool:
    """Returns whether a Python function that TensorFlow makes may have such an argument."""
    named = re.fullmatch("[A-Za-z][A-Za-z0-9_]*", name) is not None
    return named and not keyword.iskeyword(name) and name != "self"


def _accepted(name: str, reserved: Collection[str]) -> bool:
    in_graph = _TAKEN.fullmatch(name) is not None
    return bool(name) and "/" not in name and not in_graph and name not in reserved


def _free(name: str, taken: set[str]) -> str:
    """Returns the name, with a number if it is taken, and takes it."""
    number, free = 2, name
    while free in taken:
        number, free = number + 1, f"{name}_{number}"
    taken.add(free)
    return free
