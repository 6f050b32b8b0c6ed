"""Reads from a Keras loss the form of its targets, and whether it takes logits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, cast

import keras

from kfc.first_steps.loss_recognition import recognised_loss

Compared = Literal["codes", "one_hot", "flags", "numbers", "other"]
"""Targets of a loss: numbers of classes, one-hot rows, 0 and 1, or numbers."""

_COMPARED: dict[str, Compared] = {
    "sparsecategoricalcrossentropy": "codes",
    "categoricalcrossentropy": "one_hot",
    "categoricalfocalcrossentropy": "one_hot",
    "categoricalhinge": "one_hot",
    "kldivergence": "one_hot",
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
        swapped: Whether a function of the caller takes its arguments in the other order.
        smoothing: Share of each label that is shared among all classes.
        ignored_class: Class whose rows have no loss, or None.
    """

    loss: Any
    name: str
    compared: Compared
    from_logits: bool = False
    of_ratios: bool = False
    swapped: bool = False
    smoothing: float = 0.0
    ignored_class: int | None = None

    @classmethod
    def of(cls, loss: Any) -> LossFacts:
        """Reads the facts of a loss: a name, a function or an object of Keras.

        Of another function they are those of the loss of Keras that gives the same values.

        Raises:
            ValueError: If Keras has no loss of that name.
        """
        loss = keras.losses.get(loss)
        function = getattr(loss, "fn", loss)
        name = getattr(function, "__name__", type(loss).__name__)
        compared = _COMPARED.get(_plain(name), "other")
        options, swapped = _config(loss), False
        from_logits = bool(options.get("from_logits", False))
        module = str(getattr(function, "__module__", ""))
        if compared == "other" and not module.startswith("keras."):
            known = recognised_loss(loss)
            if known is not None:
                name, compared = known.name, cast(Compared, known.form)
                from_logits, swapped = known.from_logits, known.swapped
        of_ratios = _plain(name) in _OF_RATIOS
        smoothing = float(options.get("label_smoothing") or 0.0)
        ignored = options.get("ignore_class")
        return cls(loss, name, compared, from_logits, of_ratios, swapped, smoothing, ignored)

    @property
    def plain_name(self) -> str:
        """The name in small letters without `_`, equal for a function and its class."""
        return _plain(self.name)

    @property
    def of_classes(self) -> bool:
        """Whether each row has one of several classes."""
        return self.compared in ("codes", "one_hot")

    def mean(self, targets: Any, outputs: Any) -> Any:
        """Returns the mean of the loss over the rows, a tensor of shape ().

        As in Keras's `compile`, one number per row, (rows,), becomes a column where the other
        side is one, and targets have the type of the outputs for a function of the caller.
        """
        outputs = keras.ops.convert_to_tensor(outputs)
        if len(targets.shape) == 1 and outputs.shape[1:] == (1,):
            targets = keras.ops.expand_dims(targets, -1)
        if len(outputs.shape) == 1 and tuple(targets.shape[1:]) == (1,):
            outputs = keras.ops.expand_dims(outputs, -1)
        if not isinstance(self.loss, keras.losses.Loss) and self.compared != "codes":
            targets = keras.ops.cast(targets, outputs.dtype)
        return keras.ops.mean(self.loss(targets, outputs))


def _plain(name: str) -> str:
    return name.replace("_", "").lower()


def _config(loss: Any) -> dict[str, Any]:
    try:
        return dict(loss.get_config())
    # A function has none, and Keras's own raises the second for a class that defines none.
    except (AttributeError, NotImplementedError, TypeError):
        return {}
