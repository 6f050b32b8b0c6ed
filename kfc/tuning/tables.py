"""Trials -> tables: for a spreadsheet, a terminal, and TensorBoard's HParams."""

from __future__ import annotations

import csv
import io
import json
import math
import time
from collections.abc import Mapping, Sequence
from numbers import Real
from pathlib import Path
from typing import Any

from rich.cells import cell_len, set_cell_size
from rich.table import Table
from rich.text import Text
from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2
from tensorboard.summary.writer.record_writer import RecordWriter

from kfc.errors import one_line
from kfc.system import atomic
from kfc.tuning.comparison import Finalist
from kfc.tuning.ranking import figures, ranked
from kfc.tuning.trial import Trial

_COLUMNS = (
    *("number", "seed", "status", "score", "epochs", "seconds", "weights", "cause"),
    "folder",
)
_WIDEST = 24  # columns of a cell in a terminal
_FORMULA = ("=", "+", "-", "@", "\t")  # what a spreadsheet takes for one


def csv_text(trials: Sequence[Trial]) -> str:
    """Returns a CSV table with a row for each training, repeats included.

    Its columns are facts of the trial, then dotted paths, then metrics. Lists, booleans
    and None are JSON. Text is one line, and begins with an apostrophe where a spreadsheet
    would take it for a formula.

    Args:
        trials: In the order of the rows.
    """
    paths, metrics = _keys(trials, "values"), _keys(trials, "metrics")
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_cell(name) for name in (*_COLUMNS, *paths, *metrics))
    for trial in trials:
        facts = [_cell(getattr(trial, name)) for name in _COLUMNS]
        values = [_cell(trial.values.get(path, "")) for path in paths]
        numbers = [_cell(trial.metrics.get(name, "")) for name in metrics]
        writer.writerow([*facts, *values, *numbers])
    return text.getvalue()


def cells(
    trials: Sequence[Trial], objective: str, limit: int | None = None
) -> tuple[list[str], list[list[str]]]:
    """Returns the head and the rows of the ranking, the best trial first.

    Args:
        trials: Of one search, in any order.
        objective: A recorded metric, such as `val_accuracy`.
        limit: Rows at most; None for all.
    """
    # A path that trial 0 alone sets, such as its initialiser, has no column.
    paths = _keys([trial for trial in trials if trial.number] or trials, "values")
    head = ["trial", *_heads(paths), objective, "epochs", "seconds", "status"]
    rows = []
    for trial in ranked(trials, objective)[:limit]:
        status = trial.cause or trial.status
        if trial.number == 0:
            status = f"the spec: {status}" if trial.cause else "the spec itself"
        rows.append(
            [
                str(trial.number),
                *(_short(trial.values[p]) if p in trial.values else "" for p in paths),
                "diverged" if trial.status == "diverged" else figures(trial.score)[0],
                str(trial.epochs),
                f"{trial.seconds:.1f}",
                status,
            ]
        )
    return [one_line(name) for name in head], [[one_line(cell) for cell in r] for r in rows]


def rich_table(trials: Sequence[Trial], objective: str, limit: int | None = None) -> Table:
    """Returns the ranking as a table for the terminal, the best first.

    Causes of a divergence end where the terminal does; `csv_text` has them whole.

    Args:
        trials: Of one search, in any order.
        objective: A recorded metric, such as `val_accuracy`.
        limit: Rows at most; None for all.
    """
    head, rows = cells(trials, objective, limit)
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in head[:-1]:
        table.add_column(
            _text(name), justify="right", no_wrap=True, overflow="ellipsis", max_width=_WIDEST
        )
    table.add_column(_text(head[-1]))  # the one that gives way on a narrow terminal
    for row in rows:
        *facts, status = map(_text, row)
        status.no_wrap, status.overflow = True, "ellipsis"
        table.add_row(*facts, status)
    if len(trials) > table.row_count:
        table.caption = f"{table.row_count} of {len(trials)} trials"
    return table


def finalists_table(finalists: Sequence[Finalist], objective: str) -> Table:
    """Returns a table with the mean of each finalist over the seeds that are done.

    Args:
        finalists: In the order of the rows.
        objective: A recorded metric, such as `val_accuracy`.
    """
    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in ("trial", "seeds", f"mean {objective}", "diverged"):
        table.add_column(_text(name), justify="right", no_wrap=True)
    for one in finalists:
        mean = ""
        if one.low is not None and one.high is not None:
            mean = " +- ".join(figures(one.mean, (one.high - one.low) / 2))
        elif one.repeats and not one.diverged:
            mean = figures(one.mean)[0]
        table.add_row(str(one.trial.number), str(len(one.repeats)), mean, str(one.diverged))
    return table


def line(trial: Trial, objective: str, *, head: str = "", time_left: str = "") -> str:
    """Returns one line about a trial, for a terminal without a table.

    Its values and its cause end where 80 columns do.

    Args:
        trial: One that is done.
        objective: A recorded metric, such as `val_accuracy`.
        head: What the line begins with.
        time_left: For example `about 3 min left`, or an empty text.
    """
    diverged = trial.status == "diverged"
    outcome = "diverged" if diverged else f"{objective} {figures(trial.score)[0]}"
    parts = [head, outcome, f"{trial.seconds:.1f} s", time_left]
    parts.append(trial.cause if diverged else values_text(trial))
    return fitted("  ".join(part for part in parts if part))


def values_text(trial: Trial) -> str:
    """Returns a trial's values by the shortest names that tell them apart."""
    paths = list(trial.values)
    pairs = zip(paths, _heads(paths), strict=True)
    return "  ".join(f"{name} {_short(trial.values[path])}" for path, name in pairs)


def fitted(text: str, width: int = 80) -> str:
    """Returns text as one line of at most so many columns."""
    text = one_line(text)
    if cell_len(text) <= width:
        return text
    return f"{set_cell_size(text, width - 3)}..."


def hparams_events(trials: Sequence[Trial], objective: str) -> dict[str, list[Any]]:
    """Returns session -> the events that TensorBoard's HParams tab shows it from.

    The session "" describes the search: every dotted path, and every metric, the objective
    first. Each training is a session of its own; a trial and its repeats are one group,
    of which the tab shows the mean. A diverged training has its values and no score.

    Args:
        trials: Of one search, repeats included.
        objective: A recorded metric, such as `val_accuracy`.
    """
    now = time.time()
    paths = _keys(trials, "values")
    infos = [
        _path_info(path, head, [trial.values.get(path) for trial in trials])
        for path, head in zip(paths, _heads(paths), strict=True)
    ]
    kinds = {info.name: info.type for info in infos}
    metrics = [objective, *(key for key in _keys(trials, "metrics") if key != objective)]
    experiment = api_pb2.Experiment(
        hparam_infos=infos,
        metric_infos=[
            api_pb2.MetricInfo(name=api_pb2.MetricName(tag=metric)) for metric in metrics
        ],
        time_created_secs=now,
    )
    described = plugin_data_pb2.HParamsPluginData(experiment=experiment)
    events = {"": [_head(now), _plugin_event(now, metadata.EXPERIMENT_TAG, described)]}
    for trial in trials:
        events[f"{trial.number:04d}-seed-{trial.seed}"] = _session(
            trial, objective, kinds, now
        )
    return events


def write_hparams(folder: Path, trials: Sequence[Trial], objective: str) -> None:
    """Writes `hparams_events` in place of a folder, for `tensorboard --logdir FOLDER`.

    Args:
        folder: To be written; what is in it goes.
        trials: Of one search, repeats included.
        objective: A recorded metric, such as `val_accuracy`.

    Raises:
        DiskError: If it cannot be written.
    """
    # A later file of another name, or a TensorBoard that is running would not read it.
    name = f"events.out.tfevents.{time.time_ns()}.kfc"
    contents = {}
    for session, events in hparams_events(trials, objective).items():
        records = io.BytesIO()
        writer = RecordWriter(records)
        for event in events:
            writer.write(event.SerializeToString())
        contents[f"{session}/{name}".lstrip("/")] = records.getvalue()
    atomic.write_folder(folder, contents, replace=True)


def _session(trial: Trial, objective: str, kinds: Mapping[str, Any], now: float) -> list[Any]:
    """Returns the events of one training: its values, its metrics, how it ended."""
    diverged = trial.status == "diverged"
    start = plugin_data_pb2.SessionStartInfo(
        group_name=str(trial.number), start_time_secs=now - trial.seconds
    )
    for path, value in trial.values.items():
        if value is None:
            continue  # as in a trial that has no such value
        if kinds[path] == api_pb2.DATA_TYPE_BOOL:
            start.hparams[path].bool_value = value
        elif kinds[path] == api_pb2.DATA_TYPE_FLOAT64:
            start.hparams[path].number_value = value
        else:
            start.hparams[path].string_value = _short(value)
    end = plugin_data_pb2.SessionEndInfo(
        status=api_pb2.STATUS_FAILURE if diverged else api_pb2.STATUS_SUCCESS,
        end_time_secs=now,
    )
    scalars = {**trial.metrics, **({} if diverged else {objective: trial.score})}
    values = [
        summary_pb2.Summary.Value(tag=tag, simple_value=value)
        for tag, value in scalars.items()
        if math.isfinite(value)
    ]
    started = plugin_data_pb2.HParamsPluginData(session_start_info=start)
    ended = plugin_data_pb2.HParamsPluginData(session_end_info=end)
    return [
        _head(now),
        _plugin_event(now, metadata.SESSION_START_INFO_TAG, started),
        event_pb2.Event(
            wall_time=now, step=trial.epochs, summary=summary_pb2.Summary(value=values)
        ),
        _plugin_event(now, metadata.SESSION_END_INFO_TAG, ended),
    ]


def _head(now: float) -> Any:
    return event_pb2.Event(wall_time=now, file_version="brain.Event:2")


def _plugin_event(now: float, tag: str, data: Any) -> Any:
    value = summary_pb2.Summary.Value(
        tag=tag,
        metadata=metadata.create_summary_metadata(data),
        tensor=metadata.NULL_TENSOR,
    )
    return event_pb2.Event(wall_time=now, summary=summary_pb2.Summary(value=[value]))


def _path_info(path: str, head: str, values: Sequence[Any]) -> Any:
    """Returns what TensorBoard is to know of a path, whose values may be None."""
    present = [value for value in values if value is not None]
    info = api_pb2.HParamInfo(name=path, display_name=head)
    if all(isinstance(value, bool) for value in present):
        info.type = api_pb2.DATA_TYPE_BOOL
        info.domain_discrete.extend(sorted(set(present)))
    elif all(isinstance(value, Real) and not isinstance(value, bool) for value in present):
        info.type = api_pb2.DATA_TYPE_FLOAT64
        info.domain_interval.min_value = min(present)
        info.domain_interval.max_value = max(present)
    else:
        info.type = api_pb2.DATA_TYPE_STRING
        info.domain_discrete.extend(sorted({_short(value) for value in present}))
    info.differs = len({_short(value) for value in values}) > 1
    return info


def _keys(trials: Sequence[Trial], field: str) -> list[str]:
    """Returns the keys of a mapping of each trial, in the order they first appear."""
    return list(dict.fromkeys(key for trial in trials for key in getattr(trial, field)))


def _heads(paths: Sequence[str]) -> list[str]:
    """Returns for each path as many of its last parts as no other path ends with."""
    heads = []
    for path in paths:
        parts = path.split(".")
        ends = [".".join(parts[-count:]) for count in range(1, len(parts) + 1)]
        others = [f".{other}" for other in paths if other != path]
        unique = (
            end for end in ends if not any(other.endswith(f".{end}") for other in others)
        )
        heads.append(next(unique, path))
    return heads


def _cell(value: Any) -> Any:
    """Returns a value as a CSV cell."""
    if isinstance(value, str):
        text = one_line(value)
        return f"'{text}" if value.lstrip(" \r\n").startswith(_FORMULA) else text
    if isinstance(value, Real) and not isinstance(value, bool):
        return value
    return json.dumps(value)


def _short(value: Any) -> str:
    """Returns a value as people read it."""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list) and value and all(type(item) is int for item in value):
        return "-".join(map(str, value))  # widths of layers
    if isinstance(value, Mapping) and list(value) == ["name"]:
        return str(value["name"])
    return value if isinstance(value, str) else json.dumps(value)


def _text(text: str, **options: Any) -> Text:
    """Returns text in which no markup is read and no control character is left."""
    return Text(one_line(text), **options)
