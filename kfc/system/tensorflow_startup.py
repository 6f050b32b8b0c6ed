"""TensorFlow and Keras, imported and started without the lines they print on the way.

No environment variable silences TensorFlow 2.21: level 3 still leaves six lines, written
by C++ straight to file descriptor 2. So that descriptor points to a temporary file during
the import, and during the first operation, which starts the runtime; what was written is
replayed if either fails. In between, and only there, the number of threads can be set.
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
from kfc.system.standard_streams import open_standard_streams

import_seconds = 0.0
"""What the import of TensorFlow and Keras took; 0 where the caller had imported both."""

_holding = threading.Lock()  # one thread at a time moves the process's descriptor 2
_forked = False  # whether this process was forked from one in which TensorFlow runs


def _note_fork() -> None:
    """Notes in a forked child whether its parent had started TensorFlow's runtime."""
    global _forked
    _forked = _forked or tensorflow_has_started()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_note_fork)


def import_tensorflow() -> None:
    """Imports TensorFlow and Keras, silently, with TensorFlow as Keras's backend.

    Raises:
        ImportError: If either cannot be imported, or if Keras already runs on another
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
    with stderr_held_back():
        import keras  # and with it TensorFlow
    import_seconds = time.perf_counter() - began


def start_tensorflow(threads: int | None, *, insist: bool = True) -> int | None:
    """Starts TensorFlow's runtime, silently, unless it runs already.

    Args:
        threads: Threads that share one operation, and operations that run at once; None
            takes what the runtime has, by default every core.
        insist: Whether a runtime with another number is an error.

    Returns:
        The number it runs with; None is every core.

    Raises:
        SpecError: If the runtime has already started with another number of threads, or
            cannot run here; see `check_process`.
    """
    import tensorflow as tf

    check_process()
    config = tf.config.threading
    # Both the first question and the first operation look at processor and drivers.
    with stderr_held_back():
        running = config.get_intra_op_parallelism_threads()
        if threads is not None and threads != running:
            try:
                config.set_intra_op_parallelism_threads(threads)
                config.set_inter_op_parallelism_threads(threads)
            except RuntimeError as error:  # the runtime cannot be told any more
                if insist:
                    raise _other_threads(threads, running) from error
        tf.constant(0) + 0
        return config.get_intra_op_parallelism_threads() or None


def check_process() -> None:
    """Checks that TensorFlow's operations can run here, and run at once.

    Raises:
        SpecError: If this process was forked from one in which TensorFlow runs, whose threads
            a child does not have, so that it would wait for ever; or if eager execution is
            off, in TF1 mode or within a `tf.Graph` or `tf.function`.
    """
    import tensorflow as tf

    if _forked:
        raise SpecError(
            Finding(
                "process",
                "a process that started on its own",
                "one forked from a process in which TensorFlow was running",
                "Use multiprocessing.get_context('spawn'), or fork before TensorFlow runs.",
            )
        )
    if not tf.executing_eagerly():
        raise SpecError(
            Finding(
                "TensorFlow",
                "eager execution, TensorFlow 2's default",
                "a tf.Graph, a tf.function or TF1 mode around the call",
                "Call kfc outside of them, and without tf.compat.v1.disable_v2_behavior() "
                "or disable_eager_execution().",
            )
        )


def _other_threads(threads: int, running: int) -> SpecError:
    return SpecError(
        Finding(
            "training.threads",
            f"{running or 'null (every core)'}, with which TensorFlow runs in this process",
            str(threads),
            "Start a new process; the number holds from TensorFlow's first operation on.",
        )
    )


def _prefer_wide_vectors() -> None:
    """Lets XLA use 512-bit vectors where the processor has them: a tenth of the time.

    LLVM's own choice is 256, made for processors that slowed down under wider ones. XLA
    reads the flag when TensorFlow is imported, so a caller who did that before goes
    without, and has other last bits; `environment.json` records the flags.
    """
    flags = os.environ.get("XLA_FLAGS", "")
    is_file = flags and not flags.startswith("-")
    if "xla_cpu_prefer_vector_width" not in flags and not is_file:
        os.environ["XLA_FLAGS"] = f"{flags} --xla_cpu_prefer_vector_width=512".strip()


@contextmanager
def stderr_held_back() -> Iterator[None]:
    """Keeps what is written to descriptor 2 or logged by TensorFlow meanwhile, and drops it.

    In a notebook, or where the caller has configured `logging`, TensorFlow's loggers do not
    write to the descriptor. All of it is written after all if an exception ends this.
    """
    if sys.stderr is not None:  # a service, or pythonw, may have none
        with suppress(OSError, ValueError):  # full, or closed
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
    """Keeps what this thread logs to TensorFlow's loggers and those below, and drops it.

    Records go to their handlers after all if an exception ends this. Filters are put on
    handlers, since a logger that an import makes meanwhile would have none of them; levels,
    and whatever else the caller has set, are not touched.
    """
    thread, held = threading.get_ident(), list[tuple[logging.Handler, logging.LogRecord]]()
    filters: list[tuple[logging.Handler, Callable[[logging.LogRecord], bool]]] = []
    loggers = [logging.root, *map(logging.getLogger, _LOGGERS)]
    handlers = {handler for logger in loggers for handler in logger.handlers}
    # The last one is where records go that have no handler.
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
