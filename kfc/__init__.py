"""kfc trains, verifies, tunes and exports dense networks that a one-page spec describes.

Examples:
    >>> run = kfc.fit("digits", overrides={"training.epochs": 3}, verbose=False)
    >>> run.metrics["test_accuracy"] > 0.8
    True
    >>> run.model.count_params()
    19210
    >>> kfc.load(run.folder).metrics == run.metrics
    True

`import kfc` imports neither TensorFlow nor Keras; a name that needs them imports them.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from kfc.errors import (
    BusyError,
    CheckpointError,
    DataError,
    DiskError,
    Finding,
    KfcError,
    NumbersError,
    PluginError,
    RegistryError,
    SpecError,
    UnseenValuesWarning,
    WorkerError,
)

if TYPE_CHECKING:
    from kfc.diagnosing import Diagnosis, doctor
    from kfc.ejecting import eject
    from kfc.ensembles import CrossValidation, Ensemble, cross_validate, fit, load, resume
    from kfc.estimators import Classifier, Regressor
    from kfc.explaining import Explanation, explain
    from kfc.exporting import Export, export
    from kfc.rate_range import RateRange, learning_rate_range
    from kfc.reporting import Report, report
    from kfc.runs import PartResult, Predictions, Run, predict_parts
    from kfc.runs import build_untrained as build
    from kfc.spec import Spec
    from kfc.tuning import Search, tune
    from kfc.verification import Certificate, verify

__all__ = [
    "BusyError",
    "Certificate",
    "CheckpointError",
    "Classifier",
    "CrossValidation",
    "DataError",
    "Diagnosis",
    "DiskError",
    "Ensemble",
    "Explanation",
    "Export",
    "Finding",
    "KfcError",
    "NumbersError",
    "PartResult",
    "PluginError",
    "Predictions",
    "RateRange",
    "RegistryError",
    "Regressor",
    "Report",
    "Run",
    "Search",
    "Spec",
    "SpecError",
    "UnseenValuesWarning",
    "WorkerError",
    "build",
    "cross_validate",
    "doctor",
    "eject",
    "explain",
    "export",
    "fit",
    "learning_rate_range",
    "load",
    "predict_parts",
    "report",
    "resume",
    "tune",
    "verify",
]

_ON_FIRST_USE = {
    "Certificate": "kfc.verification.verifying:Certificate",
    "Classifier": "kfc.estimators.classifier:Classifier",
    "CrossValidation": "kfc.ensembles.cross_validating:CrossValidation",
    "Ensemble": "kfc.ensembles.ensemble:Ensemble",
    "Explanation": "kfc.explaining.explanation:Explanation",
    "Export": "kfc.exporting.loaded_export:Export",
    "PartResult": "kfc.runs.part_predictions:PartResult",
    "Predictions": "kfc.runs.predictions:Predictions",
    "Regressor": "kfc.estimators.regressor:Regressor",
    "RateRange": "kfc.rate_range.range_test:RateRange",
    "Report": "kfc.reporting.report_page:Report",
    "Run": "kfc.runs.run:Run",
    "Diagnosis": "kfc.diagnosing.diagnosis:Diagnosis",
    "doctor": "kfc.diagnosing.doctoring:doctor",
    "cross_validate": "kfc.ensembles.cross_validating:cross_validate",
    "build": "kfc.runs.untrained:build_untrained",
    "eject": "kfc.ejecting.script:eject",
    "explain": "kfc.explaining.prediction:explain",
    "export": "kfc.exporting.export_run:export",
    "fit": "kfc.ensembles.any_run:fit",
    "learning_rate_range": "kfc.rate_range.range_test:learning_rate_range",
    "load": "kfc.ensembles.any_run:load",
    "predict_parts": "kfc.runs.part_predictions:predict_parts",
    "report": "kfc.reporting.report_page:report",
    "resume": "kfc.ensembles.any_run:resume",
    "Search": "kfc.tuning.search:Search",
    "Spec": "kfc.spec:Spec",
    "tune": "kfc.tuning.search:tune",
    "verify": "kfc.verification.verifying:verify",
}

_WITHOUT_TENSORFLOW = ("Classifier", "Explanation", "Regressor", "Spec", "explain")
"""Names that import no TensorFlow; an estimator imports it in `fit`."""


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("keras-fully-connected")
    if name not in _ON_FIRST_USE:
        raise AttributeError(f"module 'kfc' has no attribute {name!r}")
    if name not in _WITHOUT_TENSORFLOW:
        from kfc.system import import_tensorflow

        import_tensorflow()
    module, _, attribute = _ON_FIRST_USE[name].partition(":")
    value = getattr(import_module(module), attribute)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
