"""A spec -> the lines that take one training step: loss, gradients, update."""

from __future__ import annotations

from kfc.data import Task
from kfc.ejecting.layers import COLUMNS, LayersText, standardized
from kfc.spec import CosineSpec, Spec

_STATES = {
    "adam": ("means", "squares"),
    "adamw": ("means", "squares"),
    "rmsprop": ("squares",),
    "sgd": ("means",),
    "tape_sgd": (),
}
"""What an optimizer keeps for each weight."""

_LETTERS = {"means": "m", "squares": "v"}


class StepText:
    """The part of a script that learns from one batch.

    Args:
        spec: A resolved spec.
        task: Classes or numbers.
        layers: Of the same script.
        num_rows: Training rows, which turn epochs of a schedule into steps.
        loss_alone: Whether the loss is asked for outside of steps too.
    """

    def __init__(
        self, spec: Spec, task: Task, layers: LayersText, *, num_rows: int, loss_alone: bool
    ) -> None:
        self._spec, self._task, self._layers = spec, task, layers
        self._loss_alone = loss_alone
        self._optimizer = spec.training.optimizer
        self._options = self._optimizer.options
        self._schedule = self._optimizer.schedule()
        self._steps_per_epoch = -(-num_rows // spec.training.batch_size)
        self._adam = self._optimizer.name in ("adam", "adamw")
        self._counts = bool(self._adam or self._schedule or layers.drops)
        self._weights = "trained" if layers.normalizes else "weights"
        self._states = _STATES[self._optimizer.name]
        if self._optimizer.name == "sgd" and not self._options["momentum"]:
            self._states = ()

    @property
    def label_type(self) -> str:
        """The type of labels that steps take."""
        return "float32" if self._squares else "int32"

    def decorator(self) -> list[str]:
        """Returns the lines above what is compiled."""
        xla = self._spec.training.engine == "xla"
        return ["@tf.function(jit_compile=True)" if xla else "@tf.function"]

    def state(self) -> list[str]:
        """Returns the lines that make the loss, and what a step changes besides weights."""
        made = f"[tf.Variable(tf.zeros_like(w)) for w in {self._weights}]"
        lines = []
        if self._task.classification and self._layers.outputs > 1 and not self._squares:
            # It converts labels twice: XLA sums otherwise where that is left out.
            kind = "SparseCategoricalCrossentropy(from_logits=True)"
            lines.append(f"cross_entropy = tf.keras.losses.{kind}  # batch mean")
        if self._states:
            made = made if len(self._states) == 1 else f"({made} for _ in range(2))"
            lines.append(f"{', '.join(self._states)} = {made}")
        # Beside dropout it stands in the line before.
        lines += ["step = tf.Variable(0)"] if self._counts and not self._layers.drops else []
        if self._options.get("weight_decay") and self._schedule is None:
            lines.append(f"rate = tf.constant({self._options['learning_rate']!r})")
        return lines

    def loss(self) -> list[str]:
        """Returns the function of the loss, where steps are not alone in asking for it."""
        if not self._loss_alone:
            return []
        lines = self._loss("    ", "network(x)")
        return [
            *self.decorator(),
            "def mean_loss(x, y):",
            f'    """{self._what()}."""',
            *lines[:-1],
            lines[-1].replace("loss = ", "return "),
            "",
            "",
        ]

    def _what(self) -> str:
        if self._task.classification:
            return "Mean squared error" if self._squares else "Cross-entropy"
        deviations = ", in the targets' deviations" if standardized(self._task) else ""
        return f"Mean squared error{deviations}"

    @property
    def _squares(self) -> bool:
        """Whether logits are compared with one-hot rows."""
        loss = self._spec.training.loss
        return bool(loss and loss.full_name(loss.name) == "mean_squared_error")

    def _loss(self, indent: str, network: str) -> list[str]:
        """Returns the lines from a batch, x and y, to `loss`."""
        if not self._task.classification:
            lines = [f"error = y - {network}"]
            if standardized(self._task):
                lines = self._task.target_scaling.script_error_lines(network)
            lines.append("loss = tf.reduce_mean(tf.square(error))")
        elif self._squares:
            lines = [
                f"rows = tf.one_hot(tf.cast(y, tf.int32), {self._layers.outputs})",
                f"errors = tf.square(rows - {network})",
                "loss = tf.reduce_mean(tf.reduce_mean(errors, axis=1))",
            ]
        elif self._layers.outputs == 1:
            lines = [
                f"losses = tf.nn.sigmoid_cross_entropy_with_logits(y, {network})",
                "loss = tf.reduce_mean(losses)",
            ]
        else:
            lines = [f"loss = cross_entropy(y, {network})"]
        if penalties := self._layers.penalties():
            line = f"loss = tf.reduce_sum([loss, {', '.join(penalties)}])"
            if len(indent + line) > COLUMNS:
                lines += ["terms = [loss]", *(f"terms.append({term})" for term in penalties)]
                line = "loss = tf.reduce_sum(terms)"
            lines.append(line)
        return [indent + line for line in lines]

    def step(self) -> list[str]:
        """Returns the function that learns from a batch."""
        if self._loss_alone and not self._layers.trains_otherwise:
            loss = ["        loss = mean_loss(x, y)"]
        else:
            training = "network(x, training=True)"
            loss = self._loss(
                "        ", training if self._layers.trains_otherwise else "network(x)"
            )
        name = "SGD" if self._optimizer.name == "tape_sgd" else self._optimizer.name.title()
        letters = ["w", "g", *(_LETTERS[state] for state in self._states)]
        gradients = f"tape.gradient(loss, {self._weights})"
        lists = [self._weights, gradients, *self._states]
        loop = f"    for {', '.join(letters)} in zip({', '.join(lists)}, strict=True):"
        before = []
        if len(loop) > COLUMNS:
            before = [f"    gradients = {gradients}"]
            loop = loop.replace(gradients, "gradients")
        return [
            *self.decorator(),
            "def train_step(x, y):",
            f'    """Learns from a batch x, (batch, {self._layers.inputs}), and y: {name}."""',
            "    with tf.GradientTape() as tape:",
            *loss,
            *before,
            *self._rate(),
            loop,
            *(f"        {line}" for line in self._update()),
        ]

    @property
    def _learning_rate(self) -> str:
        if self._schedule or self._options.get("weight_decay"):
            return "rate"
        return repr(self._options["learning_rate"])

    def _rate(self) -> list[str]:
        """Returns the lines that count the step, and find its learning rate."""
        if not self._counts:
            return []
        lines = ["    t = tf.cast(step.assign_add(1), tf.float32)  # steps, this one included"]
        if schedule := self._schedule:
            warmup, rise = 0, ""
            if schedule.warmup_epochs:
                warmup = max(1, round(schedule.warmup_epochs * self._steps_per_epoch))
                rise = f"tf.minimum(1.0, t / {warmup}) * "
            if isinstance(schedule, CosineSpec):
                lines += self._cosine(schedule, warmup, rise)
            else:
                initial = schedule.model_dump()["initial_learning_rate"]
                lines.append(f"    rate = {rise}{initial!r}")
        if self._adam:
            first, second = self._options["beta_1"], self._options["beta_2"]
            size = f"{self._learning_rate} * tf.sqrt(1 - {second!r}**t) / (1 - {first!r}**t)"
            lines.append(f"    size = {size}")
        return lines

    def _cosine(self, schedule: CosineSpec, warmup: int, rise: str) -> list[str]:
        left = self._spec.training.epochs - schedule.warmup_epochs
        lasting = schedule.decay_epochs or max(left, 1 / self._steps_per_epoch)
        steps = max(1, round(lasting * self._steps_per_epoch))
        done = f"tf.maximum(0.0, t - {warmup + 1})" if warmup else "t - 1"
        wave = "0.5 * (1.0 + tf.cos(np.pi * share))"
        if schedule.alpha:
            wave = f"(1 - {schedule.alpha!r}) * ({wave}) + {schedule.alpha!r}"
        lines = [f"    share = tf.minimum({done}, {steps}) / {steps}  # of half a wave"]
        product = f"{schedule.initial_learning_rate!r} * ({wave})"
        rate = f"    rate = {rise}({product})" if rise else f"    rate = {product}"
        if len(rate) > COLUMNS:
            lines.append(f"    wave = {wave}")
            rate = rate.replace(f"({wave})", "wave")
        return [*lines, rate]

    def _update(self) -> list[str]:
        options, rate, lines = self._options, self._learning_rate, []
        if decay := options.get("weight_decay"):
            lines.append(f"w.assign(w - w * {decay!r} * {rate})")
        if self._adam:
            lines += [
                f"m.assign_add((g - m) * (1 - {options['beta_1']!r}))",
                f"v.assign_add((tf.square(g) - v) * (1 - {options['beta_2']!r}))",
                f"w.assign_sub(m * size / (tf.sqrt(v) + {options['epsilon']!r}))",
            ]
        elif self._optimizer.name == "rmsprop":
            rho = repr(options["rho"])
            lines += [
                f"v.assign({rho} * v + (1 - {rho}) * tf.square(g))",
                f"w.assign_sub({rate} * g / tf.sqrt(v + {options['epsilon']!r}))",
            ]
        elif self._states:
            ahead = f"m * {options['momentum']!r} - g * {rate}"
            lines.append(f"m.assign({ahead})")
            lines.append(f"w.assign_add({ahead if options['nesterov'] else 'm'})")
        else:
            lines.append(f"w.assign_sub({rate} * g)")
        return lines
