"""The prediction of a spec's training, as values and as tables."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from kfc.errors import Finding
from kfc.explaining.mean_field import LayerTheory
from kfc.explaining.trial_steps import TrialSteps

if TYPE_CHECKING:
    from rich.table import Table


@dataclass(frozen=True)
class LayerSignal:
    """One layer at the start of the training.

    Args:
        name: Name of the layer.
        units: Number of its units.
        signal: Root mean square of its outputs over rows and units.
        gain: Signal by that of its inputs.
        expected: Predictions for infinitely many units, or None.
        constant_units: Share of units whose output is the same for every row.
        saturated: Share of outputs at which the activation's slope is below 1 % of its
            largest, without those of constant units.
        gradient: Root mean square of the gradient of the loss, times rows, with respect to
            the values before the activation.
        kernel_gradient: Norm of the kernel's gradient by the norm of the kernel.
        equal_units: Whether all units have the same kernel and bias.
    """

    name: str
    units: int
    signal: float
    gain: float
    expected: LayerTheory | None
    constant_units: float
    saturated: float
    gradient: float
    kernel_gradient: float
    equal_units: bool = False


@dataclass(frozen=True)
class Explanation:
    """Prediction of a spec's training before anything runs, see `kfc.explain`.

    Examples:
        >>> explanation = kfc.explain("digits", {"network.init": "zeros"})
        >>> explanation.outcome, [layer.signal for layer in explanation.layers]
        ('stalls', [0.0, 0.0])
        >>> print(explanation.findings[0].label, dict(explanation.findings[0].cure))
        KFC182 units_equal {'network.init': 'he_normal'}

    Args:
        spec: Name of the spec.
        rows: Description of the rows of the prediction.
        inputs: Number of inputs of the first layer, and 0 where it is unknown.
        outputs: Number of outputs, and 0 where it is unknown.
        input_signal: Root mean square of the scaled inputs.
        layers: Layers at the start, the output layer last.
        loss: Loss at the start, with the weights of the spec's seed.
        chance_loss: Loss of the best constant answer.
        eigenvalue: Largest eigenvalue of the loss's Hessian, of Adam divided by the roots of
            its squared gradients.
        stable_rate: Learning rate above which steps along that direction grow.
        rate: Learning rate of the spec.
        first_steps: Result of the first steps on the sample.
        better_rate: A smaller rate that learns, where the first steps do not.
        larger_rate: A larger rate that learns, where the first steps do not.
        parameters: Number of trained weights.
        memory_bytes: Memory of the training.
        seconds_per_epoch: Time of an epoch on this machine.
        not_predicted: Reasons why parts are missing, by part.
        findings: Problems that the prediction shows.
    """

    spec: str
    rows: str
    inputs: int = 0
    outputs: int = 0
    input_signal: float | None = None
    layers: tuple[LayerSignal, ...] = ()
    loss: float | None = None
    chance_loss: float | None = None
    eigenvalue: float | None = None
    stable_rate: float | None = None
    rate: float | None = None
    first_steps: TrialSteps | None = None
    better_rate: float | None = None
    larger_rate: float | None = None
    parameters: int | None = None
    memory_bytes: int | None = None
    seconds_per_epoch: float | None = None
    not_predicted: Mapping[str, str] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()

    @property
    def logits(self) -> float | None:
        """Root mean square of the outputs; None where the network is not simulated."""
        return self.layers[-1].signal if self.layers else None

    @property
    def outcome(self) -> str | None:
        """Outcome of the first steps: `learns`, `stalls`, `diverges`, or None."""
        return None if self.first_steps is None else self.first_steps.outcome

    def summary(self) -> dict[str, Any]:
        """Returns plain values, for JSON; numbers that are not finite are None."""
        steps = self.first_steps
        return _plain(
            {
                "spec": self.spec,
                "rows": self.rows,
                "inputs": self.inputs,
                "outputs": self.outputs,
                "input_signal": self.input_signal,
                "layers": [
                    {**asdict(layer), "expected": layer.expected and layer.expected._asdict()}
                    for layer in self.layers
                ],
                "logits": self.logits,
                "loss": self.loss,
                "chance_loss": self.chance_loss,
                "eigenvalue": self.eigenvalue,
                "stable_learning_rate": self.stable_rate,
                "learning_rate": self.rate,
                "first_steps": steps
                and {
                    "outcome": steps.outcome,
                    "steps": steps.steps,
                    "first_loss": steps.first_loss,
                    "last_loss": steps.last_loss,
                },
                "parameters": self.parameters,
                "memory_bytes": self.memory_bytes,
                "seconds_per_epoch": self.seconds_per_epoch,
                "not_predicted": dict(self.not_predicted),
                "findings": [finding.as_json() for finding in self.findings],
            }
        )

    def table(self) -> Table:
        """Returns the layers as a table of rich."""
        from rich.table import Table

        heads = ("layer", "units", "signal", "gain", "theory", "constant", "saturated")
        table = Table(*heads, "gradient", "kernel", box=None, header_style="bold")
        table.pad_edge = False
        for column in table.columns[1:]:
            column.justify = "right"
        for layer in self.layers:
            theory = layer.expected
            table.add_row(
                layer.name,
                f"{layer.units:,}",
                brief(layer.signal),
                brief(layer.gain),
                "" if theory is None else brief(theory.gain),
                f"{layer.constant_units:.0%}",
                f"{layer.saturated:.0%}",
                brief(layer.gradient),
                brief(layer.kernel_gradient),
            )
        return table

    def lines(self) -> dict[str, str]:
        """Returns the other predictions as texts, by name."""
        found = {"rows": self.rows}
        if self.logits is not None:
            found["inputs"] = f"{self.inputs:,} of scale {brief(self.input_signal)}"
            found["outputs"] = f"{self.outputs:,} of scale {brief(self.logits)}"
        if self.loss is not None:
            constant = f"{brief(self.chance_loss)} for a constant answer"
            found["loss at step 0"] = f"{brief(self.loss)}, and {constant}"
        if self.stable_rate is not None:
            own = "" if self.rate is None else f", and the spec has {self.rate:g}"
            found["largest stable rate"] = f"{brief(self.stable_rate)}{own}"
        if (steps := self.first_steps) is not None:
            losses = f"{brief(steps.first_loss)} -> {brief(steps.last_loss)}"
            found["first steps"] = f"{steps.outcome}: loss {losses} in {steps.steps} steps"
        if self.parameters is not None:
            found["parameters"] = f"{self.parameters:,}"
        if self.memory_bytes is not None:
            found["memory"] = f"{self.memory_bytes / 1e9:.2f} GB"
        if self.seconds_per_epoch is not None:
            found["seconds per epoch"] = f"about {brief(self.seconds_per_epoch)}"
        for part, reason in self.not_predicted.items():
            found[f"not predicted: {part}"] = f"because {reason}"
        return found


def brief(value: float | None) -> str:
    """Returns a number in three digits; nothing for None."""
    if value is None:
        return ""
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e6 else f"{value:.3g}"


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    return value
