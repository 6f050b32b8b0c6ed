"""What `kfc tune` varies and how it looks for the best, as frozen data."""

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
from kfc.spec.cross_checks import METRICS
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

_MOST_REPEATS_FACTOR = 3


def _as_written(value: Any, check: Callable[[Any], float]) -> float:
    """Keeps an integer one, so that a dump says what the file said."""
    checked = check(value)
    return value if type(value) is int else checked


_Written = PlainSerializer(lambda value: value, return_type=Any)
Number = Annotated[Finite, WrapValidator(_as_written), _Written]
Above0 = Annotated[Positive, WrapValidator(_as_written), _Written]


class RangeSpec(SpecModel):
    """Numbers from `low` to `high`, both included."""

    low: Number = Field(
        description="Lowest; an integer where the key takes integers.", examples=[0.01]
    )
    high: Number = Field(description="Highest.", examples=[1.0])
    log: bool = Field(
        False, description="Whether each factor, rather than each difference, is as likely."
    )
    step: Above0 | None = Field(
        None,
        description="Distance between neighbours, counted from low; with log their factor. "
        "Without one every number may come.",
        examples=[2],
    )

    @model_validator(mode="after")
    def _rises(self) -> Self:
        if self.low >= self.high:
            raise findings_error(_not_rising("high", self.low, self.high))
        if self.log and self.low <= 0:
            raise findings_error(
                Finding(
                    "low", "a number above 0 where log is true", f"{self.low:g}", "Raise it."
                )
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
                    "a factor above 1 where log is true",
                    f"{self.step:g}",
                    "Use for example step: 2.",
                )
            )
        largest = self.high / self.low if self.log else self.high - self.low
        if self.step > largest * (1 + 1e-9):  # 0.3 - 0.2 is a little less than 0.1
            raise findings_error(
                Finding(
                    "step",
                    f"at most {largest:g}, which leads from low to high",
                    f"{self.step:g}",
                    "Lower it, or leave it out.",
                )
            )
        return self


class ChoiceSpec(SpecModel):
    """One of the listed values."""

    choice: Annotated[Listed[Any], Field(min_length=1, examples=[[32, 64]])] = Field(
        description="Numbers, names, or whole parts of a spec."
    )

    @field_validator("choice")
    @classmethod
    def _differ(cls, choice: tuple[Any, ...]) -> tuple[Any, ...]:
        texts = [repr(value) for value in choice]  # 1, 1.0 and true are equal, and differ
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
    """Hidden layers: how many, and how wide."""

    depth: Annotated[Listed[_Depth], Field(min_length=2, max_length=2)] = Field(
        description="Fewest and most layers; 0 is softmax regression.", examples=[[1, 4]]
    )
    width: Annotated[Listed[Count], Field(min_length=2, max_length=2)] = Field(
        description="Narrowest and widest, each layer for itself; by factors where the "
        "widest is at least 8 times the narrowest.",
        examples=[[32, 512]],
    )

    @model_validator(mode="after")
    def _rises(self) -> Self:
        for name, (low, high) in (("depth", self.depth), ("width", self.width)):
            if low > high:
                raise findings_error(_not_rising(name, low, high))
        return self


def _not_rising(where: str, low: float, high: float) -> Finding:
    return Finding(where, "the low end first", f"{low:g} to {high:g}", "Swap them.")


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
    """What `kfc tune` varies, and how; training alone does not read it."""

    algorithm: Literal["random", "bayesian", "hyperband", "grid"] = Field(
        "bayesian",
        description="bayesian learns from the trials so far; hyperband trains many for a few "
        "epochs and goes on with the best; grid takes every point in turn.",
    )
    objective: str | None = Field(
        None,
        description="A metric of the validation rows; its direction is known. By default "
        "val_accuracy for classes, val_loss for numbers.",
        examples=["val_loss"],
        json_schema_extra={"enum": [*(f"val_{name}" for name in METRICS), None]},
    )
    trials: Count = Field(
        40,
        description="Most trials, beside trial 0, which trains the spec's own values.",
    )
    seconds: Positive | None = Field(
        None,
        description="No new trial is begun after so many seconds of searching.",
        examples=[3600],
    )
    target: Finite | None = Field(
        None,
        description="The search ends when a trial's score reaches it, trial 0 included.",
        examples=[0.99],
    )
    parallel: Count = Field(
        4,
        description="Trials that may run at once. A trial is proposed knowing all results but "
        "those of the parallel - 1 before it, with any number of workers, so that the answer "
        "does not depend on them.",
    )
    finalists: Count = Field(
        3,
        description="Number of the best trials that are trained again on fresh seeds, beside "
        "trial 0, which always is.",
    )
    repeats: Annotated[int, Field(ge=0, lt=2**31)] = Field(
        5,
        description="Fresh seeds for each finalist, the same for all: 0, or at least 2. With "
        "0 the scores of the search alone decide.",
        json_schema_extra={"not": {"const": 1}},
    )
    most_repeats: NotNegativeInt | None = Field(
        None,
        description="Fresh seeds at most for finalists that are still undecided; at least "
        "repeats. By default 3 times repeats. Not used where repeats is 0.",
        examples=[15],
    )
    margin: NotNegative | None = Field(
        None,
        description="Largest difference between two finalists that counts for nothing, in "
        "units of the objective: the smaller of two networks that differ by less wins. By "
        "default 0.005 for accuracy and r2, and 1 % of the best mean for loss and mae.",
        examples=[0.005],
    )
    factor: Annotated[int, Field(ge=2, lt=2**31)] = Field(
        3, description="hyperband: one trial in so many goes on, to so many times the epochs."
    )
    space: dict[str, DimensionSpec] = Field(
        default_factory=dict,
        description="Dotted path of the spec -> the values it may take. By default hidden "
        "layers, the learning rate and the standard deviation of the first weights.",
        examples=[{"training.optimizer.learning_rate": {"low": 0.001, "high": 0.1}}],
    )

    @field_validator("repeats")
    @classmethod
    def _tells_a_spread(cls, repeats: int) -> int:
        if repeats == 1:
            raise findings_error(
                Finding("", "0 or at least 2, since one seed has no spread", "1", "Use 5.")
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
        """Fresh seeds of an undecided finalist at most."""
        if self.most_repeats is None or self.repeats == 0:
            return min(_MOST_REPEATS_FACTOR * self.repeats, 2**31 - 1)
        return self.most_repeats

    def objective_for(self, *, classification: bool) -> str:
        """Returns the metric that ranks trials: the one named, or the task's.

        Args:
            classification: Whether targets are classes.
        """
        return self.objective or ("val_accuracy" if classification else "val_loss")
