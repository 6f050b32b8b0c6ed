"""Arguments of a command that are a spec and its overrides."""

from __future__ import annotations

from typing import Any

from kfc.errors import Finding, SpecError


def spec_and_overrides(arguments: list[str]) -> tuple[str, dict[str, Any]]:
    """Returns the spec that arguments name, by default `digits`, and its overrides.

    Args:
        arguments: At most one spec, and any number of `key=value`.

    Raises:
        SpecError: If there are several specs, or a key comes twice.
    """
    from kfc.spec import read_value

    pairs = [argument.partition("=") for argument in arguments if "=" in argument]
    names = [argument for argument in arguments if "=" not in argument]
    if len(names) > 1:
        raise SpecError(
            Finding("arguments", "one SPEC", " and ".join(names), "Overrides read key=value.")
        )
    keys = [key for key, _, _ in pairs]
    if twice := {key for key in keys if keys.count(key) > 1}:
        raise SpecError(
            Finding(
                "arguments", "each key once", f"{sorted(twice)[0]} twice", "Drop one of them."
            )
        )
    overrides = {key: read_value(value) for key, _, value in pairs}
    return (names[0] if names else "digits"), overrides


def with_eager(overrides: dict[str, Any]) -> dict[str, Any]:
    """Returns overrides with the eager engine.

    Raises:
        SpecError: If they name an engine already.
    """
    if "training.engine" in overrides:
        got = f"--eager and training.engine={overrides['training.engine']}"
        raise SpecError(Finding("arguments", "one engine", got, "Drop one of them."))
    return {**overrides, "training.engine": "eager"}
