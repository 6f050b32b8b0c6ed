"""A call that computes while its caller still works with the results of the last one."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

from kfc.training.engine.multi_step import MultiStepInputs, MultiStepOutputs


class NextCall:
    """Begins a call of whole epochs in a thread, and gives its outputs when asked."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1)
        self._outputs: Future[MultiStepOutputs] | None = None
        self.epochs = 0  # of the call that has begun; 0 for none

    def begin(
        self,
        call: Callable[[MultiStepInputs], MultiStepOutputs],
        inputs: MultiStepInputs,
        epochs: int,
    ) -> None:
        """Begins a call.

        Args:
            call: Function of the inputs that depends on them alone. It is not kept: an engine
                and its memory would live as long as this object.
            inputs: Inputs of the call.
            epochs: Number of its epochs, at least 1.
        """
        self._outputs, self.epochs = self._thread.submit(call, inputs), epochs

    def take(self) -> MultiStepOutputs:
        """Waits for the call that has begun, and returns its outputs."""
        if self._outputs is None:
            raise RuntimeError("expected a call that has begun, got none")
        outputs, self._outputs, self.epochs = self._outputs, None, 0
        return outputs.result()

    def drop(self) -> None:
        """Waits for the call that has begun, if there is one, and ignores it."""
        outputs, self._outputs, self.epochs = self._outputs, None, 0
        if outputs is not None:
            outputs.exception()
