"""kfc: a dense network from a one-page spec to a trained, proven and shipped model.

Importing kfc imports neither TensorFlow nor Keras; they load when a name needs them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from kfc.errors import (
    BusyError,
    CheckpointError,
    DataError,
    DiskError,
    Fault,
    KfcError,
    NumbersError,
    PluginError,
    RegistryError,
    SpecError,
)

if TYPE_CHECKING:
    from kfc.ejecting.eject import eject
    from kfc.exporting.export import export
    from kfc.exporting.exported import Export
    from kfc.fitting import fit, resume
    from kfc.predictions import Predictions
    from kfc.proving.proof import Certificate, prove
    from kfc.run import Run, load
    from kfc.spec import Spec
    from kfc.tuning.search import Search, tune
    from kfc.untrained import build_untrained as build

__all__ = [
    "BusyError",
    "Certificate",
    "CheckpointError",
    "DataError",
    "DiskError",
    "Export",
    "Fault",
    "KfcError",
    "NumbersError",
    "PluginError",
    "Predictions",
    "RegistryError",
    "Run",
    "Search",
    "Spec",
    "SpecError",
    "build",
    "eject",
    "export",
    "fit",
    "load",
    "prove",
    "resume",
    "tune",
]

_ON_FIRST_USE = {
    "Certificate": "kfc.proving.proof:Certificate",
    "Export": "kfc.exporting.exported:Export",
    "Predictions": "kfc.predictions:Predictions",
    "Run": "kfc.run:Run",
    "build": "kfc.untrained:build_untrained",
    "eject": "kfc.ejecting.eject:eject",
    "export": "kfc.exporting.export:export",
    "fit": "kfc.fitting:fit",
    "load": "kfc.run:load",
    "prove": "kfc.proving.proof:prove",
    "resume": "kfc.fitting:resume",
    "Search": "kfc.tuning.search:Search",
    "Spec": "kfc.spec:Spec",
    "tune": "kfc.tuning.search:tune",
}


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("keras-fully-connected")
    if name not in _ON_FIRST_USE:
        raise AttributeError(f"module 'kfc' has no attribute {name!r}")
    if name != "Spec":
        from kfc.quiet import import_tensorflow

        import_tensorflow()
    module, _, attribute = _ON_FIRST_USE[name].partition(":")
    value = getattr(import_module(module), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
