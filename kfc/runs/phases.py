"""Times the phases of a run, such as reading, compiling and training."""

from __future__ import annotations

import time

from kfc.system import tensorflow_startup


class Phases:
    """Stopwatch that records the seconds of each phase, in the order the phases end."""

    def __init__(self) -> None:
        # TensorFlow is imported once, so only the first run of a process pays for it.
        self.seconds = {"import": tensorflow_startup.import_seconds}
        tensorflow_startup.import_seconds = 0.0
        self._began = time.perf_counter()

    def end(self, phase: str) -> None:
        """Ends a phase, which began when the phase before it ended."""
        now = time.perf_counter()
        self.seconds[phase] = round(self.seconds.get(phase, 0.0) + now - self._began, 3)
        self._began = now
