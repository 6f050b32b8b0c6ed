"""Holds the fit of an estimator, and pickles it as the files of a run folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kfc.system import import_tensorflow

if TYPE_CHECKING:
    from kfc.ensembles import Ensemble, MemoryFit
    from kfc.runs import Run


class KeptFit:
    """The fit of an estimator, which a pickle holds as bytes and loads when it is used.

    Args:
        fit: The fit.
        result: Run or ensemble with a folder; None for that of the fit, without one.
    """

    def __init__(self, fit: MemoryFit, result: Run | Ensemble | None = None) -> None:
        self._fit: MemoryFit | None = fit
        self._result = result
        self._pickled: dict[str, Any] = {}

    @property
    def fit(self) -> MemoryFit:
        """The fit; after unpickling, TensorFlow is imported and the networks are built."""
        if self._fit is None:
            import_tensorflow()
            from kfc.estimators.persistence import fit_of

            self._fit = fit_of(**self._pickled)
        return self._fit

    @property
    def result(self) -> Run | Ensemble:
        """The run, or the ensemble of several."""
        return self.fit.result if self._result is None else self._result

    def __getstate__(self) -> dict[str, Any]:
        if not self._pickled:
            from kfc.estimators.persistence import pickled_fit

            self._pickled = pickled_fit(self.fit)
        return self._pickled

    def __setstate__(self, state: dict[str, Any]) -> None:
        self._fit, self._result, self._pickled = None, None, state
