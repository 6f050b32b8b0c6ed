"""Graphs that run as they were traced.

TensorFlow's graph optimizer (Grappler) rewrites a graph before its first run: it fuses
products with what follows and reorders arithmetic, so that the graph rounds otherwise than the
same lines run eagerly. On kfc's loops of dense steps it gains nothing: with it the first call
takes about twice as long, and later ones as long or longer (`experiments/grappler`).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import tensorflow as tf

_OFF = "disable_meta_optimizer"


@contextmanager
def as_traced() -> Iterator[None]:
    """Lets the graphs that are called meanwhile run without being rewritten.

    A graph's every call must be within: TensorFlow prepares it once for each setting.
    """
    options = tf.config.optimizer
    before = options.get_experimental_options().get(_OFF, False)
    options.set_experimental_options({_OFF: True})
    try:
        yield
    finally:
        options.set_experimental_options({_OFF: before})
