"""The callbacks of a run: those of the spec, and the steps at which each is called.

kfc runs many steps in one execution of a graph, so the attribute `called_every` of a callback
says when its batch hooks are called: `called_every = 100` after each hundredth step,
`called_every = "execution"` after each execution, `called_every = None` never. The hook
`on_train_batch_begin` is called only for `called_every = 1`. A callback of Keras that
overrides a batch hook has no such attribute and is called at every step. All other hooks are
called as in Keras's `fit`, except those of the batches of an evaluation: it is one execution.

A callback with `only_reads = True` promises to change neither the model nor its training. If
all callbacks do, several short epochs run in one execution, and their hooks are called after
it, while the next one computes: what such a callback assigns to the model is lost.
They may as well if it has `only_stops = True`: it acts only at the end of an epoch, where it
reads the weights by `params["weights"]()` and at most asks for a stop.
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
from kfc.spec import METRICS, CallbackSpec, Spec
from kfc.system import atomic
from kfc.training.callbacks import keras_state
from kfc.training.callbacks.early_stopping import EarlyStopping
from kfc.training.callbacks.layer_log import LayerLog
from kfc.training.callbacks.logs import MetricsLog, TensorBoardLog
from kfc.training.callbacks.terminal_log import Terminal

BATCH_HOOKS = ("on_batch_begin", "on_batch_end", "on_train_batch_begin", "on_train_batch_end")
EPOCH_HOOKS = ("on_epoch_begin", "on_epoch_end")
TEST_HOOKS = ("on_test_begin", "on_test_end")
TEST_BATCH_HOOKS = ("on_test_batch_begin", "on_test_batch_end")
_NEED_NO_TEST_BATCHES = (
    *(
        keras.callbacks.TensorBoard,
        keras.callbacks.ProgbarLogger,
        keras.callbacks.CallbackList,
    ),
)
"""Callbacks of Keras that do nothing for a batch of an evaluation within `fit`."""


def build_callbacks(
    spec: Spec,
    folder: Path,
    console: Console,
    given: Sequence[keras.callbacks.Callback] = (),
    layer_log: LayerLog | None = None,
) -> list[keras.callbacks.Callback]:
    """Builds the callbacks of a run, in the order in which they are called.

    The logs of the run come last, as Keras's own do, so that they hold the entries that other
    callbacks have added to `logs`.

    Args:
        spec: A checked and resolved spec.
        folder: Run folder, in which the callbacks of the spec write all their files.
        console: Console on which progress is shown.
        given: Callbacks of the caller.
        layer_log: Log of the numbers of the layers, or None.

    Raises:
        PluginError: If a plug-in cannot be imported.
        DiskError: If a folder for the files cannot be created.
    """
    every, others = spec.training.log_every, [*named_callbacks(spec, folder), *given]
    return [
        *others,
        MetricsLog(folder / "metrics.jsonl", every),
        TensorBoardLog(folder / "tensorboard", every),
        Terminal(
            every, folder / "run.log", console, callback_notes(others, spec.training.engine)
        ),
        *([layer_log] if layer_log else []),
    ]


def callback_notes(callbacks: Sequence[keras.callbacks.Callback], engine: str) -> list[str]:
    """Returns the notes on callbacks that are shown before the training, a line each.

    Args:
        callbacks: Callbacks of the spec and of the caller.
        engine: Form of the engine: `xla`, `graph` or `eager`.
    """
    slow = [type(each).__name__ for each in callbacks if batch_hook_interval(each) == 1]
    notes = []
    if slow and engine != "eager":
        notes.append(
            f"{_listed(slow)} called at every step: each step is an execution of its own, "
            "which may take several times as long; called_every = N calls it less often"
        )
    for callback in callbacks:
        not_called = [hook for hook in TEST_BATCH_HOOKS if _overrides(callback, hook)]
        if not_called and not isinstance(callback, _NEED_NO_TEST_BATCHES):
            notes.append(
                f"{type(callback).__name__}: {_listed(not_called)} not called, since "
                "held-out rows are evaluated in one execution; on_test_end is"
            )
    return notes


def named_callbacks(spec: Spec, folder: Path) -> list[keras.callbacks.Callback]:
    """Builds the callbacks of a spec, early stopping among them.

    Args:
        spec: A checked spec.
        folder: Run folder, in which the callbacks write all their files.

    Raises:
        PluginError: If a plug-in cannot be imported.
    """
    built = [build_callback(callback, folder) for callback in spec.training.callbacks]
    if spec.training.early_stopping:
        built.append(EarlyStopping(**spec.training.early_stopping.model_dump()))
    return built


def build_callback(callback: CallbackSpec, folder: Path) -> keras.callbacks.Callback:
    """Builds a callback of a spec, and creates the folder of its file.

    Args:
        callback: Name and options of the callback.
        folder: Run folder, in which the callback writes all its files.

    Raises:
        PluginError: If a plug-in cannot be imported, or is not a callback.
        DiskError: If the folder cannot be created.
    """
    build = callback_class(callback)
    parameters = inspect.signature(build).parameters
    # A default file name is a path in the run folder too.
    options = {
        name: parameters[name].default
        for name in callback.PATHS
        if name in parameters and isinstance(parameters[name].default, str)
    }
    options |= callback.options
    # Keras does not know the direction of most of kfc's metrics.
    if "mode" in parameters and options.get("mode", "auto") == "auto":
        metric = str(options.get("monitor", "")).removeprefix("val_")
        options |= {"mode": METRICS[metric]} if metric in METRICS else {}
    paths = {name: str(folder / options[name]) for name in callback.PATHS & options.keys()}
    for parent in (Path(path).parent for path in paths.values()):
        # Keras itself creates the folders of a template.
        if not parent.is_dir() and "{" not in str(parent):
            atomic.make_folder(parent)
    with CALLBACKS.guard(callback.name, "training.callbacks"):
        built = build(**{**options, **paths})
    CALLBACKS.require(built, keras.callbacks.Callback, callback.name)
    return built


def callback_class(callback: CallbackSpec) -> Any:
    """Returns the class of a callback of a spec: of kfc, of a plug-in, or of Keras."""
    if callback.name in CALLBACKS.names():
        return CALLBACKS.get(callback.name, "training.callbacks")
    return getattr(keras.callbacks, callback.name)


def batch_hook_interval(callback: Any) -> int | str | None:
    """Returns the number of steps between the calls of a callback's batch hooks.

    Args:
        callback: A callback, or its class if `called_every` does not depend on the instance.

    Returns:
        A number of steps, `execution`, or None if it has no batch hooks.

    Raises:
        SpecError: If its `called_every` is something else.
    """
    if hasattr(callback, "called_every"):
        every: int | str | None = callback.called_every
        steps = isinstance(every, int) and not isinstance(every, bool) and every >= 1
        if not (steps or every is None or every == "execution"):
            raise SpecError(
                Finding(
                    f"{type(callback).__name__}.called_every",
                    "a number of steps of at least 1, 'execution' or None",
                    repr(every),
                    "Use for example 100.",
                )
            )
        return every
    return 1 if any(_overrides(callback, hook) for hook in BATCH_HOOKS) else None


def keeps_state(callback: keras.callbacks.Callback) -> bool:
    """Returns whether a resumed training has all of a callback's state.

    It has for a callback with `get_state` and `set_state`, for one that `only_reads`, and for
    a callback of Keras.
    """
    saves = hasattr(callback, "get_state") and hasattr(callback, "set_state")
    only_reads = getattr(callback, "only_reads", False) is True
    return saves or only_reads or keras_state.is_known(callback)


def may_change_training(callback: keras.callbacks.Callback, hooks: Iterable[str]) -> bool:
    """Returns whether a callback may change the model or its training in one of `hooks`."""
    if getattr(callback, "only_reads", False) is True or only_stops(callback):
        return False
    return any(_overrides(callback, hook) for hook in hooks)


def need_single_epochs(callbacks: Iterable[keras.callbacks.Callback]) -> bool:
    """Returns whether callbacks act within or between epochs, so that a call has one epoch.

    Args:
        callbacks: All callbacks of a training.
    """
    hooks = (*BATCH_HOOKS, *EPOCH_HOOKS, *TEST_HOOKS)
    return any(
        isinstance(batch_hook_interval(callback), int) or may_change_training(callback, hooks)
        for callback in callbacks
    )


def only_stops(callback: keras.callbacks.Callback) -> bool:
    """Returns whether a callback promises at most to ask for a stop.

    The promise of a class is not one of the classes derived from it, which may do more.
    """
    return vars(type(callback)).get("only_stops") is True


def _listed(names: Sequence[str]) -> str:
    different = list(dict.fromkeys(names))
    return f"{' and '.join(different)} {'are' if len(different) > 1 else 'is'}"


def _overrides(callback: Any, hook: str) -> bool:
    # Read from the instance: Keras's LambdaCallback sets its hooks on it.
    function = getattr(callback, hook)
    base = getattr(keras.callbacks.Callback, hook)
    return getattr(function, "__func__", function) is not base
