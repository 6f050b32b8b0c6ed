"""Reads from a Keras loss the form of its targets, and whether it takes logits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import keras

Compared = Literal["codes", "one_hot", "flags", "numbers", "other"]
"""Targets of a loss: numbers of classes, one-hot rows, 0 and 1, or numbers."""

_COMPARED: dict[str, Compared] = {
    "sparsecategoricalcrossentropy": "codes",
    "categoricalcrossentropy": "one_hot",
    "categoricalfocalcrossentropy": "one_hot",
    "categoricalhinge": "one_hot",
    "binarycrossentropy": "flags",
    "binaryfocalcrossentropy": "flags",
    "meansquarederror": "numbers",
    "meanabsoluteerror": "numbers",
    "huber": "numbers",
    "logcosh": "numbers",
    "meansquaredlogarithmicerror": "numbers",
    "meanabsolutepercentageerror": "numbers",
}
_OF_RATIOS = ("meansquaredlogarithmicerror", "meanabsolutepercentageerror")


@dataclass(frozen=True)
class LossFacts:
    """A loss with the form of its targets and of its outputs.

    Args:
        loss: Loss of Keras: an object, or a function of targets and outputs.
        name: Name in Keras's spelling of functions, such as `mean_squared_error`.
        compared: Form of the targets.
        from_logits: Whether it applies softmax or sigmoid itself.
        of_ratios: Whether it compares ratios of numbers.
    """

    loss: Any
    name: str
    compared: Compared
    from_logits: bool = False
    of_ratios: bool = False

    @classmethod
    def of(cls, loss: Any) -> LossFacts:
        """Reads the facts of a loss: a name, a function or an object of Keras.

        Raises:
            ValueError: If Keras has no loss of that name.
        """
        loss = keras.losses.get(loss)
        function = getattr(loss, "fn", loss)
        name = getattr(function, "__name__", type(loss).__name__)
        plain = name.replace("_", "").lower()
        options = _config(loss)
        return cls(
            loss,
            name,
            _COMPARED.get(plain, "other"),
            bool(options.get("from_logits", False)),
            plain in _OF_RATIOS,
        )

    @property
    def of_classes(self) -> bool:
        """Whether each row has one of several classes."""
        return self.compared in ("codes", "one_hot")

    def mean(self, targets: Any, outputs: Any) -> Any:
        """Returns the mean of the loss over the rows, a tensor of shape ().

        One target per row, (rows,), meets one output, (rows, 1), as in Keras's `compile`.
        """
        outputs = keras.ops.convert_to_tensor(outputs)
        if len(targets.shape) == 1 and outputs.shape[1:] == (1,):
            targets = keras.ops.expand_dims(targets, -1)
        return keras.ops.mean(self.loss(targets, outputs))


def _config(loss: Any) -> dict[str, Any]:
    try:
        return dict(loss.get_config())
    # A function has none, and Keras's own raises the second for a class that defines none.
    except (AttributeError, NotImplementedError, TypeError):
        return {}
