"""The refusals of data, each with one finding."""

import pytest

from kfc.data import prepare
from kfc.errors import DataError
from kfc.spec import load_spec


@pytest.fixture
def refused(only_finding):
    """Returns the finding with which the preparation of some data is refused."""

    def prepare_refused(data, **of_data):
        return only_finding(DataError, prepare, load_spec({"data": of_data}), data)

    return prepare_refused
