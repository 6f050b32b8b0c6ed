import dataclasses

import keras
import numpy as np
import pytest

import kfc
from kfc import testing
from kfc.data import Rows, Source
from kfc.exporting import formats
from kfc.registry import BLOCKS, CALLBACKS, EXPORTERS, OPTIMIZERS, SOURCES


@pytest.mark.slow  # as those of ours, on which plug-ins are modelled
@pytest.mark.parametrize("name", ["adam"])
def test_keras_optimizers_conform(name):
    testing.check_optimizer(type(keras.optimizers.get(name)), learning_rate=0.01)


@pytest.mark.parametrize("name", OPTIMIZERS.builtins)
def test_every_optimizer_of_ours_conforms(name):
    testing.check_optimizer(OPTIMIZERS.get(name), learning_rate=0.1)


@pytest.mark.parametrize("name", BLOCKS.builtins)
def test_every_block_of_ours_conforms(name):
    testing.check_block(BLOCKS.get(name))


@pytest.mark.parametrize("name", CALLBACKS.builtins)
def test_every_callback_of_ours_conforms(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    testing.check_callback(CALLBACKS.get(name)())


@pytest.mark.parametrize("argument", ["digits", "diabetes"])
def test_the_embedded_source_conforms(argument):
    testing.check_source(SOURCES.get("sklearn"), argument)


SLOW = dict.fromkeys(("saved_model", "litert"), pytest.mark.slow)  # exports check them


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=SLOW.get(name, ())) for name in EXPORTERS.builtins]
)
def test_every_exporter_of_ours_conforms(name):
    testing.check_exporter(EXPORTERS.get(name))


def test_an_exporter_that_answers_otherwise_is_found():
    def write(network, task, folder):
        (kernel, *_) = network.trainable_weights
        kernel.assign(kernel * 1.01)
        formats.write_onnx(network, task, folder)

    with pytest.raises(kfc.NumbersError, match="logits within 1e-05 of the run's own"):
        testing.check_exporter(dataclasses.replace(formats.ONNX, write=write))


def test_what_is_no_exporter_is_found():
    with pytest.raises(kfc.PluginError, match="Exporter, got function"):
        testing.check_exporter(formats.write_onnx)


class Forgetful(keras.optimizers.SGD):
    """Moves half as far every other epoch, and counts in no variable."""

    builds = 0

    def build(self, variables):
        super().build(variables)
        Forgetful.builds += 1
        self.factor = 1.0 / Forgetful.builds

    def update_step(self, gradient, variable, learning_rate):
        super().update_step(gradient * self.factor, variable, learning_rate)


class Ascent(keras.optimizers.SGD):
    """Moves uphill."""

    def update_step(self, gradient, variable, learning_rate):
        super().update_step(-gradient, variable, learning_rate)


def test_an_optimizer_that_climbs_is_found():
    with pytest.raises(kfc.PluginError, match="a loss that falls"):
        testing.check_optimizer(Ascent, learning_rate=0.1)


def test_an_optimizer_with_state_outside_its_variables_is_found():
    with pytest.raises(kfc.PluginError, match="losses"):
        testing.check_optimizer(Forgetful, learning_rate=0.1)


def test_a_block_of_the_wrong_width_is_found():
    def block(tensor, hidden, *, name, seed):
        return keras.layers.Dense(hidden.units + 1, name=name)(tensor)

    with pytest.raises(kfc.PluginError, match=r"expected shape \(None, 4\)"):
        testing.check_block(block)


def test_a_block_that_draws_unseeded_weights_is_found():
    def block(tensor, hidden, *, name, seed):
        return keras.layers.Dense(hidden.units, name=name)(tensor)

    with pytest.raises(kfc.PluginError, match="equal weights from an equal seed"):
        testing.check_block(block)


def test_a_block_that_cuts_the_gradient_is_found():
    def block(tensor, hidden, *, name, seed):
        dense = keras.layers.Dense(hidden.units, kernel_initializer="ones", name=name)
        return keras.layers.Identity()(dense(tensor) * 0.0)

    with pytest.raises(kfc.PluginError, match="a weight that training moves"):
        testing.check_block(block)


def test_a_source_that_changes_its_rows_is_found():
    generator = np.random.default_rng()

    def read(argument):
        return Source(Rows(generator.normal(size=(5, 2)), np.arange(5) % 2))

    with pytest.raises(kfc.PluginError, match="the same rows at each call"):
        testing.check_source(read, "x")


def test_a_callback_with_half_a_state_is_found():
    class Half(keras.callbacks.Callback):
        def get_state(self):
            return {}

    with pytest.raises(kfc.PluginError, match="get_state and set_state"):
        testing.check_callback(Half())
