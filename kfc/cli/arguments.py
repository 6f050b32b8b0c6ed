"""Parses arguments of commands: a spec and its overrides."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from kfc.errors import Finding, SpecError


def spec_and_overrides(arguments: list[str]) -> tuple[str, dict[str, Any]]:
    """Returns the spec that the arguments name, by default `digits`, and its overrides.

    Args:
        arguments: Arguments of the command: at most one spec, any number of `key=value`.

    Raises:
        SpecError: If there are several specs, or a key is repeated.
    """
    from kfc.spec import read_value

    pairs = [argument.partition("=") for argument in arguments if "=" in argument]
    names = [argument for argument in arguments if "=" not in argument]
    if len(names) > 1:
        raise SpecError(
            Finding(
                "arguments", "one SPEC", " and ".join(names), "Write overrides as key=value."
            )
        )
    keys = [key for key, _, _ in pairs]
    if twice := {key for key in keys if keys.count(key) > 1}:
        raise SpecError(
            Finding(
                "arguments",
                "each key once",
                f"{sorted(twice)[0]} twice",
                "Remove one of them.",
            )
        )
    overrides = {key: read_value(value) for key, _, value in pairs}
    return (names[0] if names else "digits"), overrides


def with_eager(overrides: dict[str, Any]) -> dict[str, Any]:
    """Returns the overrides with the eager engine added.

    Raises:
        SpecError: If the overrides already set an engine.
    """
    if "training.engine" in overrides:
        got = f"--eager and training.engine={overrides['training.engine']}"
        raise SpecError(Finding("arguments", "one engine", got, "Remove one of them."))
    return {**overrides, "training.engine": "eager"}


def check_fold_options(
    folds: int | None, repeats: int, start: Path | None, ray: str | None
) -> None:
    """Checks that options of a cross-validation come with `--folds`, and no other ones do.

    Args:
        folds: Value of `--folds`.
        repeats: Value of `--repeats`.
        start: Value of `--from`.
        ray: Value of `--ray`.

    Raises:
        SpecError: If an option would be without effect, or the cluster cannot be used.
    """
    if folds is not None:
        if start is not None:
            remedy = "Leave one of them out."
            raise SpecError(Finding("--from", "no --folds beside it", f"{folds}", remedy))
        if ray is not None:
            from kfc.cluster import check_ray

            check_ray(ray)
        return
    for name, is_given in {"--repeats": repeats > 1, "--ray": bool(ray)}.items():
        if is_given:
            raise SpecError(Finding(name, "--folds N beside it", "none", "Add --folds 5."))


def with_ray_address(arguments: list[str]) -> list[str]:
    """Returns the arguments with an address for each `--ray` that has none.

    Typer has no options with an optional value. Under `ray job submit`, RAY_ADDRESS names the
    cluster that runs the command.

    Args:
        arguments: Arguments of a command.
    """
    if "--ray" not in arguments:
        return arguments  # without importing the cluster
    from kfc.cluster import LOCAL, is_address

    found = []
    for argument, following in zip(arguments, [*arguments[1:], ""], strict=True):
        bare = argument == "--ray" and not is_address(following)
        address = os.environ.get("RAY_ADDRESS") or LOCAL
        found.append(f"--ray={address}" if bare else argument)
    return found
