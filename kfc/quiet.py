"""TensorFlow and Keras, imported without the lines they print on the way.

No environment variable silences TensorFlow 2.21: level 3 still leaves six lines, written
by C++ straight to file descriptor 2. So that descriptor points to a temporary file during
the import; what was written is replayed if the import fails.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager


def import_tensorflow() -> None:
    """Imports TensorFlow and Keras, silently, with TensorFlow as Keras's backend.

    Raises:
        ImportError: If either cannot be imported, or if Keras already runs on another
            backend.
    """
    if "keras" in sys.modules and "tensorflow" in sys.modules:
        import keras

        if keras.backend.backend() != "tensorflow":
            raise ImportError(
                f"keras: expected the backend tensorflow, got {keras.backend.backend()}. "
                "Set KERAS_BACKEND=tensorflow before importing keras."
            )
        return
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ["KERAS_BACKEND"] = "tensorflow"
    with _stderr_held_back():
        import keras
        import tensorflow as tf

        # The first operation prints as well: what the processor and the drivers can do.
        tf.constant(0) + 0


@contextmanager
def _stderr_held_back() -> Iterator[None]:
    sys.stderr.flush()
    terminal = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except Exception:
            held.seek(0)
            os.write(terminal, held.read())
            raise
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)
