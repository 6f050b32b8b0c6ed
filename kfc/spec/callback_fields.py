"""Defines a callback of a spec, whose files stay in the run folder."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from kfc.errors import Finding
from kfc.registry import CALLBACKS
from kfc.spec.components import ComponentSpec
from kfc.spec.metric_names import MONITORED
from kfc.spec.plain_values import shown_value


class CallbackSpec(ComponentSpec):
    """Any `keras.callbacks` class by its name, a callback of kfc or of a plug-in."""

    kind = "callback"
    registry = CALLBACKS

    # Options that are paths; Keras would write to any path.
    PATHS: ClassVar[frozenset[str]] = frozenset({"filepath", "filename", "log_dir"})
    # Callbacks that every run has, and files that every run writes.
    _ALWAYS_ON: ClassVar[frozenset[str]] = frozenset({"terminal"})
    _WRITTEN_BY_KFC: ClassVar[frozenset[str]] = frozenset(
        {
            *("spec.yaml", "environment.json", "metrics.jsonl", "layers.jsonl", "run.log"),
            *("result.json", "report.html", "tensorboard", "checkpoints", "model.keras"),
            *("sample.npz", "verification.json"),
        }
    )
    # Keras formats a path with str.format, which also reads attributes: the characters of
    # `{epoch.__doc__[3]}` could form any path.
    _FIELD: ClassVar[re.Pattern[str]] = re.compile(
        r"\{[a-z]\w*(:0?\d{0,2}(\.\d{1,2})?[defg]?)?\}"
    )

    @classmethod
    def option_schema(cls, option: str, default: Any) -> dict[str, Any]:
        """Returns the JSON Schema of one option.

        Args:
            option: Name of the option.
            default: Default of the option; `UNREAD` for an option of a plug-in.
        """
        schema = super().option_schema(option, default)
        if option in cls.PATHS:
            schema |= {"type": "string", "description": "A path inside the run folder."}
        if option == "monitor":
            schema |= {"enum": MONITORED, "description": "A recorded metric."}
        return schema

    @classmethod
    def known(cls) -> list[str]:
        """Returns every available name, except the callbacks that every run has."""
        return [name for name in super().known() if name not in cls._ALWAYS_ON]

    @classmethod
    def _name_findings(cls, name: str) -> Iterator[Finding]:
        if name in cls._ALWAYS_ON:
            yield Finding(
                "name",
                "a callback that runs do not have already",
                repr(name),
                "Remove it; training.log_every sets how often it writes.",
            )
        else:
            yield from super()._name_findings(name)

    @classmethod
    def _value_findings(cls, option: str, value: Any, default: Any) -> Iterator[Finding]:
        if option in cls.PATHS and not cls._is_inside(value):
            yield Finding(
                option,
                "a path inside the run folder",
                shown_value(value),
                "Use a relative path without '..', such as 'best.keras'.",
            )
        else:
            yield from super()._value_findings(option, value, default)

    @classmethod
    def _option_findings(
        cls, name: str, options: Mapping[str, Any], defaults: Mapping[str, Any]
    ) -> Iterator[Finding]:
        found = list(super()._option_findings(name, options, defaults))
        yield from found
        for option in sorted(cls.PATHS & defaults.keys()):
            path = str({**defaults, **options}[option])
            first = posixpath.normpath(path).split("/")[0]
            # A leading dot is a lock file, a partial file, or the run folder itself.
            own = first in cls._WRITTEN_BY_KFC or first.startswith(".")
            if own and cls._is_inside(path):
                yield Finding(
                    option,
                    "a file or folder that kfc does not write itself",
                    repr(path),
                    "Choose another name: the run has a file or folder of this name.",
                )
        if name == "ModelCheckpoint" and not found:
            weights_only = options.get("save_weights_only", False)
            ending = ".weights.h5" if weights_only else ".keras"
            if not options["filepath"].endswith(ending):
                yield Finding(
                    "filepath",
                    f"a file ending in {ending}, since save_weights_only is "
                    f"{str(weights_only).lower()}",
                    repr(options["filepath"]),
                    f"Use for example filepath: best{ending}.",
                )

    @classmethod
    def _is_inside(cls, path: Any) -> bool:
        """Returns whether a path, joined to the run folder, is inside it."""
        if not isinstance(path, str) or not path or not path.isprintable():
            return False
        rest = cls._FIELD.sub("x", path)
        return not rest.startswith(("/", "\\", "~")) and not any(
            odd in rest for odd in ("..", ":", "{", "}")
        )
