"""An error of NaN names the step and the tensor in which it appeared first."""

import keras
import numpy as np
import pytest

import kfc
from kfc.errors import NumbersError

SGD = {"training.optimizer": {"name": "sgd", "learning_rate": 1e25}}


def finding_of(places, overrides, spec="digits", **options):
    with pytest.raises(NumbersError) as error:
        kfc.fit(spec, overrides=overrides, runs=places, verbose=False, **options)
    (finding,) = error.value.findings
    return finding


@pytest.mark.parametrize("engine", ["eager", "graph", "xla"])
def test_outputs_that_overflow_are_named(tmp_path, engine):
    overrides = {
        "training.engine": engine,
        "network.hidden": [64, 64],
        "network.init": {"name": "random_normal", "stddev": 1e13},
    }
    finding = finding_of(tmp_path, overrides)
    assert finding.where == "training, epoch 1, step 1"
    assert finding.got == "NaN or infinity, first in the output of logits"
    assert finding.name == "loss_not_finite"


def test_the_step_is_found_when_an_update_throws_the_weights_away(tmp_path):
    finding = finding_of(tmp_path, SGD)
    assert finding.evidence == {"epoch": 1, "step": 2, "tensor": "the output of logits"}


def test_a_moment_that_overflows_is_named(tmp_path):
    overrides = {"training.optimizer": {"name": "adam", "learning_rate": 1e8}}
    finding = finding_of(tmp_path, {**overrides, "network.hidden": [64, 64, 64]})
    assert "the optimizer's adam/hidden_" in finding.evidence["tensor"]


def test_a_gradient_that_overflows_behind_a_finite_loss_is_named(tmp_path):
    # In the last batch the inputs are large and the first weights small: outputs and loss are
    # finite, but the gradient of the first kernel is 1.5e38 * 10.
    x, y = np.ones((64, 2), np.float32), np.arange(64) % 2
    x[-16:, 0] = 1.5e38
    spec = {
        "data": {"scale": "none", "validation": 0, "test": "none"},
        "accept": ["unscaled_input"],
        "network": {"hidden": [4]},
        "training": {"optimizer": "sgd", "epochs": 4, "batch_size": 16, "shuffle": False},
    }
    network = kfc.build(spec, input_shape=(2,), classes=2)
    network.set_weights(
        [
            np.full((2, 4), 2e-38, np.float32),
            np.zeros(4, np.float32),
            np.tile(np.float32([0, 10]), (4, 1)),
            np.zeros(2, np.float32),
        ]
    )
    finding = finding_of(tmp_path, None, spec, data=(x, y), network=network)
    assert finding.name == "weights_not_finite"
    assert finding.where == "training, epoch 1, step 4"
    assert finding.evidence["tensor"] == "the gradient of hidden_1/kernel"


def test_a_callback_that_changes_the_training_cannot_be_repeated(tmp_path):
    class RaiseRate(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            if epoch == 1:
                self.model.optimizer.learning_rate.assign(1e25)

    overrides = {"training.epochs": 4, "training.optimizer": "sgd", "training.engine": "graph"}
    finding = finding_of(tmp_path, overrides, callbacks=[RaiseRate()])
    # The rate was raised by a callback, which the repetition does not call.
    assert "first in" not in finding.got


def test_streamed_rows_are_found(tmp_path):
    x = np.random.default_rng(0).random((90, 4), np.float32)
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", np.arange(90) % 3)
    overrides = {**SGD, "data.source": f"npy:{tmp_path}", "data.stream": "always"}
    finding = finding_of(tmp_path / "runs", {**overrides, "training.batch_size": 16})
    assert finding.evidence["step"] == 2


def test_weights_of_a_caller_are_those_of_the_first_checkpoint(tmp_path):
    network = kfc.build("digits", input_shape=(64,), classes=10)
    network.set_weights([np.full_like(w, 1e20) for w in network.get_weights()])
    finding = finding_of(tmp_path, None, network=network)
    assert finding.evidence == {"epoch": 1, "step": 1, "tensor": "the output of logits"}
