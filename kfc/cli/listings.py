"""Prints lists of built-in specs, sources and components."""

from __future__ import annotations

from kfc.cli import printing
from kfc.registry import ALL_SOURCES, REGISTRIES
from kfc.spec import (
    ActivationSpec,
    CallbackSpec,
    InitializerSpec,
    LossSpec,
    OptimizerSpec,
    builtin_specs,
    builtin_text,
    load_spec,
    preset_names,
    preset_text,
    read_yaml,
)

_USES = {
    "sklearn": ("sklearn:digits, :breast_cancer, :wine, :iris, :diabetes", "never"),
    "tfds": ("tfds:NAME, any tensorflow-datasets set; TFDS_DATA_DIR", "first time"),
    "idx": ("idx:FOLDER, MNIST-format files, plain or .gz", "never"),
    "npz": ("npz:FILE, arrays x, y (and x_test, y_test)", "never"),
    "npy": ("npy:FOLDER, the same names as .npy files, of any size", "never"),
    "csv": ("csv:FILE, a table as text, or a folder of such files", "never"),
    "parquet": ("parquet:FILE, a table, or a folder of such files", "never"),
}
"""Form of the name in a spec, and when a network is needed, for each kind of source."""


def print_specs(name: str | None, as_json: bool) -> None:
    """Prints the built-in specs, or the text of one of them.

    Args:
        name: Name of the spec to print; None lists all.
        as_json: Whether to print JSON.

    Raises:
        SpecError: If there is no built-in spec of that name.
    """
    if name:
        text = builtin_text(name)
        printing.print_json(load_spec(name).model_dump(mode="json")) if as_json else print(
            text, end=""
        )
    elif as_json:
        printing.print_json({"specs": builtin_specs()})
    else:
        rows = ((n, builtin_text(n).splitlines()[0].lstrip("# ")) for n in builtin_specs())
        printing.print_table(("spec", "description"), rows)


def print_presets(name: str | None, as_json: bool) -> None:
    """Prints the presets, or the text of one of them.

    Args:
        name: Name of the preset to print; None lists all.
        as_json: Whether to print JSON.

    Raises:
        SpecError: If there is no preset of that name.
    """
    if name:
        text = preset_text(name)
        printing.print_json(read_yaml(text, name).values) if as_json else print(text, end="")
    elif as_json:
        printing.print_json({"presets": preset_names()})
    else:
        rows = ((n, preset_text(n).splitlines()[0].lstrip("# ")) for n in preset_names())
        printing.print_table(("preset", "description"), rows)


def print_sources(as_json: bool) -> None:
    """Prints the kinds of sources with their distributions."""
    if as_json:
        printing.print_json({"sources": ALL_SOURCES.owners()})
        return
    rows = (
        (
            kind,
            *_USES.get(kind, (ALL_SOURCES.summary(kind) or f"{kind}:...", "ask its author")),
            " and ".join(owners),
        )
        for kind, owners in ALL_SOURCES.owners().items()
    )
    printing.print_table(("kind", "use", "network", "from"), rows)


def print_components(as_json: bool) -> None:
    """Prints all components with their kind and distribution."""
    if as_json:
        printing.print_json({registry.kind: registry.owners() for registry in REGISTRIES})
        return
    rows = [
        (registry.kind, name, " and ".join(owners), registry.group)
        for registry in REGISTRIES
        for name, owners in registry.owners().items()
    ]
    for component in (ActivationSpec, InitializerSpec, LossSpec, OptimizerSpec, CallbackSpec):
        own = component.registry.names() if component.registry else []
        names = [name for name in component.known() if name not in own]
        rows.append((component.kind, ", ".join(names), "keras", ""))
    printing.print_table(("kind", "name", "from", "entry-point group"), rows)
