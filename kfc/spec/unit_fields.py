"""Describes the keys of learned factors and of initial weights, for the network's section."""

from __future__ import annotations

from typing import Any

from pydantic import Field

NUMERIC_EMBEDDING: Any = Field(
    None,
    description="Embedding of the numbers of a table, or of all inputs that are arrays: "
    "several inputs of the network for each number.",
    examples=["periodic_linear"],
)

PARAMETRIC_ACTIVATION: Any = Field(
    False,
    description="Whether each hidden unit learns how much of its activation it has: "
    "z + a (activation(z) - z), with a = 1 at the start.",
)
INPUT_SCALE: Any = Field(
    False,
    description="Whether the network learns a factor, 1 at the start, for each input of the "
    "first hidden layer.",
)
MEMBERS: Any = Field(
    1,
    description="Number of members: networks that share the hidden layers, and have scaled "
    "inputs and an output layer each. Each learns by its own loss; their probabilities or "
    "values are averaged.",
    examples=[8],
)
INIT = (
    "Initializer of every kernel. unit_variance divides each column of a normal kernel, so "
    "that its outputs have variance 1 over training rows."
)
BIAS_INIT = (
    "Initializer of the biases of hidden layers. fan_in_uniform is uniform in +-1 / "
    "sqrt(inputs). he_plus_5 puts the zero of each unit at a random mean of five training "
    "rows."
)
OUTPUT_INIT: Any = Field(
    None,
    description="Initializer of the kernel of the output layer; by default init.",
    examples=["zeros"],
)
OUTPUT_BIAS_INIT: Any = Field(
    None,
    description="Initializer of the biases of the output layer; by default zeros.",
    examples=["he_plus_5"],
)
