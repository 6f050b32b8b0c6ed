"""The callbacks of a run: those a spec asks for, and at which steps each is called.

kfc trains many steps in one graph call, so a callback says at which steps it wants its
batch hooks called: `called_every = 100` for each hundredth step, `called_every = "block"`
whenever the engine comes up anyway, `called_every = None` for never; `on_train_batch_begin`
is called for `called_every = 1` alone. A callback of Keras's that overrides a batch hook has
no such attribute and is called at every step. All other hooks are called where Keras's `fit`
calls them, but for the batches within an evaluation, which is one graph call.

A callback with `only_reads = True` promises to change neither the model nor the course of
its training; while there are only such, several short epochs become one graph call, and
their hooks are called after it.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import keras
from rich.console import Console

from kfc.errors import Finding, SpecError
from kfc.registry import CALLBACKS
from kfc.spec import CallbackSpec, Spec
from kfc.system import atomic
from kfc.training.callbacks import keras_state
from kfc.training.callbacks.early_stopping import EarlyStopping
from kfc.training.callbacks.logs import MetricsLog, TensorBoardLog, Terminal

BATCH_HOOKS = ("on_batch_begin", "on_batch_end", "on_train_batch_begin", "on_train_batch_end")
EPOCH_HOOKS = ("on_epoch_begin", "on_epoch_end")
TEST_HOOKS = ("on_test_begin", "on_test_end")
TEST_BATCH_HOOKS = ("on_test_batch_begin", "on_test_batch_end")
_CONTENT_WITH_TESTS = (
    *(
        keras.callbacks.TensorBoard,
        keras.callbacks.ProgbarLogger,
        keras.callbacks.CallbackList,
    ),
)
"""Of Keras's: they do nothing for a batch of a test that `fit` makes."""


def build_callbacks(
    spec: Spec,
    folder: Path,
    console: Console,
    given: Sequence[keras.callbacks.Callback] = (),
) -> list[keras.callbacks.Callback]:
    """Builds the callbacks of a run, in the order in which they are called.

    The logs of the run come last, as Keras's own do, so that they hold what the callbacks
    before them have added to `logs`.

    Args:
        spec: A checked and resolved spec.
        folder: The run folder; every file that a named callback writes stays in it.
        console: Where progress is shown.
        given: The caller's.

    Raises:
        PluginError: If a plug-in cannot be imported.
        DiskError: If a folder for their files cannot be made.
    """
    every, others = spec.training.log_every, [*named_callbacks(spec, folder), *given]
    return [
        *others,
        MetricsLog(folder / "metrics.jsonl", every),
        TensorBoardLog(folder / "tensorboard", every),
        Terminal(every, folder / "run.log", console, notes_on(others, spec.training.engine)),
    ]


def notes_on(callbacks: Sequence[keras.callbacks.Callback], engine: str) -> list[str]:
    """Returns what is to be said of callbacks before training, a line each.

    Args:
        callbacks: Those that a spec names, and the caller's.
        engine: That trains.
    """
    slow = [type(each).__name__ for each in callbacks if wants_batches(each) == 1]
    notes = []
    if slow and engine != "eager":
        notes.append(
            f"{_listed(slow)} called at every step: each step is a graph call of its own, "
            "which may take several times as long; called_every = N calls it less often"
        )
    for callback in callbacks:
        unheard = [hook for hook in TEST_BATCH_HOOKS if _overrides(callback, hook)]
        if unheard and not isinstance(callback, _CONTENT_WITH_TESTS):
            notes.append(
                f"{type(callback).__name__}: {_listed(unheard)} not called, since "
                "held-out rows are measured in one graph call; on_test_end is"
            )
    return notes


def named_callbacks(spec: Spec, folder: Path) -> list[keras.callbacks.Callback]:
    """Builds the callbacks that a spec names, early stopping among them.

    Args:
        spec: A checked spec.
        folder: The run folder; every file a callback writes stays in it.

    Raises:
        PluginError: If a plug-in cannot be imported.
    """
    built = [build_callback(callback, folder) for callback in spec.training.callbacks]
    if spec.training.early_stopping:
        built.append(EarlyStopping(**spec.training.early_stopping.model_dump()))
    return built


def build_callback(callback: CallbackSpec, folder: Path) -> keras.callbacks.Callback:
    """Builds a callback that a spec names, and the folder of its file.

    Args:
        callback: Its name and options.
        folder: The run folder; every file it writes stays in it.

    Raises:
        PluginError: If a plug-in cannot be imported, or is no callback.
        DiskError: If the folder cannot be made.
    """
    build = callback_class(callback)
    parameters = inspect.signature(build).parameters
    options = {  # a file's default name belongs into the run folder too
        name: parameters[name].default
        for name in callback.PATHS
        if name in parameters and isinstance(parameters[name].default, str)
    }
    options |= callback.options
    paths = {name: str(folder / options[name]) for name in callback.PATHS & options.keys()}
    for parent in (Path(path).parent for path in paths.values()):
        # Of a template Keras makes each folder itself.
        if not parent.is_dir() and "{" not in str(parent):
            atomic.make_folder(parent)
    with CALLBACKS.guard(callback.name, "training.callbacks"):
        built = build(**{**options, **paths})
    CALLBACKS.require(built, keras.callbacks.Callback, callback.name)
    return built


def callback_class(callback: CallbackSpec) -> Any:
    """Returns the class of a callback that a spec names: ours, a plug-in's or Keras's."""
    if callback.name in CALLBACKS.names():
        return CALLBACKS.get(callback.name, "training.callbacks")
    return getattr(keras.callbacks, callback.name)


def wants_batches(callback: Any) -> int | str | None:
    """Returns at which steps a callback's batch hooks are to be called.

    Args:
        callback: A callback, or its class where `called_every` does not depend on it.

    Returns:
        A number of steps, `block`, or None where it has no batch hooks.

    Raises:
        SpecError: If its `called_every` is nothing of the kind.
    """
    if hasattr(callback, "called_every"):
        every: int | str | None = callback.called_every
        steps = isinstance(every, int) and not isinstance(every, bool) and every >= 1
        if not (steps or every is None or every == "block"):
            raise SpecError(
                Finding(
                    f"{type(callback).__name__}.called_every",
                    "a number of steps of at least 1, 'block' or None",
                    repr(every),
                    "Use for example 100.",
                )
            )
        return every
    return 1 if any(_overrides(callback, hook) for hook in BATCH_HOOKS) else None


def keeps_state(callback: keras.callbacks.Callback) -> bool:
    """Returns whether a resumed training has all of a callback's state.

    That is so where it has `get_state` and `set_state`, where it `only_reads`, and for
    Keras's own.
    """
    saves = hasattr(callback, "get_state") and hasattr(callback, "set_state")
    only_reads = getattr(callback, "only_reads", False) is True
    return saves or only_reads or keras_state.is_known(callback)


def may_act(callback: keras.callbacks.Callback, hooks: Iterable[str]) -> bool:
    """Returns whether a callback may change the model or its training in one of `hooks`."""
    if getattr(callback, "only_reads", False) is True:
        return False
    return any(_overrides(callback, hook) for hook in hooks)


def _listed(names: Sequence[str]) -> str:
    different = list(dict.fromkeys(names))
    return f"{' and '.join(different)} {'are' if len(different) > 1 else 'is'}"


def _overrides(callback: Any, hook: str) -> bool:
    # Looked up on the callback itself: Keras's LambdaCallback sets its hooks there.
    function = getattr(callback, hook)
    base = getattr(keras.callbacks.Callback, hook)
    return getattr(function, "__func__", function) is not base
