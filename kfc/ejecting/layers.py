"""A spec and a task -> the lines that make weights and turn rows into logits."""

from __future__ import annotations

import math

from kfc.data import Task
from kfc.ejecting.refusals import ACTIVATIONS, refused
from kfc.network import layer_seed, num_outputs
from kfc.spec import HiddenSpec, InitializerSpec, Spec
from kfc.training.engine import graph_key, keep_threshold

COLUMNS = 95

_MIXED = """\
def mixed(x):  # lowbias32 (Wellons, 2018): every bit depends on every bit
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        x = tf.bitwise.bitwise_xor(x, tf.bitwise.right_shift(x, shift)) * factor
    return tf.bitwise.bitwise_xor(x, tf.bitwise.right_shift(x, 16))"""


class LayersText:
    """The part of a script that builds and applies the network.

    Args:
        spec: A resolved spec.
        task: Shape of a row, classes and scaling.
        num_rows: Training rows.

    Raises:
        SpecError: If layers differ in what a script says once.
    """

    def __init__(self, spec: Spec, task: Task, *, num_rows: int) -> None:
        self._spec, self._task = spec, task
        self._hidden = spec.network.layers()
        self.inputs = math.prod(task.input_shape)
        self.outputs = num_outputs(spec, task)
        self._special = any(x.dropout or x.normalization == "batch" for x in self._hidden)
        self.drops = any(layer.dropout for layer in self._hidden)
        self.normalizes = any(layer.normalization == "batch" for layer in self._hidden)
        self._check_alike()
        self._check_single_units()
        shared = graph_key(spec, task, num_rows=num_rows)
        self._unknown = shared.widths if shared else frozenset()

    def _check_alike(self) -> None:
        """Refuses layers that a loop over layers cannot hold."""
        shared = ("activation", "dropout", "normalization", "use_bias")
        for key in shared if self._special else ():
            for number, layer in enumerate(self._hidden):
                if getattr(layer, key) != getattr(self._hidden[0], key):
                    where = f"network.hidden[{number}].{key}"
                    got = layer.model_dump()[key]
                    raise refused(where, "the same in all layers, beside dropout", got)
        if self._special and not self._hidden[0].use_bias:
            raise refused("network.use_bias", "biases beside dropout or normalization", False)

    def _check_single_units(self) -> None:
        """Refuses a weight between single units, which XLA multiplies in another order."""
        pairs = zip(self.widths, self.widths[1:], strict=False)
        if self._spec.training.engine == "xla" and (1, 1) in pairs:
            expected = "no single unit after another, with engine xla"
            raise refused("network.hidden", expected, self.widths[1:-1])

    @property
    def trains_otherwise(self) -> bool:
        """Whether the network does something else in training than in use."""
        return self._special

    @property
    def widths(self) -> list[int]:
        """Units from the input to the output."""
        return [self.inputs, *(layer.units for layer in self._hidden), self.outputs]

    # --- weights -------------------------------------------------------------------------

    def weights(self) -> list[str]:
        """Returns the lines that make the weights, and list them as `get_weights()` does."""
        every: list[HiddenSpec | None] = [*self._hidden, None]
        inits = [(layer.init if layer else None) or self._spec.network.init for layer in every]
        kinds = {_kind(init) for init in inits}
        lines = []
        if len(kinds) == 1:
            lines.append(f"initializer = tf.keras.initializers.{next(iter(kinds))}")
        names: list[str] = []
        trained: list[str] = []
        hidden: list[str] = []
        for number, layer in enumerate(every, start=1):
            kind = (
                "initializer" if lines else f"tf.keras.initializers.{_kind(inits[number - 1])}"
            )
            lines += self._layer_weights(number, layer, kind, inits[number - 1])
            own = [f"w{number}", f"b{number}"]
            own = own if layer is None or layer.use_bias else own[:1]
            names, trained = [*names, *own], [*trained, *own]
            if layer is not None and layer.normalization == "batch":
                lines.append(
                    f"norm{number} = [tf.Variable(start({layer.units})) for start in "
                    "(tf.ones, tf.zeros, tf.zeros, tf.ones)]"
                )
                names.append(f"*norm{number}")
                trained.append(f"*norm{number}[:2]")
                own.append(f"*norm{number}")
            if layer is not None and layer.dropout:
                seed = layer_seed(self._spec.seed, f"hidden_{number}")
                own.append(f"0x{_mixed(seed):X}")
            hidden.append(f"({', '.join(own)})")
        if self._special:
            lines.append(f"hidden = [{', '.join(hidden[:-1])}]")
        lines += _listed("weights", names)
        lines += _listed("trained", trained) if self.normalizes else []
        if self.drops:
            share = f"tf.constant(1 - {float(self._hidden[0].dropout or 0)!r})"
            lines.append(f"kept, step = {share}, tf.Variable(0)  # share that dropout keeps")
        return lines

    def _layer_weights(
        self, number: int, layer: HiddenSpec | None, kind: str, init: InitializerSpec
    ) -> list[str]:
        inputs, units = self.widths[number - 1 : number + 1]
        options = [f"{key}={value!r}".replace("'", '"') for key, value in init.options.items()]
        if init.name not in ("constant", "identity", "ones", "zeros"):
            seed = layer_seed(self._spec.seed, f"hidden_{number}" if layer else "logits")
            options.append(f"seed={seed}")
        made = f"tf.Variable({kind}({', '.join(options)})(({inputs}, {units})))"
        if layer is not None and not layer.use_bias:
            return [f"w{number} = {made}"]
        zeros = f"tf.Variable(tf.zeros({units}))"
        line = f"w{number}, b{number} = {made}, {zeros}"
        if len(line) <= COLUMNS:
            return [line]
        return [f"w{number} = {made}", f"b{number} = {zeros}"]

    # --- network -------------------------------------------------------------------------

    def network(self) -> list[str]:
        """Returns the functions from scaled rows to logits."""
        what = "Logits" if self._task.classification else "Values"
        training = ", training=False" if self._special else ""
        lines = [
            *((*_MIXED.splitlines(), "", "") if self.drops else ()),
            f"def network(x{training}):",
            f'    """{what}, (batch, {self.outputs}), of rows, (batch, {self.inputs})."""',
        ]
        if self._special:
            return [*lines, *self._loop(), *self._last()]
        for number, layer in enumerate(self._hidden, start=1):
            text = self._sum(number, layer.units) if layer.use_bias else f"x @ w{number}"
            lines.append(f"    x = {_active(layer, text)}  # (batch, {layer.units})")
        return [*lines, *self._last()]

    def _loop(self) -> list[str]:
        """Returns the hidden layers where they do more than multiply."""
        layer, given = self._hidden[0], ["w", "b"]
        given += ["scale", "offset", "mean", "variance"] if self.normalizes else []
        given += ["seed"] if self.drops else []
        widths = self.widths[1:-1]
        known = [self._adds_known_width(units) for units in widths]
        if any(known) and not all(known):
            special = "dropout" if self.drops else "normalization"
            numbers = f"of which all or none are {self.inputs} or {self.outputs}"
            raise refused("network.hidden", f"widths {numbers}, beside {special}", widths)
        product = "tf.nn.bias_add(x @ w, b)" if all(known) else "x @ w + b"
        lines = [
            f"    for {', '.join(given)} in hidden:",
            f"        x = {product}  # (batch, units)",
        ]
        text, training = "x", []
        if self.normalizes:
            lines.append(
                "        moments = tf.nn.moments(x, [0]) if training else (mean, variance)"
            )
            text = "tf.nn.batch_normalization(x, *moments, offset, scale, 0.001)"
            training += [
                "mean.assign(mean * 0.99 + moments[0] * (1 - 0.99))",
                "variance.assign(variance * 0.99 + moments[1] * (1 - 0.99))",
            ]
        if text != "x" or layer.activation is None or ACTIVATIONS[layer.activation.name]:
            lines.append(f"        x = {_active(layer, text)}")
        if layer.dropout:
            least = keep_threshold(float(layer.dropout))
            training += [
                "place = tf.cast(tf.range(tf.size(x)), tf.uint32) * 0x9E3779B9",
                f"keep = mixed(place + mixed(tf.cast(step, tf.uint32) + seed)) >= {least}",
                "x = tf.where(tf.reshape(keep, tf.shape(x)), x / kept, 0.0)",
            ]
        return [*lines, "        if training:", *(f"            {line}" for line in training)]

    def _last(self) -> list[str]:
        text = self._sum(len(self._hidden) + 1, self.outputs)
        if self._task.classification or not standardized(self._task):
            return [f"    return {text}"]
        return [f"    return ({text}) * deviation + mean  # in the targets' own units"]

    def _sum(self, number: int, units: int) -> str:
        text = f"x @ w{number}"
        if self._adds_known_width(units):
            return f"tf.nn.bias_add({text}, b{number})"
        return f"{text} + b{number}"

    def _adds_known_width(self, units: int) -> bool:
        """Whether kfc's function knows the width of biases when it is traced.

        Keras adds several with `bias_add` then, whose gradient sums rows in another order
        than that of `+`.
        """
        return units > 1 and (
            self._spec.training.engine == "xla" or units not in self._unknown
        )

    def penalties(self) -> list[str]:
        """Returns what each layer adds to the loss."""
        terms = []
        for number, layer in enumerate(self._hidden, start=1):
            term = []
            if layer.l1:
                term.append(f"{layer.l1!r} * tf.reduce_sum(tf.abs(w{number}))")
            if layer.l2:
                term.append(f"{layer.l2!r} * tf.reduce_sum(tf.square(w{number}))")
            terms += [" + ".join(term)] if term else []
        return terms


def standardized(task: Task) -> bool:
    """Returns whether the loss is measured in deviations of the targets."""
    scaling = task.target_scaling
    return bool((scaling.shift != 0).any() or (scaling.divisor != 1).any())


def _active(layer: HiddenSpec, text: str) -> str:
    function = ACTIVATIONS[layer.activation.name] if layer.activation else ""
    return f"{function}({text})" if function else text


def _kind(init: InitializerSpec) -> str:
    return init.name.title().replace("_", "")


def _listed(name: str, parts: list[str]) -> list[str]:
    line = f"{name} = [{', '.join(parts)}]"
    if len(line) <= COLUMNS:
        return [line]
    return [f"{name} = [", f"    {', '.join(parts)}", "]"]


def _mixed(seed: int) -> int:
    """Returns lowbias32 of a seed, which is the same in every step."""
    x = seed
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        x = (x ^ (x >> shift)) * factor % 2**32
    return x ^ (x >> 16)
