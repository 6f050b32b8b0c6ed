"""scikit-learn's own checks of an estimator; none is expected to fail."""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

import kfc

SMALL = {"network": {"hidden": [32]}, "training": {"epochs": 40}}

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]


@parametrize_with_checks(
    [
        kfc.Classifier(),
        kfc.Regressor(),
        kfc.Classifier(spec=SMALL),
        kfc.Regressor(spec=SMALL),
        kfc.Classifier(members=2, epochs=60),
        kfc.Regressor(members=2, epochs=60),
    ]
)
def test_an_estimator_passes_each_check(estimator, check):
    check(estimator)
