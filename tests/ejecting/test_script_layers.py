import pytest

import kfc
from kfc.ejecting.script import eject


def test_layers_in_a_loop_whose_biases_keras_adds_in_two_ways_are_refused():
    overrides = {"training.engine": "graph", "network.dropout": 0.3}
    with pytest.raises(
        kfc.SpecError, match="either all hidden widths or none equal to 64 or 10"
    ) as caught:
        eject("digits", {**overrides, "network.hidden": [64, 30]})
    assert caught.value.findings[0].where == "network.hidden"
