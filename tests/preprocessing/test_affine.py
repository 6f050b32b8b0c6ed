import ast
import pathlib

import numpy as np

import kfc
from kfc.preprocessing.affine import AffineScaling

PACKAGE = pathlib.Path(kfc.__file__).parent


def test_numbers_are_rounded_to_float32():
    scaling = AffineScaling.from_numbers(0.1, [1, 2])
    assert scaling.shift.dtype == scaling.divisor.dtype == np.float32
    assert scaling.get_config() == {"shift": float(np.float32(0.1)), "divisor": [1.0, 2.0]}


def test_no_module_outside_preprocessing_scales_by_hand():
    """Only `kfc.preprocessing` subtracts a shift and divides by a divisor."""
    found = [
        f"{path}:{node.lineno}"
        for path in sorted(PACKAGE.rglob("*.py"))
        if path.parent != PACKAGE / "preprocessing"
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Attribute) and node.attr in ("shift", "divisor")
    ]
    assert found == []
