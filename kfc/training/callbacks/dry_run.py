"""Dry run of the callbacks of a spec, before the training, in a temporary folder.

Keras checks many options only when it uses them, some after an epoch: the template of a path,
a separator, a monitor. So each hook is called once, on a network without hidden layers, and an
error that would end the training appears before it begins.
"""

from __future__ import annotations

import io
import json
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pathlib import Path

from kfc.data import Prepared
from kfc.errors import Finding, KfcError, SpecError
from kfc.network import build
from kfc.spec import CallbackSpec, Spec, metrics_of_outputs, signatures
from kfc.training.callbacks import keras_state
from kfc.training.callbacks.from_spec import build_callback
from kfc.training.callbacks.hooks import call_hook
from kfc.training.compiling import compile_for_training
from kfc.training.engine import create_variables
from kfc.training.step import TapeModel

_tried: set[str] = set()
"""Callbacks that this process has tried: the trials of a search have the same ones."""


def dry_run_callbacks(spec: Spec, prepared: Prepared) -> None:
    """Calls each hook of the callbacks of a spec once, except those of plug-ins.

    Args:
        spec: A checked and resolved spec.
        prepared: Data of the training.

    Raises:
        SpecError: If a callback does not work with its options.
        DiskError: If the disk is full.
    """
    # The code of a plug-in may have effects outside the folder.
    named = [
        (f"training.callbacks[{number}]", callback)
        for number, callback in enumerate(spec.training.callbacks)
        if callback.name in signatures("callback")
    ]
    prefix = prepared.watched[0] if prepared.watched else None
    key = json.dumps(
        [
            [(where, callback.model_dump()) for where, callback in named],
            spec.training.optimizer.model_dump(),
            *(spec.training.loss.model_dump() if spec.training.loss else None, prefix),
            further := metrics_of_outputs(spec),
        ],
        default=str,
    )
    if named and key not in _tried:
        _try(named, _small(spec, prepared), prefix, further)
        _tried.add(key)


def _small(spec: Spec, prepared: Prepared) -> TapeModel:
    """Returns a network without hidden layers, compiled like the network of the spec."""
    plain = spec.model_copy(update={"network": spec.network.model_copy(update={"hidden": ()})})
    network = build(plain, prepared.task)
    model = compile_for_training(network, plain, prepared.task, num_rows=len(prepared.train))
    model.optimizer.build(model.trainable_variables)
    create_variables(model, prepared.train)
    return model


def _try(
    named: Sequence[tuple[str, CallbackSpec]],
    model: TapeModel,
    prefix: str | None,
    further: Sequence[str],
) -> None:
    metrics = dict.fromkeys(model.get_metrics_result(), 0.5)
    measured = {**metrics, **dict.fromkeys(further, 0.5)}
    held_out = {f"{prefix}_{name}": value for name, value in measured.items()}
    held_out = held_out if prefix else {}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        built = []
        for where, callback in named:
            with _refused(where, callback, folder, {**metrics, **held_out}):
                built.append(build_callback(callback, folder))
        try:
            for (where, callback), one in zip(named, built, strict=True):
                with _refused(where, callback, folder, {**metrics, **held_out}):
                    keras_state.set_model(one, model)
            for hook, *arguments in (
                ("set_params", {"epochs": 1, "steps": 1, "verbose": 0}),
                ("on_train_begin", {}),
                ("on_epoch_begin", 0, {}),
                ("on_train_batch_begin", 0, {}),
                ("on_train_batch_end", 0, dict(metrics)),
                ("on_test_begin", {}),
                ("on_test_end", dict(measured)),
                ("on_epoch_end", 0, {**metrics, **held_out}),
                ("on_train_end", {**metrics, **held_out}),
            ):
                for (where, callback), one in zip(named, built, strict=True):
                    with _refused(where, callback, folder, {**metrics, **held_out}):
                        call_hook(one, hook, *arguments)
        finally:
            for one in built:
                keras_state.close(one)


@contextmanager
def _refused(
    where: str, callback: CallbackSpec, folder: Path, recorded: dict[str, float]
) -> Iterator[None]:
    """Turns every error of a callback into a SpecError on its options."""
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
            warnings.simplefilter("error", UserWarning)
            yield
    except KfcError:
        raise
    except Exception as error:
        # The text of a KeyError is the `repr` of its message.
        message = str(error.args[0] if isinstance(error, KeyError) else error)
        raise SpecError(
            Finding(
                where,
                f"options with which {callback.name} works",
                f"{type(error).__name__}: {message.replace(f'{folder}/', '')}",
                f"Change its options. Recorded metrics: {', '.join(recorded)}.",
            )
        ) from error
