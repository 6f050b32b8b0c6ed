"""Makes steps of a training otherwise than it would: more of them, or with another option."""

from __future__ import annotations

from typing import Any

from kfc.first_steps.subject import Subject, quiet_copy


def loss_after(subject: Subject, count: int, **options: Any) -> float:
    """Returns the loss of some rows after so many steps of the training's optimizer.

    The steps are made by another copy of the network, without dropout and noise.

    Args:
        subject: Network with its loss, its optimizer and its rows.
        count: Number of steps, at most those of the training.
        **options: Options of the optimizer that are other ones.
    """
    if subject.make_optimizer is None:
        raise ValueError("expected a subject with an optimizer")
    optimizer: Any = subject.make_optimizer()
    if options:
        optimizer = type(optimizer).from_config({**optimizer.get_config(), **options})
    copy = quiet_copy(subject.network, subject.x[:1])
    copy.compile(optimizer, loss=subject.loss.mean, jit_compile=False)
    copy.optimizer.build(copy.trainable_variables)  # the step is traced once, see `Steps`
    for x, y in subject.batches(min(count, subject.longest)):
        copy.train_on_batch(x, y)
    x, y = subject.some
    return float(subject.loss.mean(y, copy(x, training=True)))
