"""Conformance checks that every built-in component passes, and every plug-in should.

Each check raises `kfc.PluginError` for the first promise that is broken:

    from kfc import testing

    def test_my_optimizer():
        testing.check_optimizer(MyOptimizer, learning_rate=0.1)
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import keras
import numpy as np

from kfc.check_plugins import CheckPlugin, PluginStage
from kfc.data import Parts, Rows, Source, Task, check_rows
from kfc.errors import Finding, PluginError
from kfc.exporting import Exporter, certificate
from kfc.first_steps import LossFacts, Start, Steps, Subject
from kfc.network import build
from kfc.preprocessing import NumericScaling, TargetScaling
from kfc.runs import sample_file
from kfc.spec import HiddenSpec, NetworkSpec, SpecText, load_spec, override
from kfc.training import TapeModel
from kfc.training.checkpoints import plain_state

_ROWS, _FEATURES, _CLASSES, _BATCH = 70, 4, 3, 32  # 70 = 32 + 32 + 6: a short batch


def check_source(read: Callable[[str], Source], argument: str) -> None:
    """Checks that a source gives rows that can be trained on, the same ones each time.

    Args:
        read: The source: text behind the colon -> `kfc.data.Source`.
        argument: Such a text.

    Raises:
        PluginError: If it gives something else than a `Source`, or other rows each time.
        DataError: If its rows fail one of kfc's own checks.
    """
    first, again = read(argument), read(argument)
    _require(isinstance(first, Source), "source", "a kfc.data.Source", type(first).__name__)
    for rows, part in (
        (first.train, "training"),
        (first.test, "test"),
        (first.validation, "validation"),
    ):
        if rows is not None:
            check_rows(rows, f"source, {part} rows")
    same = np.array_equal(first.train.x[:], again.train.x[:]) and np.array_equal(
        first.train.y, again.train.y
    )
    _require(same, "source", "the same rows at each call", "other rows")
    if first.class_names is not None:
        known = first.train.y.min() >= 0 and first.train.y.max() < len(first.class_names)
        _require(known, "source", "a name for each class", f"only {len(first.class_names)}")


def check_block(block: Callable[..., Any], **options: Any) -> None:
    """Checks that a block makes (batch, units) from any width, trains and repeats.

    Args:
        block: The block: `block(tensor, hidden, *, name, seed, **options)`.
        **options: Its options.

    Raises:
        PluginError: If it breaks its contract.
    """
    for units in (_FEATURES, 7):
        network = _network(block, units, options)
        shape = network.get_layer("last").input.shape
        _require(shape == (None, units), "block", f"shape (None, {units})", str(shape))
        names = [layer.name for layer in network.layers]
        ours = [name for name in names if name.startswith("hidden_1")]
        _require("hidden_1" in ours, "block", "a layer named 'hidden_1'", ", ".join(names))

        again = _network(block, units, options)
        for one, other in zip(network.weights, again.weights, strict=True):
            same = np.array_equal(one, other)
            _require(same, one.path, "equal weights from an equal seed", "other weights")

        before = network.get_weights()
        _train(network, keras.optimizers.SGD(0.1))
        for weight, old in zip(network.trainable_weights, before, strict=False):
            moved = not np.array_equal(weight, old) or "hidden_1" not in weight.path
            _require(moved, weight.path, "a weight that training moves", "one that stays")


def check_optimizer(factory: Callable[..., Any], **options: Any) -> None:
    """Checks that an optimizer trains, is rebuilt from its config, and resumes from a save.

    Args:
        factory: Its class.
        **options: Its options.

    Raises:
        PluginError: If it breaks its contract.
    """
    optimizer = factory(**options)
    _require(
        isinstance(optimizer, keras.optimizers.Optimizer),
        "optimizer",
        "a keras.optimizers.Optimizer",
        type(optimizer).__name__,
    )
    network = _network(None, 8, {})
    losses = _train(network, optimizer, epochs=6)
    _require(losses[-1] < losses[0], "optimizer", "a loss that falls", str(losses))
    finite = all(np.isfinite(weight).all() for weight in network.get_weights())
    _require(finite, "optimizer", "finite weights", "NaN or infinity")

    rebuilt = type(optimizer).from_config(factory(**options).get_config())
    same = _train(_network(None, 8, {}), rebuilt, epochs=6)
    _require(same == losses, "optimizer.from_config", f"losses {losses}", f"{same}")

    # Stopped after three epochs, its variables copied into a fresh one, and taken up again.
    halves = _network(None, 8, {})
    first, second = factory(**options), factory(**options)
    start = _train(halves, first, epochs=3)
    second.build(halves.trainable_variables)
    for target, source in zip(second.variables, first.variables, strict=True):
        target.assign(source)
    resumed = [*start, *_train(halves, second, epochs=3)]
    _require(
        resumed == losses,
        "optimizer.variables",
        f"all of its state, so losses {losses}",
        f"{resumed}",
    )


def check_callback(callback: keras.callbacks.Callback) -> None:
    """Checks that a callback works in Keras's own `fit`, and that its state is whole.

    Args:
        callback: A new callback; one with `get_state` must have `set_state` too.

    Raises:
        PluginError: If it is no Keras callback, or its state does not survive.
    """
    _require(
        isinstance(callback, keras.callbacks.Callback),
        "callback",
        "a keras.callbacks.Callback",
        type(callback).__name__,
    )
    _train(_network(None, 8, {}), keras.optimizers.SGD(0.1), callbacks=[callback])
    halves = [hasattr(callback, name) for name in ("get_state", "set_state")]
    _require(halves[0] == halves[1], "callback", "get_state and set_state", "one of them")
    if all(halves):
        state = callback.get_state()
        plain_state(callback, state)
        callback.set_state(state)
        again = callback.get_state()
        _require(_equal(state, again), "callback.set_state", f"{state}", f"{again}")


def check_doctor_check(check: CheckPlugin) -> None:
    """Checks that a check of the doctor has a code of its own, and finds the same twice.

    It looks at a small healthy training, whose rows and weights it must not change.

    Args:
        check: The check.

    Raises:
        PluginError: If it breaks its contract.
    """
    kind = "a kfc.check_plugins.CheckPlugin"
    _require(isinstance(check, CheckPlugin), "check", kind, type(check).__name__)
    own = re.fullmatch(r"(?!KFC)[A-Z]{2,8}\d{3}", check.code) is not None
    expected = "2 to 8 capital letters other than KFC, and 3 digits"
    _require(own, "check.code", expected, check.code)
    stages = get_args(PluginStage)
    _require(check.stage in stages, "check.stage", f"one of {', '.join(stages)}", check.stage)
    _require(bool(check.background.strip()), "check.background", "a text", "none")

    subject, parts = _healthy_training()
    start = Start(subject)
    views = {"parts": parts, "structure": subject, "start": start, "steps": Steps(start)}
    before = (subject.x.copy(), subject.y.copy(), subject.network.get_weights())
    found = [check.findings("check", views[check.stage]) for _ in range(2)]
    _require(found[0] == found[1], "check.find", f"{found[0]}", f"{found[1]}")
    after = (subject.x, subject.y, subject.network.get_weights())
    same = all(map(np.array_equal, before[:2], after[:2]))
    same = same and all(map(np.array_equal, before[2], after[2]))
    _require(same, "check.find", "rows and weights as they were", "others")
    for finding in found[0]:
        complete = all((finding.where, finding.expected, finding.got, finding.remedy))
        _require(complete, "finding", "all of its four parts", str(finding))
        override(SpecText({}), finding.cure)


def _healthy_training() -> tuple[Subject, Parts]:
    generator = np.random.default_rng(0)
    x = generator.normal(size=(_ROWS, _FEATURES)).astype("float32")
    y = (x @ generator.normal(size=(_FEATURES, _CLASSES))).argmax(axis=1)
    loss = LossFacts.of(keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    network = _network(None, 8, {})
    subject = Subject(
        network,
        loss,
        x,
        y,
        lambda: keras.optimizers.Adam(0.001),
        learning_rate=0.001,
        num_classes=_CLASSES,
    )
    names = tuple(map(str, range(_CLASSES)))
    return subject, Parts(Rows(x, y), {"test rows": Rows(x[:20] + 1, y[:20])}, names)


def check_exporter(exporter: Exporter) -> None:
    """Checks that an exporter writes models that answer as their network, without kfc.

    A classifier and a regression are written, loaded by a fresh process in which neither
    kfc nor Keras can be imported, and compared, as in `kfc.export`.

    Args:
        exporter: Exporter of the format, with the file that loads its models.

    Raises:
        PluginError: If it is something else.
        SpecError: If a package that it needs is not installed.
        NumbersError: If a model cannot be loaded, or answers otherwise.
    """
    kind, got = "a kfc.exporting.formats.Exporter", type(exporter).__name__
    _require(isinstance(exporter, Exporter), "exporter", kind, got)
    exporter.check_installed("exporter")
    generator = np.random.default_rng(0)
    x = generator.normal(5, 3, size=(_ROWS, _FEATURES)).astype("float32")
    columns = tuple(f"column {number}" for number in range(_FEATURES))
    inputs = NumericScaling.fit("standard", x)
    target = TargetScaling.fit("standard", x[:, :1])
    spec = load_spec({"network": {"hidden": [8]}})
    for labels in (("a", "b", "c"), ()):
        task = Task((_FEATURES,), "float32", labels, 1, inputs, target, columns)
        network = build(spec, task)
        rows = sample_file.take_sample(network, x)
        with tempfile.TemporaryDirectory(prefix="kfc-") as folder:
            exporter.write(network, task, Path(folder))
            certificate.compare_with_run(
                Path(folder),
                exporter,
                rows,
                task,
                input_name=network.inputs[0].name,
                request=None,
            )


def _network(
    block: Callable[..., Any] | None, units: int, options: dict[str, Any]
) -> keras.Model:
    """Returns `features -> hidden_1 -> logits`, with a named layer after the block."""
    (hidden,) = NetworkSpec(hidden=(HiddenSpec(units=units, activation="tanh"),)).layers()  # type: ignore[arg-type]
    x = inputs = keras.Input((_FEATURES,), name="features")
    if block is None:
        x = keras.layers.Dense(
            units, "tanh", kernel_initializer=keras.initializers.GlorotUniform(seed=1)
        )(x)
    else:
        x = block(x, hidden, name="hidden_1", seed=1, **options)
    x = keras.layers.Identity(name="last")(x)
    last = keras.layers.Dense(
        _CLASSES, kernel_initializer=keras.initializers.GlorotUniform(seed=2), name="logits"
    )
    return keras.Model(inputs, last(x))


def _train(
    network: keras.Model,
    optimizer: keras.optimizers.Optimizer,
    *,
    epochs: int = 1,
    callbacks: list[keras.callbacks.Callback] | None = None,
) -> list[float]:
    generator = np.random.default_rng(0)
    x = generator.normal(size=(_ROWS, _FEATURES)).astype("float32")
    y = (x @ generator.normal(size=(_FEATURES, _CLASSES))).argmax(axis=1)
    model = TapeModel(network)
    model.compile(
        optimizer=optimizer,
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
        jit_compile=False,
    )
    history = model.fit(
        x,
        y,
        batch_size=_BATCH,
        epochs=epochs,
        shuffle=False,
        verbose=0,
        validation_data=(x, y) if callbacks else None,
        callbacks=callbacks,
    )
    return list(history.history["loss"])


def _equal(one: dict[str, Any], other: dict[str, Any]) -> bool:
    return one.keys() == other.keys() and all(
        np.array_equal(np.asarray(one[key]), np.asarray(other[key])) for key in one
    )


def _require(holds: bool, where: str, expected: str, got: str) -> None:
    if not holds:
        raise PluginError(Finding(where, expected, got, "See the docstring of the check."))
