"""Imports and starts TensorFlow and Keras without the lines that they print.

No environment variable silences TensorFlow 2.21: at level 3 it still writes six lines, in
C++, to file descriptor 2. Therefore the descriptor points to a temporary file during the
import and during the first operation, which starts the runtime. If one of them fails, the text
is printed. The number of threads can only be set between the import and the first operation.
"""

from __future__ import annotations

import logging
import os
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from kfc.compat import tensorflow_has_started
from kfc.errors import Finding, SpecError
from kfc.system.garbage import without_collection
from kfc.system.light_keras import light_keras
from kfc.system.standard_streams import open_standard_streams

import_seconds = 0.0
"""Seconds of the import of TensorFlow and Keras; 0 if the caller had imported both."""

_holding = threading.Lock()  # one thread at a time redirects descriptor 2
_forked = False  # whether this process was forked from one in which TensorFlow runs


def _note_fork() -> None:
    """Records in a forked child whether its parent had started TensorFlow's runtime."""
    global _forked
    _forked = _forked or tensorflow_has_started()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_note_fork)


def import_tensorflow() -> None:
    """Imports TensorFlow and Keras silently, with TensorFlow as the backend of Keras.

    Raises:
        ImportError: If one of them cannot be imported, or if Keras already uses another
            backend.
    """
    global import_seconds
    if "keras" in sys.modules and "tensorflow" in sys.modules:
        import keras

        if keras.backend.backend() != "tensorflow":
            raise ImportError(
                f"keras: expected the backend tensorflow, got {keras.backend.backend()}. "
                "Set KERAS_BACKEND=tensorflow before importing keras."
            )
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    _prefer_wide_vectors()
    os.environ["KERAS_BACKEND"] = "tensorflow"
    began = time.perf_counter()
    with stderr_held_back(), without_collection(), light_keras():
        import keras  # which imports TensorFlow
    import_seconds = time.perf_counter() - began


def start_tensorflow(
    threads: int | None, *, insist: bool = True, join: Callable[[], None] | None = None
) -> int | None:
    """Starts TensorFlow's runtime silently, unless it runs already.

    Args:
        threads: Number of threads of one operation, and of operations that run at once; None
            keeps the number of the runtime, which is every core by default.
        insist: Whether it is an error if the runtime already has another number.
        join: Function that makes this process part of a cluster, before its first operation.

    Returns:
        The number of threads of the runtime; None stands for every core.

    Raises:
        SpecError: If the runtime has already started with another number of threads, or if
            it cannot run in this process, see `check_process`.
    """
    import tensorflow as tf

    check_process()
    config = tf.config.threading
    # The first query and the first operation both print lines about processor and drivers.
    with stderr_held_back():
        running = config.get_intra_op_parallelism_threads()
        if threads is not None and threads != running:
            try:
                config.set_intra_op_parallelism_threads(threads)
                config.set_inter_op_parallelism_threads(threads)
            except RuntimeError as error:  # the runtime has started, and the number is fixed
                if insist:
                    raise _other_threads(threads, running) from error
        if join is not None:
            join()
        tf.constant(0) + 0
        return config.get_intra_op_parallelism_threads() or None


def check_process() -> None:
    """Checks that TensorFlow can run in this process, with eager execution.

    Raises:
        SpecError: If this process was forked from a process in which TensorFlow ran; it lacks
            TensorFlow's threads and would wait for ever. Or if eager execution is off, in TF1
            mode or within a `tf.Graph` or `tf.function`.
    """
    import tensorflow as tf

    if _forked:
        raise SpecError(
            Finding(
                "process",
                "a process that was not forked from one in which TensorFlow runs",
                "a process forked after TensorFlow had started",
                "Use multiprocessing.get_context('spawn'), or fork before TensorFlow runs.",
            )
        )
    if not tf.executing_eagerly():
        raise SpecError(
            Finding(
                "TensorFlow",
                "eager execution, TensorFlow 2's default",
                "a tf.Graph, a tf.function or TF1 mode around the call",
                "Call kfc outside of them, without tf.compat.v1.disable_v2_behavior() and "
                "disable_eager_execution().",
            )
        )


def _other_threads(threads: int, running: int) -> SpecError:
    return SpecError(
        Finding(
            "training.threads",
            f"{running or 'null (every core)'}, the number TensorFlow has in this process",
            str(threads),
            "Start a new process; the number is fixed by TensorFlow's first operation.",
        )
    )


def _prefer_wide_vectors() -> None:
    """Lets XLA use 512-bit vectors if the processor has them; this saves a tenth of the time.

    LLVM prefers 256 bits, for processors that slow down under wider vectors. XLA reads the
    flag when TensorFlow is imported. A caller who has imported TensorFlow before kfc does not
    get the flag, and gets other last bits; `environment.json` records the flags.
    """
    flags = os.environ.get("XLA_FLAGS", "")
    is_file = flags and not flags.startswith("-")
    if "xla_cpu_prefer_vector_width" not in flags and not is_file:
        os.environ["XLA_FLAGS"] = f"{flags} --xla_cpu_prefer_vector_width=512".strip()


@contextmanager
def stderr_held_back() -> Iterator[None]:
    """Drops the text written to descriptor 2 or logged by TensorFlow in the `with` block.

    If the block raises an exception, the text is printed after all. In a notebook, or if the
    caller has configured `logging`, TensorFlow's loggers do not write to the descriptor, so
    they are handled too.
    """
    if sys.stderr is not None:  # a service may have none
        with suppress(OSError, ValueError):  # it is full or closed
            sys.stderr.flush()
    open_standard_streams()
    with _holding, tempfile.TemporaryFile() as held, _loggers_held_back():
        terminal = os.dup(2)
        os.dup2(held.fileno(), 2)
        try:
            yield
        except Exception:
            held.seek(0)
            with suppress(OSError):
                os.write(terminal, held.read())
            raise
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)


_LOGGERS = ("absl", "keras", "tensorflow", "tf2onnx")


@contextmanager
def _loggers_held_back() -> Iterator[None]:
    """Drops the records that this thread logs to TensorFlow's loggers and their children.

    If the `with` block raises an exception, the records go to their handlers after all. The
    filters are added to handlers, because a logger that is created meanwhile would have no
    filter. Levels and all other settings of the caller stay unchanged.
    """
    thread, held = threading.get_ident(), list[tuple[logging.Handler, logging.LogRecord]]()
    filters: list[tuple[logging.Handler, Callable[[logging.LogRecord], bool]]] = []
    loggers = [logging.root, *map(logging.getLogger, _LOGGERS)]
    handlers = {handler for logger in loggers for handler in logger.handlers}
    # Records without a handler go to `logging.lastResort`.
    for handler in handlers | ({logging.lastResort} if logging.lastResort else set()):

        def hold(record: logging.LogRecord, handler: logging.Handler = handler) -> bool:
            if record.thread != thread or record.name.partition(".")[0] not in _LOGGERS:
                return True
            held.append((handler, record))
            return False

        handler.addFilter(hold)
        filters.append((handler, hold))
    failed = False
    try:
        yield
    except Exception:
        failed = True
        raise
    finally:
        for handler, added in filters:
            handler.removeFilter(added)
        for handler, record in held if failed else ():
            handler.handle(record)
