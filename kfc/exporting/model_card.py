"""A run and its certificate -> a model card, Markdown with Hugging Face's front matter.

Mitchell et al., "Model cards for model reporting", 2019, https://arxiv.org/abs/1810.03993;
the keys of the front matter are those of https://huggingface.co/docs/hub/model-cards.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import jinja2
from ruamel.yaml import YAML

from kfc.data import Task
from kfc.errors import one_line
from kfc.exporting.loaded_export import Export
from kfc.runs import Run
from kfc.spec import dump_spec

_TEMPLATE = Path(__file__).parent / "card.md.jinja"
_SHOWN = 30  # names of classes or columns


def text(run: Run, exported: Export) -> str:
    """Returns the model card of an exported run."""
    task, certificate = run.task, exported.certificate
    template = jinja2.Environment(
        undefined=jinja2.StrictUndefined,
        # Markdown, not HTML; `_plain` keeps other people's text from being either.
        autoescape=False,
        keep_trailing_newline=True,
    ).from_string(_TEMPLATE.read_text("utf-8"))
    serve, ask = exported.commands(portable=True) or (None, None)
    return template.render(
        front=_front_matter(run, certificate["format"]),
        name=run.spec.name,
        weights=f"{run.model.count_params():,}",
        what=_kind(task).replace("-", " "),
        takes=_takes(task),
        returns=_returns(task, certificate["format"]),
        question="which class they belong to" if task.classification else "their value",
        labels=_listed(task.class_names),
        serve=serve,
        ask=ask,
        version=exported.version,
        format=certificate["format"],
        input=certificate["input"],
        guarantee=_guarantee(run),
        source=_code(run.spec.data.source or "arrays in memory"),
        repeats=run.spec.data.source is not None,
        rows=", ".join(f"{count:,} {part}" for part, count in run.rows.items()),
        columns=_columns(task, certificate.get("columns", {})),
        scale=_code(run.spec.data.scale),
        data_sha256=run.data_sha256,
        metrics=[(name, f"{value:.4f}") for name, value in run.metrics.items()],
        epochs=f"{run.epochs} epoch{'s' if run.epochs != 1 else ''}",
        test_rows=_test_rows(run),
        seconds=f"{run.seconds:.1f}",
        certificate=certificate,
        verdict=exported.verdict,
        versions=", ".join(f"{k} {v}" for k, v in certificate["versions"].items()),
        spec=dump_spec(run.spec),
    )


def _front_matter(run: Run, format: str) -> str:
    """Returns the card's machine-readable part, YAML."""
    source = run.spec.data.source
    dataset = {"name": source or "arrays in memory", "type": source or "memory"}
    results = [
        {"type": name.removeprefix("test_"), "name": name, "value": float(value)}
        for name, value in run.metrics.items()
        if name.startswith("test_")
    ]
    front = {
        "tags": ["kfc", "dense", "tensorflow", format.replace("_", "-")],
        "pipeline_tag": _kind(run.task),
        "metrics": [result["type"] for result in results if result["type"] != "loss"],
        "model-index": [
            {
                "name": run.spec.name,
                "results": [
                    {
                        "task": {"type": _kind(run.task)},
                        "dataset": {**dataset, "split": "test"},
                        "metrics": results,
                    }
                ],
            }
        ],
    }
    kind, _, name = (source or "").partition(":")
    if kind == "tfds":
        front["datasets"] = [name.partition("/")[0]]
    buffer = io.StringIO()
    YAML(typ="safe", pure=True).dump(front, buffer)
    return buffer.getvalue()


def _kind(task: Task) -> str:
    """Returns Hugging Face's name for what the model does."""
    if not task.classification:
        return "tabular-regression"
    return "image-classification" if len(task.input_shape) > 1 else "tabular-classification"


def _takes(task: Task) -> str:
    small = "8-bit pixels" if len(task.input_shape) > 1 else "whole numbers from 0 to 255"
    what = small if task.input_dtype == "uint8" else "numbers (float32)"
    return f"{' x '.join(map(str, task.input_shape))} {what}"


def _returns(task: Task, format: str) -> str:
    if not task.classification:
        return "values in the target's own units"
    if format == "saved_model":
        return "the name of the likeliest class, its probability, and all of them with logits"
    return "logits and probabilities, in the order of `assets/labels.txt`"


def _guarantee(run: Run) -> str:
    if run.spec.data.source is None:
        return (
            "It was trained on arrays that are not kept with it, so nobody else can repeat it."
        )
    return "The training repeats to the same bits only on the same versions and machine kind."


def _test_rows(run: Run) -> str:
    if "val" in run.rows:
        return "The rows of the test have trained nothing and chosen nothing."
    return (
        "There were no validation rows: whatever watched the training watched those of the "
        "test, whose numbers may flatter."
    )


def _columns(task: Task, inputs: Mapping[str, str]) -> str:
    """Returns the columns, each with the name of its input where that is another."""
    shown = _listed(task.feature_names)
    others = [
        f"{_plain(column)} is {_code(name)}"
        for column, name in list(inputs.items())[:_SHOWN]
        if name != column
    ]
    return f"{shown}; as inputs, {', '.join(others)}" if others else shown


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(map(_plain, names[:_SHOWN]))
    return f"{shown}, and {len(names) - _SHOWN} more" if len(names) > _SHOWN else shown


def _plain(text: str) -> str:
    """Returns other people's text so that Markdown shows it and does nothing else."""
    return "".join(f"\\{c}" if c in "\\`*_{}[]()#+-!|<>~" else c for c in one_line(str(text)))


def _code(text: str) -> str:
    """Returns other people's text as code, in which a cell's `|` alone is escaped."""
    text = one_line(str(text)).replace("|", "\\|")
    fence = "`" * (max(map(len, re.findall("`+", text)), default=0) + 1)
    pad = " " if "`" in text else ""
    return f"{fence}{pad}{text}{pad}{fence}"
