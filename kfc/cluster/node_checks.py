"""Compares a node of a cluster with this machine, and explains why a node cannot work."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from kfc.errors import Finding, KfcError, SpecError, one_line
from kfc.runs import MACHINE_KEYS, environment

_KFC = "keras-fully-connected"
_SAME = "Install on every node what this machine has."


def check_version(node: str, here: Mapping[str, str], there: Mapping[str, str]) -> None:
    """Checks that a node has this version of kfc, because objects of kfc are sent to it.

    Args:
        node: Address of the node.
        here: Package -> version on this machine.
        there: Package -> version on the node.

    Raises:
        SpecError: If it has another one.
    """
    own, other = here.get(_KFC), there.get(_KFC)
    if own != other:
        raise SpecError(Finding(f"node {node}", f"kfc {own}", f"{other}", _SAME))


def bits_remark(node: str, here: Mapping[str, Any], there: Mapping[str, Any]) -> str:
    """Returns a sentence about values of a node on which bits may depend, empty for none.

    Args:
        node: Address of the node.
        here: This machine, as `environment.json` has it.
        there: The node.
    """
    own, other = ({key: of.get(key) for key in MACHINE_KEYS} for of in (here, there))
    lines = environment.value_differences(own, other)
    if not lines:
        return ""
    said = "; ".join(
        line.replace(" then, ", " here, ").removesuffix(" now") + " there" for line in lines
    )
    return f"Node {node} has other values, so other bits are possible: {said}."


def on_node(error: KfcError, node: str) -> KfcError:
    """Returns the same error with the node's address in each finding."""
    findings = [
        replace(each, where=f"node {node}, {each.where}", remedy=f"{_SAME} {each.remedy}")
        for each in error.findings
    ]
    return type(error)(*findings)


def start_failure(node: str, error: Exception) -> SpecError:
    """Returns the error for a worker that cannot start.

    Args:
        node: Address of the node; empty if the worker has not answered.
        error: Error of Ray.
    """
    lines = str(getattr(error, "cause", None) or error).strip().splitlines()
    expected, got = "processes that start", lines[-1] if lines else repr(error)
    remedy = "Free memory on the node; the files that `data` names must be there too."
    if missing := re.search(r"No module named '([\w.]+)'", str(error)):
        expected, got, remedy = "the packages of this machine", f"no {missing[1]}", _SAME
    elif not node:
        remedy = "Start Ray on every node with RAY_AUTH_MODE=token and the same token."
    where = f"node {node}" if node else "a node of the cluster"
    return SpecError(Finding(where, expected, one_line(got).rstrip("."), remedy))
