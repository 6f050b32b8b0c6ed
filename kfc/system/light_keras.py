"""Imports Keras without the packages that only two rarely used parts of it need."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType

from kfc.compat import MODULES_FOR_LATER


@contextmanager
def light_keras() -> Iterator[None]:
    """Lets Keras, where this context imports it, import two of its parts when they are used.

    Keras 3.15 imports matplotlib for `keras.visualization` and scikit-learn, with SciPy's
    statistics, for `keras.wrappers`. Both are installed with kfc. Together they are a third of
    the time of the import and 80 MB of its memory (`experiments/startup`). Each part loads
    itself when it is asked for its first attribute, and is the same as ever then.
    """
    finder = _Finder()
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


class _Finder(MetaPathFinder):
    """Finds the modules of `MODULES_FOR_LATER`, with a loader that waits."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in MODULES_FOR_LATER:
            return None
        spec = PathFinder.find_spec(fullname, path)
        if spec is not None and spec.loader is not None:
            spec.loader = importlib.util.LazyLoader(spec.loader)
        return spec
