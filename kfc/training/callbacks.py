"""The callbacks of a run: those a spec asks for, and at which steps each is called.

kfc trains many steps in one graph call, so a callback says at which steps it wants its
batch hooks called: `every = 100` for each hundredth step, `every = "block"` whenever the
engine comes up anyway, `every = None` for never. A callback of Keras's that overrides a
batch hook has no such attribute and is called at every step.
"""

from __future__ import annotations

from pathlib import Path

import keras
from rich.console import Console

from kfc.registry import CALLBACKS
from kfc.spec import Spec
from kfc.spec.components import Callback
from kfc.training.logs import MetricsLog, TensorBoardLog, Terminal
from kfc.training.stopping import EarlyStopping


def build_callbacks(
    spec: Spec, folder: Path, console: Console
) -> list[keras.callbacks.Callback]:
    """Builds kfc's own callbacks and those a spec names.

    Args:
        spec: A checked spec.
        folder: The run folder; every file a callback writes stays in it.
        console: Where progress is shown.

    Raises:
        PluginError: If a plug-in cannot be imported.
    """
    training = spec.training
    built = [
        MetricsLog(folder / "metrics.jsonl", training.log_every),
        TensorBoardLog(folder / "tensorboard", training.log_every),
        Terminal(training.log_every, folder / "run.log", console),
        *(_named(callback, folder) for callback in training.callbacks),
    ]
    if training.early_stopping:
        built.append(EarlyStopping(**training.early_stopping.model_dump()))
    return built


def _named(callback: Callback, folder: Path) -> keras.callbacks.Callback:
    options = {
        key: str(folder / value) if key in callback.PATHS else value
        for key, value in callback.options.items()
    }
    if callback.name in CALLBACKS.names():
        return CALLBACKS.get(callback.name, "training.callbacks")(**options)
    return getattr(keras.callbacks, callback.name)(**options)


def wants_batches(callback: keras.callbacks.Callback) -> int | str | None:
    """Returns at which steps a callback's batch hooks are to be called.

    Returns:
        A number of steps, `block`, or None where it has no batch hooks.
    """
    if hasattr(callback, "every"):
        every: int | str | None = callback.every
        return every
    base, kind = keras.callbacks.Callback, type(callback)
    hooks = ("on_batch_begin", "on_batch_end", "on_train_batch_begin", "on_train_batch_end")
    overridden = any(getattr(kind, hook) is not getattr(base, hook) for hook in hooks)
    return 1 if overridden else None
