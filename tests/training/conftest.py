import gc
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import pytest

from kfc.data import Rows, Task
from kfc.network.building import build
from kfc.spec import Spec, load_spec
from kfc.training.callbacks import only_stops
from kfc.training.checkpoints.training_state import Progress
from kfc.training.compiling import compile_for_evaluation, compile_for_training
from kfc.training.engine.engine import Engine
from kfc.training.engine.graph_cache import graph_key
from kfc.training.loop import Loop
from kfc.training.losses import build_loss
from kfc.training.metrics import build_metrics
from kfc.training.optimizers import build_optimizer
from kfc.training.output_metrics import OutputMetrics
from kfc.training.step import TapeModel

# TensorFlow's own objects, a million of them, are not worth looking through again at every
# collection while graphs are built.
gc.freeze()

CLASSES = Task((4,), "float32", ("a", "b", "c"))


@dataclass
class Problem:
    """Three classes, or numbers, of 70 rows in batches of 32, 32 and 6: a short last batch."""

    spec: Spec
    task: Task
    train: Rows
    held_out: Rows

    @property
    def fit_options(self) -> dict[str, Any]:
        training = self.spec.training
        return {
            "epochs": training.epochs,
            "batch_size": training.batch_size,
            "shuffle": False,
            "verbose": 0,
        }

    def network(self) -> keras.Model:
        return build(self.spec, self.task)

    def stock(self) -> keras.Model:
        """The same network, compiled for Keras's own step."""
        network, training = self.network(), self.spec.training
        network.compile(
            optimizer=build_optimizer(
                training.optimizer, steps_per_epoch=3, epochs=training.epochs
            ),
            loss=build_loss(training.loss, self.task),
            metrics=build_metrics(self.task, network.output_shape[-1]),
            jit_compile=False,
        )
        # Built outside of `fit`'s graph, where Keras 3.15 loses the first averages of
        # ScheduleFreeAdamW: its weights drop to almost nothing in the first step.
        network.optimizer.build(network.trainable_variables)
        return network

    def model(self) -> TapeModel:
        return compile_for_training(
            self.network(), self.spec, self.task, num_rows=len(self.train)
        )

    def loop(
        self,
        callbacks: Sequence[keras.callbacks.Callback] = (),
        save_checkpoint: Callable[[Progress], None] = lambda progress: None,
        model: TapeModel | None = None,
        shared: bool = True,
        output_metrics: Sequence[str] = (),
        steps_only: bool = False,
    ) -> Loop:
        model = model or self.model()
        evaluator = compile_for_evaluation(model, self.spec, self.task)
        training, held_out = self.spec.training, ("val", self.held_out)
        rows = len(self.train)
        engine = Engine(
            model,
            self.train,
            training.rows_per_step(rows),
            drop_last=training.drop_last,
            form="graph" if training.engine == "auto" else training.engine,
            steps_only=steps_only,
            evaluator=evaluator,
            held_out=held_out,
            graph_key=graph_key(self.spec, self.task, num_rows=rows) if shared else None,
            keep_epochs=bool(output_metrics) or any(map(only_stops, callbacks)),
        )
        names = tuple(output_metrics)
        return Loop(
            engine,
            evaluator,
            training,
            self.spec.seed,
            list(callbacks),
            held_out,
            save_checkpoint,
            output_metrics=OutputMetrics(evaluator, names, self.task) if names else None,
        )


def make_rows(task: Task, number: int, seed: int = 0) -> Rows:
    rng = np.random.default_rng(seed)
    x = rng.random((number, *task.input_shape), dtype=np.float32)
    if not task.classification:
        y = x[:, : task.outputs] ** 2 + rng.normal(0, 0.1, (number, task.outputs))
        return Rows(x, y.astype(np.float32))
    y = np.digitize(x[:, 0] + x[:, 1], np.linspace(0, 2, len(task.class_names) + 1)[1:-1])
    return Rows(x, y.astype(np.int32))


def _problem(overrides: dict[str, Any] | None = None, task: Task = CLASSES) -> Problem:
    base = {
        "network": {"hidden": [6], "activation": "tanh"},
        "training": {
            "epochs": 3,
            "batch_size": 32,
            "shuffle": False,
            "checkpoint_seconds": 1e6,
        },
    }
    return Problem(
        load_spec(base, overrides), task, make_rows(task, 70), make_rows(task, 30, seed=1)
    )


class Recorder(keras.callbacks.Callback):
    """Writes down each call of a hook, and asks for a stop after a step if told so."""

    def __init__(self, every: int | str | None = 1, stop_after: int | None = None) -> None:
        super().__init__()
        self.called_every, self.stop_after = every, stop_after
        self.calls: list[tuple[Any, ...]] = []
        self.logs: list[dict[str, float]] = []

    def on_train_begin(self, logs: Any = None) -> None:
        self.calls.append(("train begins",))

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.calls.append(("epoch begins", epoch))

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self.calls.append(("batch begins", batch))

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.calls.append(("batch ends", batch))
        self.logs.append(dict(logs or {}))
        if batch == self.stop_after:
            self.model.stop_training = True

    def on_test_begin(self, logs: Any = None) -> None:
        self.calls.append(("test begins",))

    def on_test_end(self, logs: Any = None) -> None:
        self.calls.append(("test ends",))

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.calls.append(("epoch ends", epoch))
        self.logs.append(dict(logs or {}))

    def on_train_end(self, logs: Any = None) -> None:
        self.calls.append(("train ends",))


@pytest.fixture(scope="session")
def problem() -> Callable[..., Problem]:
    return _problem


@pytest.fixture(scope="session")
def recorder() -> type[Recorder]:
    return Recorder


@pytest.fixture(scope="session")
def same_weights() -> Callable[[keras.Model, keras.Model], None]:
    def check(actual: keras.Model, expected: keras.Model) -> None:
        for got, want in zip(actual.get_weights(), expected.get_weights(), strict=True):
            np.testing.assert_array_equal(got, want)

    return check
