"""Model card of an export, Markdown with the front matter of Hugging Face.

Mitchell et al., "Model cards for model reporting", 2019, https://arxiv.org/abs/1810.03993;
the keys of the front matter are those of https://huggingface.co/docs/hub/model-cards.
"""

from __future__ import annotations

import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
from ruamel.yaml import YAML

from kfc.data import Task
from kfc.ensembles import Ensemble
from kfc.errors import one_line
from kfc.exporting.certificate_fields import verdict
from kfc.exporting.requests import AnyRequest
from kfc.exporting.table_requests import TableRequest
from kfc.preprocessing import JointEncoding, TableEncoding
from kfc.runs import Run, uncertainty_lines
from kfc.spec import dump_spec

_TEMPLATE = Path(__file__).parent / "card.md.jinja"
_MISSING = {"string": '`""`', "float64": "`NaN`", "int64": "none", "bool": "none"}
"""Type of an input -> the value of a missing cell."""
_SHOWN = 30  # names of classes or features


def card_text(
    run: Run | Ensemble,
    certificate: Mapping[str, Any],
    commands: tuple[str, str] | None,
    request: AnyRequest | None = None,
) -> str:
    """Returns the model card of an exported run.

    Args:
        run: The run.
        certificate: Fields of the certificate.
        commands: Commands that serve the model and send a request, if there are any.
        request: The request that is exported beside the model, if there is one.
    """
    encoded = certificate["encoded"]
    task = run.task.core if encoded else run.task
    template = jinja2.Environment(
        undefined=jinja2.StrictUndefined,
        # The output is Markdown; `_escaped` prevents names from becoming Markdown or HTML.
        autoescape=False,
        keep_trailing_newline=True,
    ).from_string(_TEMPLATE.read_text("utf-8"))
    serve, ask = commands or (None, None)
    return template.render(
        front=_front_matter(run, certificate["format"]),
        name=run.spec.name,
        num_weights=f"{run.network.count_params():,}",
        kind=_pipeline_tag(task).replace("-", " "),
        row=_row(task),
        columns=_columns(task, request),
        features=_encoded_features(run.task.encoding) if encoded else [],
        call=_call(request),
        refuses=task.table is not None and task.table.unknown == "refuse",
        outputs=_outputs(task, certificate["format"]),
        question="the class of such a row"
        if task.classification
        else "the value of such a row",
        class_names=_listed(task.class_names),
        serve=serve,
        ask=ask,
        version=certificate["version"],
        format=certificate["format"],
        input=certificate["input"],
        members=len(run.runs) if isinstance(run, Ensemble) else 1,
        repeatability=_repeatability(run),
        source=_code(run.spec.data.source or "arrays in memory"),
        repeats=run.spec.data.source is not None,
        rows=", ".join(f"{count:,} {part}" for part, count in run.rows.items()),
        feature_names=""
        if run.task.table
        else _features(task, certificate.get("input_names", {})),
        scale=_code(str(run.spec.data.scale)),
        data_sha256=run.data_sha256,
        metrics=[(name, f"{value:.4f}") for name, value in run.metrics.items()],
        epochs=f"{run.epochs} epoch{'s' if run.epochs != 1 else ''}",
        test_rows=_test_rows(run),
        uncertainty=_uncertainty(run.uncertainty),
        seconds=f"{run.seconds:.1f}",
        certificate=certificate,
        verdict=verdict(certificate),
        versions=", ".join(f"{k} {v}" for k, v in certificate["versions"].items()),
        spec=dump_spec(run.spec),
    )


def _front_matter(run: Run | Ensemble, format: str) -> str:
    """Returns the machine-readable part of the card, YAML."""
    source = run.spec.data.source
    dataset = {"name": source or "arrays in memory", "type": source or "memory"}
    results = [
        {"type": name.removeprefix("test_"), "name": name, "value": float(value)}
        for name, value in run.metrics.items()
        if name.startswith("test_")
    ]
    front = {
        "tags": ["kfc", "dense", "tensorflow", format.replace("_", "-")],
        "pipeline_tag": _pipeline_tag(run.task),
        "metrics": [result["type"] for result in results if result["type"] != "loss"],
        "model-index": [
            {
                "name": run.spec.name,
                "results": [
                    {
                        "task": {"type": _pipeline_tag(run.task)},
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


def _pipeline_tag(task: Task) -> str:
    """Returns Hugging Face's name of the kind of task."""
    if not task.classification:
        return "tabular-regression"
    return "image-classification" if len(task.input_shape) > 1 else "tabular-classification"


def _row(task: Task) -> str:
    if task.table is not None:
        count = len(task.table.encoding.columns)
        return f"{count} column{'s' if count > 1 else ''} of a table"
    integers = "8-bit pixels" if len(task.input_shape) > 1 else "whole numbers from 0 to 255"
    values = integers if task.input_dtype == "uint8" else "numbers (float32)"
    return f"{' x '.join(map(str, task.input_shape))} {values}"


def _columns(task: Task, request: AnyRequest | None) -> list[tuple[str, ...]]:
    """Returns the name, type, input, input's type and missing value of each column."""
    if task.table is None or not isinstance(request, TableRequest):
        return []
    rows: list[tuple[str, ...]] = []
    for column, name in zip(task.table.encoding.columns, request.columns, strict=True):
        missing = _MISSING[column.input_dtype]
        if getattr(column, "refuse", False):
            missing = "refused"
        kind = task.table.columns[column.name].type
        rows.append((_escaped(column.name), kind, _code(name), column.input_dtype, missing))
    return rows


def _encoded_features(encoding: TableEncoding | None) -> list[tuple[str, ...]]:
    """Returns the place, name and kind of each feature of an encoded row."""
    if encoding is None:
        return []
    if isinstance(encoding, JointEncoding):
        parts = [kind for member in encoding.members for *_, kind in _encoded_features(member)]
        joined = zip(encoding.feature_names, parts, strict=True)
        return [(str(i), _escaped(name), kind) for i, (name, kind) in enumerate(joined)]
    kinds = ["number"] * encoding.num_numbers + ["-1, 0 or 1"] * encoding.num_flags
    kinds += [f"code of a category, 0 to {code.size}" for code in encoding.codes]
    features = zip(encoding.feature_names, kinds, strict=True)
    return [(str(i), _escaped(name), kind) for i, (name, kind) in enumerate(features)]


def _call(request: AnyRequest | None) -> list[str]:
    """Returns the lines of a Python call with the first row of a request."""
    if not isinstance(request, TableRequest):
        return []
    lines = []
    for name, values in request.columns.items():
        dtype = "string" if values.dtype.kind == "U" else values.dtype.name
        value = repr(values[0].item()).replace("nan", "float('nan')", dtype == "float64")
        lines.append(f'"{name}": tf.constant([{value}], tf.{dtype}),')
    return lines


def _outputs(task: Task, format: str) -> str:
    if not task.classification:
        values = "values in the target's own units"
        if task.intervals is None:
            return values
        share = f"{task.intervals.coverage * 100:.3g} %"
        return f"{values}, and the bounds `lower` and `upper` of intervals for {share} of rows"
    if format == "saved_model":
        return (
            "the name of the most probable class and its probability, and the probabilities "
            "and logits of all classes"
        )
    return "logits and probabilities, in the order of `assets/labels.txt`"


def _repeatability(run: Run | Ensemble) -> str:
    if run.spec.data.source is None:
        return (
            "The training rows were arrays that are not stored with the model, so that only "
            "their owner can repeat the training."
        )
    return "The training repeats to the same bits only on the same versions and machine kind."


def _test_rows(run: Run | Ensemble) -> str:
    if "val" in run.rows:
        return "No test row was used in training or in the choice of an epoch."
    return (
        "There were no validation rows, so that callbacks such as early stopping measured the "
        "test rows; the test metrics may be too good."
    )


def _uncertainty(facts: Mapping[str, Any]) -> str:
    """Returns what is known of the probabilities or the intervals; empty for no facts."""
    if not facts:
        return ""
    lines = ", ".join(f"{name} {text}" for name, text in uncertainty_lines(facts).items())
    if "temperature" in facts:
        return f"Its probabilities are calibrated on average over such rows: {lines}."
    return f"Its intervals hold on average over such rows: {lines}."


def _features(task: Task, input_names: Mapping[str, str]) -> str:
    """Returns the feature names, followed by the input names that differ from them."""
    shown = _listed(task.feature_names)
    others = [
        f"{_escaped(feature_name)} is {_code(input_name)}"
        for feature_name, input_name in list(input_names.items())[:_SHOWN]
        if input_name != feature_name
    ]
    return f"{shown}; as inputs, {', '.join(others)}" if others else shown


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(map(_escaped, names[:_SHOWN]))
    return f"{shown}, and {len(names) - _SHOWN} more" if len(names) > _SHOWN else shown


def _escaped(text: str) -> str:
    """Returns a name from the data, escaped so that Markdown shows it unchanged."""
    return "".join(f"\\{c}" if c in "\\`*_{}[]()#+-!|<>~" else c for c in one_line(str(text)))


def _code(text: str) -> str:
    """Returns a name from the data as code, with `|` escaped for the cell of a table."""
    text = one_line(str(text)).replace("|", "\\|")
    fence = "`" * (max(map(len, re.findall("`+", text)), default=0) + 1)
    pad = " " if "`" in text else ""
    return f"{fence}{pad}{text}{pad}{fence}"
