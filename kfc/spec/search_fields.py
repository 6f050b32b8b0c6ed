"""Defines the search of a spec: the space that `kfc tune` searches, and its algorithm."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import (
    Discriminator,
    Field,
    PlainSerializer,
    Tag,
    WrapValidator,
    field_validator,
    model_validator,
)

from kfc.errors import Finding
from kfc.spec.fields import (
    Count,
    Finite,
    Listed,
    NotNegative,
    NotNegativeInt,
    Positive,
    SpecModel,
)
from kfc.spec.messages import findings_error
from kfc.spec.metric_names import METRICS

_MOST_REPEATS_FACTOR = 3


def _as_written(value: Any, check: Callable[[Any], float]) -> float:
    """Checks a number and keeps an integer, so that a dump equals the file."""
    checked = check(value)
    return value if type(value) is int else checked


_Written = PlainSerializer(lambda value: value, return_type=Any)
Number = Annotated[Finite, WrapValidator(_as_written), _Written]
Above0 = Annotated[Positive, WrapValidator(_as_written), _Written]


class RangeSpec(SpecModel):
    """Numbers from `low` to `high`, both ends included."""

    low: Number = Field(
        description="Lowest number; an integer if the key is an integer.", examples=[0.01]
    )
    high: Number = Field(description="Highest number.", examples=[1.0])
    log: bool = Field(
        False, description="Whether numbers are drawn uniformly on a logarithmic scale."
    )
    step: Above0 | None = Field(
        None,
        description="Difference between neighbouring numbers, from low; with log, their "
        "ratio. By default every number is possible.",
        examples=[2],
    )

    @model_validator(mode="after")
    def _rises(self) -> Self:
        if self.low >= self.high:
            raise findings_error(_not_rising("high", self.low, self.high))
        if self.log and self.low <= 0:
            raise findings_error(
                Finding("low", "a number above 0 if log is true", f"{self.low:g}", "Raise it.")
            )
        return self

    @model_validator(mode="after")
    def _steps(self) -> Self:
        if self.step is None or self.low >= self.high or (self.log and self.low <= 0):
            return self
        if self.log and self.step <= 1:
            raise findings_error(
                Finding(
                    "step",
                    "a ratio above 1 if log is true",
                    f"{self.step:g}",
                    "Use for example step: 2.",
                )
            )
        largest = self.high / self.low if self.log else self.high - self.low
        if self.step > largest * (1 + 1e-9):  # 0.3 - 0.2 is a little less than 0.1
            raise findings_error(
                Finding(
                    "step",
                    f"at most {largest:g}, the distance from low to high",
                    f"{self.step:g}",
                    "Lower it, or leave it out.",
                )
            )
        return self


class ChoiceSpec(SpecModel):
    """One of the listed values."""

    choice: Annotated[Listed[Any], Field(min_length=1, examples=[[32, 64]])] = Field(
        description="Numbers, names, or complete parts of a spec."
    )

    @field_validator("choice")
    @classmethod
    def _differ(cls, choice: tuple[Any, ...]) -> tuple[Any, ...]:
        texts = [repr(value) for value in choice]  # 1, 1.0 and true are equal in Python
        seen: set[str] = set()
        for index, text in enumerate(texts):
            if text in seen:
                raise findings_error(
                    Finding(str(index), "each value once", f"{text} twice", "Remove one.")
                )
            seen.add(text)
        return choice


_Depth = Annotated[int, Field(ge=0, le=100)]


class StackSpec(SpecModel):
    """Hidden layers of variable number and width."""

    depth: Annotated[Listed[_Depth], Field(min_length=2, max_length=2)] = Field(
        description="Smallest and largest number of layers; 0 is softmax regression.",
        examples=[[1, 4]],
    )
    width: Annotated[Listed[Count], Field(min_length=2, max_length=2)] = Field(
        description="Smallest and largest number of units, drawn for each layer; on a "
        "logarithmic scale if the largest is at least 8 times the smallest.",
        examples=[[32, 512]],
    )

    @model_validator(mode="after")
    def _rises(self) -> Self:
        for name, (low, high) in (("depth", self.depth), ("width", self.width)):
            if low > high:
                raise findings_error(_not_rising(name, low, high))
        return self


def _not_rising(where: str, low: float, high: float) -> Finding:
    return Finding(where, "the lower end first", f"{low:g} to {high:g}", "Swap them.")


def _dimension(value: Any) -> str:
    keys = value if isinstance(value, Mapping) else getattr(value, "model_fields_set", ())
    return "Choice" if "choice" in keys else "Stack" if "depth" in keys else "Range"


DimensionSpec = Annotated[
    Annotated[RangeSpec, Tag("Range")]
    | Annotated[ChoiceSpec, Tag("Choice")]
    | Annotated[StackSpec, Tag("Stack")],
    Discriminator(_dimension),
]


class SearchSpec(SpecModel):
    """The search of `kfc tune`; `kfc fit` ignores it."""

    algorithm: Literal["random", "bayesian", "hyperband", "grid"] = Field(
        "bayesian",
        description="bayesian learns from finished trials; hyperband trains many trials for a "
        "few epochs and continues the best; grid tries every point in turn.",
    )
    objective: str | None = Field(
        None,
        description="Metric of the validation rows that ranks the trials. By default "
        "val_accuracy for classification, val_loss for regression.",
        examples=["val_loss"],
        json_schema_extra={"enum": [*(f"val_{name}" for name in METRICS), None]},
    )
    trials: Count = Field(
        40,
        description="Largest number of trials, besides trial 0, which is the spec itself.",
    )
    seconds: Positive | None = Field(
        None,
        description="Seconds of searching after which no new trial starts.",
        examples=[3600],
    )
    target: Finite | None = Field(
        None,
        description="Score at which the search ends; trial 0 counts too.",
        examples=[0.99],
    )
    parallel: Count = Field(
        4,
        description="Largest number of trials that run at once. Each trial is proposed from "
        "the results of all trials except the parallel - 1 before it, so that the result "
        "does not depend on the number of workers.",
    )
    finalists: Count = Field(
        3,
        description="Number of best trials that are trained again with new seeds; trial 0 is "
        "always trained again, too.",
    )
    repeats: Annotated[int, Field(ge=0, lt=2**31)] = Field(
        5,
        description="New seeds of each finalist, the same for all: 0, or at least 2. With 0, "
        "only the scores of the search decide.",
        json_schema_extra={"not": {"const": 1}},
    )
    most_repeats: NotNegativeInt | None = Field(
        None,
        description="Largest number of new seeds, for finalists that are still undecided; at "
        "least repeats. By default 3 times repeats. Not used if repeats is 0.",
        examples=[15],
    )
    margin: NotNegative | None = Field(
        None,
        description="Difference of the objective below which two finalists are equal and the "
        "smaller network wins. By default 0.005 for metrics whose best value is 1, such as "
        "accuracy, and 1 % of the best mean for the others, such as loss.",
        examples=[0.005],
    )
    factor: Annotated[int, Field(ge=2, lt=2**31)] = Field(
        3,
        description="hyperband: one in factor trials continues, for factor times the epochs.",
    )
    space: dict[str, DimensionSpec] = Field(
        default_factory=dict,
        description="Values of each dotted path of the spec. By default the hidden layers, "
        "the learning rate and the standard deviation of the initial weights vary.",
        examples=[{"training.optimizer.learning_rate": {"low": 0.001, "high": 0.1}}],
    )

    @field_validator("repeats")
    @classmethod
    def _tells_a_spread(cls, repeats: int) -> int:
        if repeats == 1:
            raise findings_error(
                Finding("", "0 or at least 2, because one seed has no spread", "1", "Use 5.")
            )
        return repeats

    @model_validator(mode="after")
    def _allows_every_repeat(self) -> Self:
        if self.most_repeats is not None and self.most_repeats < self.repeats:
            raise findings_error(
                Finding(
                    "most_repeats",
                    f"at least search.repeats, {self.repeats}",
                    str(self.most_repeats),
                    "Raise it, or leave it out.",
                )
            )
        return self

    @property
    def repeats_at_most(self) -> int:
        """Largest number of new seeds of an undecided finalist."""
        if self.most_repeats is None or self.repeats == 0:
            return min(_MOST_REPEATS_FACTOR * self.repeats, 2**31 - 1)
        return self.most_repeats

    def objective_for(self, *, classification: bool) -> str:
        """Returns the metric that ranks the trials: `objective`, or the default of the task.

        Args:
            classification: Whether targets are classes.
        """
        return self.objective or ("val_accuracy" if classification else "val_loss")
