"""The plug-ins a spec names -> imported, their options tried on their signatures."""

from __future__ import annotations

import inspect

from kfc.errors import Finding, SpecError
from kfc.registry import BLOCKS
from kfc.spec import ComponentSpec, Spec


def bind_plugins(spec: Spec) -> None:
    """Imports each plug-in that `spec` names and tries its options on its signature.

    Raises:
        PluginError: If one cannot be imported.
        SpecError: If one does not take its options.
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
            continue  # Keras's own; its options are checked with the spec
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
                    "Mend the options.",
                )
            ) from error
