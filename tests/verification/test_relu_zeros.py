import numpy as np

from kfc.verification.float64_path import Float64Path
from kfc.verification.problem import read_state
from kfc.verification.relu_zeros import ReluZero, find_relu_zeros


def test_a_unit_of_relu_at_0_is_listed_by_step_layer_unit_and_row(problem):
    exact, state = Float64Path(problem), read_state(problem.model())
    x = exact.inputs.forward(state.weights, problem.batch(1)[0])
    i, j = np.flatnonzero(x[5])[:2]
    column = np.zeros(64, np.float32)
    column[i], column[j] = x[5, j], -x[5, i]  # whose product with row 5 cancels
    state.weights[0][:, 3], state.weights[1][3] = column, 0
    found = [z for z in find_relu_zeros(exact, state, 1) if (z.unit, z.row) == (3, 5)]
    assert found == [ReluZero(1, "hidden_1", 3, 5, 0.0)]


def test_sums_of_zeros_are_0_in_every_precision_and_not_listed(problem):
    exact, state = Float64Path(problem), read_state(problem.model())
    state.weights[0][:], state.weights[1][:] = 0, 0
    assert not [z for z in find_relu_zeros(exact, state, 0) if z.layer == "hidden_1"]
