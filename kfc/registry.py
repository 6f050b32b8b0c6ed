"""Finds the component of a name: a built-in one, or a plug-in of an installed package.

Built-in components are listed by address (`module:attribute`), as in entry points. Therefore
names can be listed and checked without importing TensorFlow, and no import registers anything.
"""

from __future__ import annotations

import ast
import functools
import importlib.util
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.machinery import PathFinder
from importlib.metadata import Distribution, EntryPoint, distributions, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from kfc.errors import Finding, KfcError, PluginError, RegistryError, nearest, one_line

_SHOWN = 80  # characters of an unknown name in a message


class Names(ABC):
    """Names of components, each of which has exactly one owner.

    Args:
        kind: Word for such a component in messages, such as `optimizer`.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind

    @abstractmethod
    def owners(self) -> dict[str, list[str]]:
        """Returns the distributions that offer each name, without importing them."""

    @abstractmethod
    def summary(self, name: str) -> str:
        """Returns the first line of a plug-in's docstring, without importing the plug-in.

        Args:
            name: Name of the plug-in.

        Returns:
            The line; empty for a built-in component, or if the source text is not found.
        """

    def names(self) -> list[str]:
        """Returns the sorted names of all components, without importing them."""
        return list(self.owners())

    def check(self, name: str, where: str = "") -> None:
        """Checks that exactly one distribution offers a name, without importing it.

        Args:
            name: Name of the component.
            where: Path of the name in a spec, for the message.

        Raises:
            RegistryError: If no distribution offers the name, or more than one.
        """
        owners = self.owners().get(name, [])
        where = where or self.kind
        if not owners:
            known = self.names()
            raise RegistryError(
                Finding(
                    where,
                    f"the name of a known {self.kind}",
                    repr(name) if len(name) <= _SHOWN else f"{name[:_SHOWN]!r}...",
                    f"{nearest(name, known)}Known: {', '.join(known)}.",
                )
            )
        if len(owners) > 1:
            raise RegistryError(
                Finding(
                    where,
                    f"one owner of {self.kind} {name!r}",
                    " and ".join(owners),
                    "Uninstall all but one.",
                )
            )


class JoinedNames(Names):
    """The names of several registries, which have one owner among all of them.

    Args:
        kind: Word for such a component in messages.
        registries: The registries.
    """

    def __init__(self, kind: str, registries: Sequence[Registry]) -> None:
        super().__init__(kind)
        self._registries = tuple(registries)

    def owners(self) -> dict[str, list[str]]:
        """Returns the distributions that offer each name, without importing them."""
        owners: dict[str, list[str]] = {}
        for registry in self._registries:
            for name, found in registry.owners().items():
                owners.setdefault(name, []).extend(found)
        return {name: owners[name] for name in sorted(owners)}

    def summary(self, name: str) -> str:
        """Returns the first line of a plug-in's docstring, empty if it is not found."""
        lines = (registry.summary(name) for registry in self._registries)
        return next((line for line in lines if line), "")


class Registry(Names):
    """The components of one kind, built-in ones and plug-ins.

    A plug-in is an entry point in the group `kfc.<kind>s`.

    Args:
        kind: Word for such a component in messages, such as `optimizer`.
        builtins: Address of each built-in component by its name.
    """

    def __init__(self, kind: str, builtins: Mapping[str, str]) -> None:
        super().__init__(kind)
        self.group = f"kfc.{kind}s"
        self.builtins = dict(builtins)

    def owners(self) -> dict[str, list[str]]:
        """Returns the distributions that offer each name, without importing them."""
        owners = {name: ["kfc"] for name in self.builtins}
        for point in _entry_points(self.group, tuple(sys.path)):
            owner = _distribution(point)
            if owner not in owners.setdefault(point.name, []):
                owners[point.name].append(owner)
        return {name: owners[name] for name in sorted(owners)}

    def summary(self, name: str) -> str:
        """Returns the first line of a plug-in's docstring, empty if it is not found."""
        points = _entry_points(self.group, tuple(sys.path))
        point = next((point for point in points if point.name == name), None)
        return one_line(_first_line(point)) if point else ""

    @contextmanager
    def guard(self, name: str, where: str) -> Iterator[None]:
        """Turns an exception of a plug-in in the `with` block into a PluginError.

        kfc's own errors and exceptions of built-in components pass unchanged.

        Args:
            name: Name of the component that the block calls.
            where: Path of the component in a spec, for the message.

        Raises:
            PluginError: If the plug-in raises any other exception.
        """
        try:
            yield
        except (KfcError, KeyboardInterrupt, GeneratorExit):
            raise
        # A plug-in may also call sys.exit(), which must not stop kfc.
        except BaseException as error:
            if name in self.builtins or name not in self.names():
                raise
            raise PluginError(
                Finding(
                    where,
                    f"{self.kind} {name!r} to work",
                    f"{type(error).__name__}: {error}",
                    "Change its options, or fix the plug-in.",
                )
            ) from error

    def require(self, built: Any, base: type, name: str) -> None:
        """Checks the class of an object that a component returned.

        Args:
            built: Object that the component returned.
            base: Required class, such as `keras.callbacks.Callback`.
            name: Name of the component.

        Raises:
            PluginError: If the object has another class.
        """
        if not isinstance(built, base):
            raise PluginError(
                Finding(
                    f"{self.kind} {name!r}",
                    f"a {_shown_class(base)}",
                    type(built).__name__,
                    f"Fix the plug-in; kfc.testing.check_{self.kind} tests it.",
                )
            )

    def get(self, name: str, where: str = "") -> Any:
        """Imports and returns a component.

        Raises:
            RegistryError: If no distribution offers the name, or more than one.
            PluginError: If the plug-in cannot be imported.
        """
        self.check(name, where)
        if name in self.builtins:
            module, _, attribute = self.builtins[name].partition(":")
            return getattr(importlib.import_module(module), attribute)
        points = _entry_points(self.group, tuple(sys.path))
        (point, *_) = (point for point in points if point.name == name)
        try:
            return point.load()
        except KeyboardInterrupt:
            raise
        # A plug-in may also call sys.exit() at import, which must not stop kfc.
        except BaseException as error:
            raise PluginError(
                Finding(
                    where or self.kind,
                    f"{self.kind} {name!r} of {_distribution(point)} to import",
                    f"{type(error).__name__}: {error}",
                    f"Fix or uninstall {_distribution(point)}.",
                )
            ) from error


def _entry_points(group: str, path: tuple[str, ...]) -> tuple[EntryPoint, ...]:
    """Returns the entry points of a group.

    Args:
        group: Name of the group, such as `kfc.sources`.
        path: Current `sys.path`.
    """
    return tuple(point for point in _own_entry_points(path) if point.group == group)


@functools.cache
def _own_entry_points(path: tuple[str, ...]) -> tuple[EntryPoint, ...]:
    """Returns the entry points of all groups of kfc, read once: 25 ms for 200 packages.

    Args:
        path: Current `sys.path`, the key of the cache.
    """
    try:
        known = entry_points()
        groups = [group for group in known.groups if group.startswith("kfc.")]
        found = [point for group in groups for point in known.select(group=group)]
    except Exception:  # one damaged distribution makes the call fail
        found = [point for points in map(_points_of, distributions()) for point in points]
    # A name that cannot be printed could deceive the reader of a list.
    return tuple(point for point in found if point.name.isprintable())


def _points_of(distribution: Distribution) -> list[EntryPoint]:
    """Returns the entry points of a distribution; none if they cannot be read."""
    try:
        return list(distribution.entry_points)
    except Exception:
        return []


def _first_line(point: EntryPoint) -> str:
    """Returns the first line of a plug-in's docstring, read from its source text."""
    try:
        package, *inner = point.module.split(".")
        spec = importlib.util.find_spec(package)
        for end in range(1, len(inner) + 1):
            where = spec.submodule_search_locations if spec else None
            name = ".".join((package, *inner[:end]))
            spec = PathFinder.find_spec(name, where)
        node: ast.AST = ast.parse(Path(str(spec.origin if spec else "")).read_bytes())
        for attribute in point.attr.split("."):
            node = next(
                child
                for child in ast.iter_child_nodes(node)
                if getattr(child, "name", None) == attribute
            )
        text = ast.get_docstring(node)  # type: ignore[arg-type]
    # The name of a plug-in is listed even if its file cannot be parsed.
    except Exception:
        return ""
    return text.splitlines()[0] if text else ""


def _distribution(point: EntryPoint) -> str:
    return one_line(point.dist.name if point.dist and point.dist.name else point.value)


def _shown_class(kind: type) -> str:
    """Returns `keras.optimizers.Optimizer` for a class of Keras, else module and name."""
    theme = kind.__module__.split(".")
    if theme[0] == "keras":
        return f"keras.{theme[2]}.{kind.__name__}"
    return f"{kind.__module__}.{kind.__name__}"


def keras_class(module: ModuleType, name: str) -> Any:
    """Returns a class of Keras by its name in a spec.

    Args:
        module: Module of Keras, such as `keras.losses`.
        name: Name in a spec, such as `kl_divergence` for `KLDivergence`.

    Raises:
        KeyError: If the module has no such class.
    """
    wanted = name.replace("_", "")
    for attribute, kind in vars(module).items():
        if attribute.lower() == wanted and isinstance(kind, type):
            return kind
    raise KeyError(name)


SOURCES = Registry(
    "source",
    {
        "sklearn": "kfc.data.sources.builtin_sources:sklearn",
        "tfds": "kfc.data.sources.tfds:tfds",
        "idx": "kfc.data.sources.builtin_sources:idx",
        "npz": "kfc.data.sources.builtin_sources:npz",
        "npy": "kfc.data.sources.builtin_sources:npy",
    },
)
TABLES = Registry(
    "table",
    {
        "csv": "kfc.data.tables.table_source:csv",
        "parquet": "kfc.data.tables.table_source:parquet",
    },
)
ALL_SOURCES = JoinedNames("source", (SOURCES, TABLES))
"""The kinds that a source in a spec may have: arrays or tables."""

BLOCKS = Registry(
    "block",
    {
        "dense": "kfc.network.building:dense",
        "residual": "kfc.network.building:residual",
    },
)
OPTIMIZERS = Registry("optimizer", {"tape_sgd": "kfc.training.optimizers:TapeSGD"})
CALLBACKS = Registry(
    "callback",
    {
        "best_weights": "kfc.training.callbacks.early_stopping:BestWeights",
        "csv_log": "kfc.training.callbacks.logs:CSVLog",
        "early_stopping": "kfc.training.callbacks.early_stopping:EarlyStopping",
        "metrics_log": "kfc.training.callbacks.logs:MetricsLog",
        "tensorboard_log": "kfc.training.callbacks.logs:TensorBoardLog",
        "terminal": "kfc.training.callbacks.terminal_log:Terminal",
    },
)
EXPORTERS = Registry(
    "exporter",
    {
        "saved_model": "kfc.exporting.formats:SAVED_MODEL",
        "onnx": "kfc.exporting.formats:ONNX",
        "litert": "kfc.exporting.formats:LITERT",
    },
)
CHECK_PLUGINS = Registry("check", {})
"""Checks of other packages; kfc's own are rows of `kfc.check_table`."""

REGISTRIES = (SOURCES, TABLES, BLOCKS, OPTIMIZERS, CALLBACKS, EXPORTERS, CHECK_PLUGINS)
