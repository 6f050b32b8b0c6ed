"""Writes the trials of a search for the HParams tab of TensorBoard."""

from __future__ import annotations

import io
import math
import time
from collections.abc import Mapping, Sequence
from numbers import Real
from pathlib import Path
from typing import Any

from tensorboard.compat.proto import event_pb2, summary_pb2
from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2
from tensorboard.summary.writer.record_writer import RecordWriter

from kfc.system import atomic
from kfc.tuning.search_tables import keys_of, short_names, short_value
from kfc.tuning.trial import Trial


def hparams_events(trials: Sequence[Trial], objective: str) -> dict[str, list[Any]]:
    """Returns name of a session -> its events.

    The session "" describes the search: all dotted paths and all metrics, the objective
    first. Each training is a session of its own. A trial and its repeats are one group, and
    TensorBoard shows the mean of a group. A diverged training has values and no score.

    Args:
        trials: Trainings of one search, repeats included.
        objective: Recorded metric, such as `val_accuracy`.
    """
    now = time.time()
    paths = keys_of(trials, "values")
    infos = [
        _path_info(path, head, [trial.values.get(path) for trial in trials])
        for path, head in zip(paths, short_names(paths), strict=True)
    ]
    kinds = {info.name: info.type for info in infos}
    metrics = [objective, *(key for key in keys_of(trials, "metrics") if key != objective)]
    experiment = api_pb2.Experiment(
        hparam_infos=infos,
        metric_infos=[
            api_pb2.MetricInfo(name=api_pb2.MetricName(tag=metric)) for metric in metrics
        ],
        time_created_secs=now,
    )
    described = plugin_data_pb2.HParamsPluginData(experiment=experiment)
    events = {"": [_file_version(now), _plugin_event(now, metadata.EXPERIMENT_TAG, described)]}
    for trial in trials:
        events[f"{trial.number:04d}-seed-{trial.seed}"] = _session(
            trial, objective, kinds, now
        )
    return events


def write_hparams(folder: Path, trials: Sequence[Trial], objective: str) -> None:
    """Writes a folder for `tensorboard --logdir FOLDER`.

    Args:
        folder: Folder to write; its earlier files are removed.
        trials: Trainings of one search, repeats included.
        objective: Recorded metric, such as `val_accuracy`.

    Raises:
        DiskError: If the folder cannot be written.
    """
    # A new file name each time, because a running TensorBoard reads only files that are
    # later in the order of names.
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
    """Returns the events of one training: values, metrics and final status."""
    diverged = trial.status == "diverged"
    start = plugin_data_pb2.SessionStartInfo(
        group_name=str(trial.number), start_time_secs=now - trial.seconds
    )
    for path, value in trial.values.items():
        if value is None:
            continue  # TensorBoard shows an empty cell
        if kinds[path] == api_pb2.DATA_TYPE_BOOL:
            start.hparams[path].bool_value = value
        elif kinds[path] == api_pb2.DATA_TYPE_FLOAT64:
            start.hparams[path].number_value = value
        else:
            start.hparams[path].string_value = short_value(value)
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
        _file_version(now),
        _plugin_event(now, metadata.SESSION_START_INFO_TAG, started),
        event_pb2.Event(
            wall_time=now, step=trial.epochs, summary=summary_pb2.Summary(value=values)
        ),
        _plugin_event(now, metadata.SESSION_END_INFO_TAG, ended),
    ]


def _file_version(now: float) -> Any:
    return event_pb2.Event(wall_time=now, file_version="brain.Event:2")


def _plugin_event(now: float, tag: str, data: Any) -> Any:
    value = summary_pb2.Summary.Value(
        tag=tag,
        metadata=metadata.create_summary_metadata(data),
        tensor=metadata.NULL_TENSOR,
    )
    return event_pb2.Event(wall_time=now, summary=summary_pb2.Summary(value=[value]))


def _path_info(path: str, head: str, values: Sequence[Any]) -> Any:
    """Returns TensorBoard's description of a dotted path; values may be None."""
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
        info.domain_discrete.extend(sorted({short_value(value) for value in present}))
    info.differs = len({short_value(value) for value in values}) > 1
    return info
