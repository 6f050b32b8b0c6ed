import functools
import runpy
from pathlib import Path

import keras
import pytest

from kfc.registry import keras_class
from kfc.spec.callback_fields import CallbackSpec
from kfc.spec.components import ActivationSpec, InitializerSpec, LossSpec
from kfc.spec.keras_signatures import REQUIRED, signatures
from kfc.spec.optimizer_fields import OptimizerSpec

read_installed = runpy.run_path(str(Path(__file__).with_name("installed_signatures.py")))[
    "read_installed"
]

KINDS = (
    *("activation", "bias_initializer", "block", "callback", "initializer", "loss"),
    *("numeric_embedding", "optimizer"),
)


@pytest.fixture(scope="module")
def installed():
    return read_installed()


@pytest.mark.parametrize("kind", KINDS)
def test_the_table_says_what_is_installed(kind, installed):
    assert signatures(kind) == installed[kind]


def test_the_table_has_no_other_kinds(installed):
    assert set(installed) == set(KINDS)
    assert signatures("nonsense") == {}


GETTERS = {
    ActivationSpec: lambda name: keras.activations.get(name),
    InitializerSpec: lambda name: (
        lambda **config: keras.initializers.get({"class_name": name, "config": config})
    ),
    LossSpec: functools.partial(keras_class, keras.losses),
    OptimizerSpec: functools.partial(keras_class, keras.optimizers),
    CallbackSpec: lambda name: getattr(keras.callbacks, name),
}
NEEDED = {"filename": "a.csv", "filepath": "a.keras", "threshold": 1.0, "default_value": 0.0}
# What a user might write; the spec refuses what does not fit an option.
HOSTILE = (True, False, 0, 1, 3, -1, 0.5, 1.0, 2.5, -0.5, 1e-30, 1e30, "", "x", "auto", "mean")


def keras_names(kind):
    own = kind.registry.builtins if kind.registry else {}
    own = {*own, getattr(kind, "of_rows", "")}
    return [name for name in signatures(kind.kind) if name not in own]


@pytest.mark.parametrize(
    ("kind", "name"),
    [(kind, name) for kind in GETTERS for name in keras_names(kind)],
    ids=lambda value: getattr(value, "kind", value),
)
@pytest.mark.filterwarnings("ignore::UserWarning")  # Keras's own doubts about odd values
def test_keras_takes_every_option_that_the_spec_takes(kind, name):
    defaults = signatures(kind.kind)[name]
    needed = {option: NEEDED[option] for option in defaults if defaults[option] == REQUIRED}
    build = GETTERS[kind](name)
    for option in defaults:
        for value in HOSTILE:
            options = {**needed, option: value}
            if list(kind._option_findings(name, options, defaults)):
                continue
            filled = kind.model_validate({"name": name, **options}).options
            if kind is ActivationSpec:
                build(keras.ops.ones((2, 3)), **filled)
            else:
                build(**filled)


@pytest.mark.parametrize(
    "name", [name for name in signatures("optimizer") if "tape" not in name]
)
def test_an_optimizer_is_the_one_that_keras_finds_by_its_name(name):
    assert keras_class(keras.optimizers, name) is type(keras.optimizers.get(name))


def test_a_class_that_keras_does_not_have_is_an_error():
    with pytest.raises(KeyError):
        keras_class(keras.optimizers, "serialize")  # which is a function
