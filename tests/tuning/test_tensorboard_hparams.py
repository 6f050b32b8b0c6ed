import os
import subprocess
import sys

import pytest
from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.context import RequestContext
from tensorboard.plugins import base_plugin
from tensorboard.plugins.hparams import (
    api_pb2,
    backend_context,
    get_experiment,
    list_session_groups,
    metadata,
)

from kfc.errors import DiskError
from kfc.tuning.tensorboard_hparams import hparams_events, write_hparams

RATE, INITIAL = "training.optimizer.learning_rate", "network.initializer.stddev"


@pytest.fixture
def backend(trials, tmp_path):
    """Answers as TensorBoard's HParams tab asks."""
    folder = tmp_path / "hparams"
    write_hparams(folder, trials, "val_accuracy")
    multiplexer = EventMultiplexer().AddRunsFromDirectory(str(folder))
    multiplexer.Reload()
    provider = MultiplexerDataProvider(multiplexer, str(folder))
    return backend_context.Context(base_plugin.TBContext(data_provider=provider))


def groups_of(backend):
    experiment = get_experiment.Handler(
        *(RequestContext(), backend, "", api_pb2.GetExperimentRequest())
    ).run()
    request = api_pb2.ListSessionGroupsRequest(
        start_index=0,
        slice_size=100,
        allowed_statuses=[api_pb2.STATUS_SUCCESS, api_pb2.STATUS_FAILURE],
        aggregation_type=api_pb2.AGGREGATION_AVG,
        col_params=[api_pb2.ColParams(metric=info.name) for info in experiment.metric_infos],
    )
    answer = list_session_groups.Handler(RequestContext(), backend, "", request).run()
    return experiment, {group.name: group for group in answer.session_groups}


def test_tensorboard_finds_every_path_and_metric_the_objective_first(backend):
    experiment, _ = groups_of(backend)
    assert {(info.name, info.display_name, info.type) for info in experiment.hparam_infos} == {
        (RATE, "learning_rate", api_pb2.DATA_TYPE_FLOAT64),
        ("network.hidden", "hidden", api_pb2.DATA_TYPE_STRING),
        ("training.nesterov", "nesterov", api_pb2.DATA_TYPE_BOOL),
        (INITIAL, "stddev", api_pb2.DATA_TYPE_FLOAT64),
    }
    domains = {info.name: info for info in experiment.hparam_infos}
    assert domains[RATE].domain_interval.min_value == 1e-05
    assert domains[RATE].domain_interval.max_value == 1
    assert list(domains["network.hidden"].domain_discrete) == ["64-32", "[]"]
    assert list(domains["training.nesterov"].domain_discrete) == [True]
    assert all(info.differs for info in experiment.hparam_infos)
    tags = [info.name.tag for info in experiment.metric_infos]
    assert tags == ["val_accuracy", "val_loss", "val_mae"]


def test_tensorboard_finds_the_values_and_metrics_of_every_trial(backend):
    _, groups = groups_of(backend)
    assert set(groups) == {"1", "2", "3"}
    first = groups["1"]
    assert first.hparams[RATE].number_value == 0.1
    assert first.hparams["network.hidden"].string_value == "64-32"
    assert first.hparams["training.nesterov"].bool_value is True
    assert INITIAL not in first.hparams
    assert metrics(first)["val_loss"] == pytest.approx(0.3)
    second = groups["2"]
    assert second.hparams[INITIAL].number_value == 10.0
    assert metrics(second) == {"val_mae": 2.0}  # neither NaN nor the worst score
    assert second.sessions[0].status == api_pb2.STATUS_FAILURE
    assert metrics(groups["3"]) == {"val_accuracy": pytest.approx(0.925)}


def test_a_trial_and_its_repeats_are_one_group_with_their_mean(backend):
    _, groups = groups_of(backend)
    assert sorted(session.name for session in groups["1"].sessions) == [
        *("0001-seed-5", "0001-seed-99")
    ]
    assert metrics(groups["1"])["val_accuracy"] == pytest.approx((0.875 + 0.75) / 2)


def metrics(group):
    return {value.name.tag: value.value for value in group.metric_values}


def test_each_session_has_a_start_scalars_and_an_end(trials, tmp_path):
    write_hparams(tmp_path / "hparams", trials[:1], "val_accuracy")
    session = EventAccumulator(str(tmp_path / "hparams" / "0001-seed-5")).Reload()
    content = session.SummaryMetadata(metadata.SESSION_START_INFO_TAG).plugin_data.content
    start = metadata.parse_session_start_info_plugin_data(content)
    assert start.group_name == "1"
    content = session.SummaryMetadata(metadata.SESSION_END_INFO_TAG).plugin_data.content
    end = metadata.parse_session_end_info_plugin_data(content)
    assert end.end_time_secs - start.start_time_secs == pytest.approx(0.25, abs=1e-4)
    scalar = session.Scalars("val_accuracy")[0]
    assert (scalar.step, scalar.value) == (2, 0.875)


def test_a_path_of_mixed_values_is_text_and_none_is_no_value(labelled):
    for value in ("adam", None, 0.5, [1]):
        trials = [labelled(0.5), labelled("relu"), labelled(value)]
        assert len(hparams_events(trials, "val_loss")["0001-seed-0"]) == 4


def test_what_was_written_before_is_replaced_and_nothing_is_left_beside_it(trials, tmp_path):
    folder = tmp_path / "hparams"
    write_hparams(folder, trials, "val_accuracy")
    write_hparams(folder, trials[:1], "val_accuracy")
    assert sorted(path.name[:11] for path in folder.iterdir()) == [
        "0001-seed-5",
        "events.out.",
    ]
    assert os.listdir(tmp_path) == ["hparams"]


def test_a_place_that_cannot_be_written_is_a_disk_error(trials, tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DiskError):
        write_hparams(tmp_path / "file" / "hparams", trials, "val_accuracy")


def test_the_folder_is_written_without_tensorflow(tmp_path):
    script = (
        "import pathlib, sys; from kfc.tuning import tensorboard_hparams\n"
        "tensorboard_hparams.write_hparams(pathlib.Path(sys.argv[1]), [], 'val_loss')\n"
        "sys.exit('tensorflow' in sys.modules)"
    )
    command = [sys.executable, "-c", script, str(tmp_path / "hparams")]
    assert subprocess.run(command, check=False).returncode == 0
    assert os.listdir(tmp_path) == ["hparams"]
