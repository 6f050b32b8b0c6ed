"""Starts TensorFlow in the process of a command."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import FrameType, ModuleType

from kfc.system import import_tensorflow, memory, without_collection

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def start_for_command(quiet: bool = False) -> None:
    """Imports TensorFlow and Keras, whose objects the garbage collector never looks at.

    Args:
        quiet: Whether to omit the line that asks the user of a terminal to wait.
    """
    if "tensorflow" in sys.modules:
        return
    if not quiet and sys.stderr.isatty():  # the import takes three to eight seconds
        print("starting TensorFlow", file=sys.stderr, flush=True)
    before = {
        number: signal.signal(number, _leave)
        for number in _SIGNALS
        if signal.getsignal(number) not in (signal.SIG_IGN, None)  # ignored stays ignored
    }
    try:
        memory.limit_pools()
        with modules_that_stay():
            import_tensorflow()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def modules_that_stay() -> Iterator[None]:
    """Runs imports without garbage collection, which never looks at their objects later.

    Only commands do this: in a process of the caller, cycles of its objects would stay too.
    """
    with without_collection():
        yield
        gc.freeze()


def forgo_pandas() -> None:
    """Lets no module import pandas until the process of a command ends.

    pyarrow imports pandas where it is installed, for its first array or scalar, to know
    whether the values are those of pandas. That takes as long as all else that `kfc explain`
    does, which has no values of pandas, unless a plug-in brings them: with plug-ins nothing
    changes.
    """
    sys.meta_path.insert(0, _NoPandas())


class _NoPandas(MetaPathFinder):
    """Answers as if pandas were not installed, which kfc does not need, without plug-ins."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname == "pandas" and not _has_plugins():
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)
        return None


def _has_plugins() -> bool:
    from kfc.registry import REGISTRIES  # `kfc --help` reads no entry points

    return any(registry.names() != sorted(registry.builtins) for registry in REGISTRIES)


def _leave(number: int, frame: FrameType | None) -> None:
    # An exception during the import of a C extension may crash; there is nothing to save yet.
    os._exit(128 + number)
