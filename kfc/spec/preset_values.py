"""Fills in the keys that a spec with a preset leaves out.

A preset is a file of ordinary values, `presets/NAME.yaml`, with up to four sections. Each has
the keys of a spec:

    common          for every task
    classification  for targets that are classes
    regression      for targets that are numbers
    probabilities   for classes, where a metric that judges probabilities chooses the epoch or
                    the trial

A later section wins over an earlier one, and the spec over all of them. The task is known only
after the data have been read, so a loaded spec has the values of `common`, and
`settle_preset` of `kfc.spec.loading` fills in the rest.

Holzmueller, Grinsztajn, Steinwart: Better by Default, 2024, https://arxiv.org/abs/2407.04491,
appendix B.5, is the reason of the last section: label smoothing lowers the error, and makes
probabilities worse.
"""

from __future__ import annotations

import copy
import functools
from collections.abc import Iterator, Mapping
from importlib import resources
from typing import Any, Literal

from kfc.errors import Finding, SpecError
from kfc.spec.key_paths import Keys
from kfc.spec.messages import findings_error
from kfc.spec.parsing import read_yaml
from kfc.spec.plain_values import shown_value
from kfc.spec.suggestions import suggested_word

FOLDER = resources.files("kfc.spec.presets")
"""Folder of the presets' files."""

SECTIONS = ("data", "network", "training")
"""Parts of a spec that a preset may fill in."""

JUDGES_OF_PROBABILITIES = ("log_loss", "auc")
"""Metrics for which probabilities matter, besides the class that is the most likely."""

TaskName = Literal["classification", "regression"]


def preset_names() -> list[str]:
    """Returns the names of the presets."""
    files = (file.name for file in FOLDER.iterdir())
    return sorted(name.removesuffix(".yaml") for name in files if name.endswith(".yaml"))


def preset_text(name: str) -> str:
    """Returns the text of a preset's file, comments included.

    Raises:
        SpecError: If there is no preset of that name.
    """
    if name not in preset_names():
        raise SpecError(_unknown("preset", name))
    return FOLDER.joinpath(f"{name}.yaml").read_text("utf-8")


def check_preset(name: str) -> str:
    """Checks that there is a preset of that name, as a validator of its key."""
    if name not in preset_names():
        raise findings_error(_unknown("", name))
    return name


def _unknown(where: str, name: str) -> Finding:
    known = preset_names()
    remedy = f"{suggested_word(name, known)}Known: {', '.join(known)}."
    return Finding(where, "the name of a preset", shown_value(name), remedy)


@functools.lru_cache
def _sections(text: str) -> Mapping[str, dict[str, Any]]:
    """Returns the sections of a preset's text; the caller does not change them."""
    return read_yaml(text, "a preset").values


def with_preset(values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the values of a spec after its preset has filled in the keys left out.

    A mapping is filled in key by key. A mapping with a `name` is a component of its own, so it
    replaces the preset's component with all of its options. The task is `data.task`.

    Args:
        values: Plain values of a spec, valid or not; they are not changed.
    """
    filled = copy.deepcopy(dict(values))
    name = filled.get("preset")
    if not isinstance(name, str) or name not in preset_names():
        return filled  # the check of the key reports another name
    sections = _sections(preset_text(name))
    for section in SECTIONS:
        of_preset: Any = {}
        for part in _parts(values):
            of_preset = _merged(of_preset, sections.get(part, {}).get(section, {}))
        filled[section] = _merged(of_preset, filled.get(section, {}))
    return filled


def _parts(values: Mapping[str, Any]) -> Iterator[str]:
    """Yields the sections of a preset that a spec takes, the ones that win last."""
    yield "common"
    data = values.get("data")
    task = data.get("task") if isinstance(data, Mapping) else None
    if task in ("classification", "regression"):
        yield task
    chosen_by = (str(metric).removeprefix("val_") for metric in _choosing_metrics(values))
    if task == "classification" and any(
        metric in JUDGES_OF_PROBABILITIES for metric in chosen_by
    ):
        yield "probabilities"


def _choosing_metrics(values: Mapping[str, Any]) -> Iterator[Any]:
    """Yields the metrics by which the user chooses the best epoch or the best trial."""
    training, search = values.get("training"), values.get("search")
    if isinstance(search, Mapping):
        yield search.get("objective")
    if not isinstance(training, Mapping):
        return
    if isinstance(stopping := training.get("early_stopping"), Mapping):
        yield stopping.get("monitor")
    callbacks = training.get("callbacks")
    for callback in callbacks if isinstance(callbacks, list) else ():
        if isinstance(callback, Mapping) and callback.get("name") == "best_weights":
            yield callback.get("monitor")


def _merged(of_preset: Any, own: Any) -> Any:
    """Returns `own` with the keys that it leaves out, where both are mappings."""
    if not (isinstance(of_preset, Mapping) and isinstance(own, Mapping)) or "name" in own:
        return copy.deepcopy(own)
    filled = {key: _merged(of_preset[key], own[key]) for key in own if key in of_preset}
    return {**copy.deepcopy(dict(of_preset)), **copy.deepcopy(dict(own)), **filled}


def from_preset(said: Mapping[str, Any] | None, path: Keys) -> bool:
    """Returns whether a preset, and not the user, has set the value at a path.

    Args:
        said: Values of the user, valid or not; None for a spec without a preset.
        path: Path of keys.
    """
    return said is not None and not _has(said, path) and _has(with_preset(said), path)


def _has(values: Any, path: Keys) -> bool:
    """Returns whether nested values have a value at a path."""
    for key in path:
        inside = (
            key in values
            if isinstance(values, Mapping)
            else isinstance(values, list) and isinstance(key, int) and key < len(values)
        )
        if not inside:
            return False
        values = values[key]
    return True
