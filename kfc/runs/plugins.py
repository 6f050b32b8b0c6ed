"""Imports the plug-ins that a spec names, and checks their options."""

from __future__ import annotations

import inspect

from kfc.errors import Finding, SpecError
from kfc.registry import BLOCKS
from kfc.spec import ComponentSpec, Spec


def bind_plugins(spec: Spec) -> None:
    """Imports each plug-in that a spec names, and checks its options against its signature.

    Args:
        spec: Spec that names a block, an optimizer and callbacks.

    Raises:
        PluginError: If a plug-in cannot be imported.
        SpecError: If a plug-in does not accept its options.
    """
    used: list[tuple[str, ComponentSpec]] = [
        ("network.block", spec.network.block),
        ("training.optimizer", spec.training.optimizer),
        *((f"training.callbacks[{i}]", c) for i, c in enumerate(spec.training.callbacks)),
    ]
    for where, component in used:
        registry = component.registry
        if registry is None or component.name in registry.builtins:
            continue
        if component.name not in registry.names():
            continue  # Keras owns it, and the spec has checked its options
        plugin = registry.get(component.name, where)
        given = component.options
        if registry is BLOCKS:
            given |= {"tensor": None, "hidden": None, "name": "", "seed": 0}
        try:
            inspect.signature(plugin).bind(**given)
        except TypeError as error:
            raise SpecError(
                Finding(
                    where,
                    f"options that {component.name!r} takes: {inspect.signature(plugin)}",
                    str(error).removeprefix("got "),
                    "Fix the options.",
                )
            ) from error
