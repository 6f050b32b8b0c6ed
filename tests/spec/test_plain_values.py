import numpy as np
import pytest

from kfc.errors import SpecError
from kfc.spec import load_spec


@pytest.mark.parametrize(
    "odd",
    [object(), {1}, b"x", 1j, np.zeros(2), type, {None: 4}, np.datetime64("2026-01-31")],
    ids=lambda odd: type(odd).__name__,
)
def test_what_no_file_can_say_is_refused(odd):
    spec = {"search": {"space": {"network.l2": {"choice": [odd]}}}}
    with pytest.raises(SpecError) as caught:
        load_spec(spec)
    (finding,) = caught.value.findings
    assert finding.where == "search.space.network.l2.choice[0]"


@pytest.mark.parametrize("number", [np.float64(0.5), np.float32(0.5), np.array(0.5)])
def test_numpys_numbers_are_numbers(number):
    spec = load_spec({"network": {"dropout": number}})
    assert type(spec.network.dropout) is float
    assert load_spec({"training": {"epochs": np.int64(3)}}).training.epochs == 3
