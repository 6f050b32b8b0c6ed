"""Graphs that run as they were traced.

TensorFlow's graph optimizer (Grappler) rewrites a graph before its first run: it fuses
products with what follows and reorders arithmetic, so that the graph rounds otherwise than the
same lines run eagerly. On kfc's loops of dense steps it does not pay: with it the first call
takes 1.3 to 2.5 times as long, later ones 0.8 to 1.3 times (`experiments/grappler`).
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager

import tensorflow as tf
from tensorflow.python.eager import context


@contextmanager
def as_traced() -> Iterator[None]:
    """Lets the graphs that this thread traces and calls meanwhile run without being rewritten.

    A graph is prepared in its first call; that must be within.
    """
    # Not `tf.config.optimizer`, which is for the whole process: for threads of others too.
    here = context.context()
    before = here.function_call_options
    here.function_call_options = _without_rewriting(
        before.executor_type, before.config_proto_serialized
    )
    try:
        yield
    finally:
        here.function_call_options = before


@functools.cache
def _without_rewriting(executor: str | None, config: bytes) -> context.FunctionCallOptions:
    """Returns options of calls; made once, since every block of steps asks for them."""
    proto = tf.compat.v1.ConfigProto.FromString(config)
    proto.graph_options.rewrite_options.disable_meta_optimizer = True
    return context.FunctionCallOptions(executor, proto)
