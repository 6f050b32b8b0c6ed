import json
import math
import os
import signal
import subprocess
import sys
import time

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kfc.errors import CheckpointError, DiskError
from kfc.tuning.journal import (
    Journal,
    event_from,
    proposal_from_event,
    read_events,
    trial_from_event,
)
from kfc.tuning.trial import Proposal, Trial

EVENTS = [
    {"kind": "started", "seed": 0, "space": {"network.hidden": [[32], [64, "ü\n"]]}},
    {"kind": "proposed", "number": 1, "values": {"training.learning_rate": 0.1}},
    {"kind": "finished", "number": 1, "score": -1e-300, "cause": None, "pruned": False},
]


@pytest.fixture
def path(tmp_path):
    return tmp_path / "journal.jsonl"


def written(path, events=EVENTS):
    journal = Journal(path)
    for event in events:
        journal.append(event)
    return path.read_bytes()


def test_a_journal_returns_its_events_in_order(path):
    written(path)
    assert Journal(path).events() == EVENTS
    assert read_events(path) == EVENTS


def test_a_journal_without_a_file_has_no_events_and_makes_none(path):
    assert Journal(path).events() == []
    assert read_events(path) == []
    assert not path.exists()


def test_each_event_is_one_line_of_json_with_its_checksum(path):
    lines = written(path).decode("ascii").splitlines()
    assert [json.loads(line)["event"] for line in lines] == EVENTS
    assert all(len(json.loads(line)["crc32"]) == 8 for line in lines)


def test_a_last_line_torn_at_any_byte_is_cut_off_and_the_next_event_follows(path):
    data = written(path)
    earlier = data[: data.rindex(b"\n", 0, -1) + 1]
    for size in range(len(earlier), len(data)):
        path.write_bytes(data[:size])
        assert read_events(path) == EVENTS[:2]
        assert path.stat().st_size == size  # who looks on cuts nothing
        journal = Journal(path)
        assert path.read_bytes() == earlier
        journal.append(EVENTS[2])
        assert path.read_bytes() == data


@pytest.mark.parametrize("flip", [0x01, 0x20, 0x80])
def test_a_last_line_with_any_byte_flipped_is_cut_off(path, flip):
    data = written(path)
    begin = data.rindex(b"\n", 0, -1) + 1
    for place in range(begin, len(data)):
        path.write_bytes(flipped(data, place, flip))
        assert Journal(path).events() == EVENTS[:2]
        assert path.read_bytes() == data[:begin]


@pytest.mark.parametrize("flip", [0x01, 0x20, 0x80])
def test_a_flipped_byte_in_an_earlier_line_is_refused_and_nothing_is_cut(path, flip):
    data = written(path)
    for place in range(data.rindex(b"\n", 0, -1) + 1):
        path.write_bytes(flipped(data, place, flip))
        with pytest.raises(CheckpointError):
            Journal(path)
        assert path.stat().st_size == len(data)


@pytest.mark.parametrize("size", [1, 10, 50])
def test_a_flipped_byte_before_a_torn_line_is_refused(path, size):
    data = written(path)
    begin = data.rindex(b"\n", 0, -1) + 1
    for place in range(begin - 1):
        path.write_bytes(flipped(data[: begin + size], place, 0x01))
        with pytest.raises(CheckpointError):
            Journal(path)


def test_a_torn_line_after_a_damaged_newline_is_refused(path):
    data = written(path)
    begin = data.rindex(b"\n", 0, -1) + 1
    for size in range(2, len(data) - begin):
        path.write_bytes(flipped(data[: begin + size], begin - 1, 0x01))
        with pytest.raises(CheckpointError, match="two lines in one"):
            Journal(path)


def test_a_lost_line_of_zeros_as_a_power_failure_leaves_it_is_cut_off(path):
    data = written(path)
    path.write_bytes(data + bytes(100))
    assert Journal(path).events() == EVENTS
    assert path.read_bytes() == data


def test_damage_is_an_error_that_names_the_file_the_line_and_a_remedy(path):
    data = written(path)
    path.write_bytes(flipped(data, data.index(b"proposed"), 0x01))
    with pytest.raises(CheckpointError) as caught:
        read_events(path)
    (finding,) = caught.value.findings
    assert finding.where == str(path)
    assert finding.line == "line 2"
    assert finding.got == "a wrong checksum"
    assert "another folder" in finding.remedy


def test_a_journal_that_is_a_folder_is_an_error(tmp_path):
    with pytest.raises(CheckpointError, match="a folder"):
        Journal(tmp_path)


def test_an_event_that_cannot_be_written_is_a_disk_error(tmp_path):
    with pytest.raises(DiskError):
        Journal(tmp_path / "missing" / "journal.jsonl").append(EVENTS[0])


@pytest.mark.parametrize(
    "value",
    [(1, 2), {1: 2}, [(1,)], math.nan, math.inf, -math.inf],
    ids=["tuple", "key", "inner tuple", "nan", "inf", "-inf"],
)
def test_an_event_that_json_would_change_is_refused_and_not_written(path, value):
    journal = Journal(path)
    journal.append(EVENTS[0])
    with pytest.raises(ValueError, match="JSON"):
        journal.append({"kind": "proposed", "value": value})
    assert journal.events() == EVENTS[:1]


FINITE = st.floats(allow_nan=False, allow_infinity=False)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | FINITE | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
MAPPINGS = st.dictionaries(st.text(), PLAIN, max_size=3)
COUNTS = st.integers(0, 2**63)
PROPOSALS = st.builds(Proposal, COUNTS, MAPPINGS, MAPPINGS, COUNTS, parent=st.none() | COUNTS)
TRIALS = st.builds(
    Trial,
    number=COUNTS,
    values=MAPPINGS,
    point=MAPPINGS,
    seed=COUNTS,
    status=st.sampled_from(["completed", "diverged", "pruned"]),
    score=FINITE,
    epochs=COUNTS,
    seconds=FINITE,
    weights=COUNTS,
    folder=st.text(),
    cause=st.text(),
    metrics=st.dictionaries(st.text(), st.floats(allow_nan=False)),
    weights_sha256=st.text(),
    parent=st.none() | COUNTS,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(proposal=PROPOSALS, trial=TRIALS)
def test_records_come_back_from_the_disk_as_they_were(tmp_path, proposal, trial):
    path = tmp_path / "journal.jsonl"
    path.unlink(missing_ok=True)
    written(path, [event_from("proposed", proposal), event_from("finished", trial)])
    first, second = Journal(path).events()
    assert (first["kind"], second["kind"]) == ("proposed", "finished")
    # Their text too: 1 == 1.0 == True, and 0.0 == -0.0.
    assert repr(proposal_from_event(first)) == repr(proposal)
    assert repr(trial_from_event(second)) == repr(trial)


def test_the_metrics_of_a_diverged_training_keep_what_json_has_no_number_for(path):
    metrics = {"loss": math.nan, "val_loss": math.inf, "val_mae": -math.inf, "r2": 0.1}
    trial = Trial(1, {}, {}, 0, "diverged", 1e30, 1, 0.1, 10, "", metrics=metrics)
    written(path, [event_from("finished", trial)])
    (event,) = read_events(path)
    assert repr(trial_from_event(event).metrics) == repr(metrics)


def test_an_event_may_lack_what_has_a_default_and_nothing_else():
    event = event_from("proposed", Proposal(1, {}, {}, 2))
    del event["parent"]
    assert proposal_from_event(event) == Proposal(1, {}, {}, 2)
    del event["epochs"], event["point"]
    with pytest.raises(CheckpointError, match="a proposal, got no point and no epochs"):
        proposal_from_event(event)
    with pytest.raises(CheckpointError, match="expected a trial"):
        trial_from_event({"kind": "started"})


def test_a_process_killed_while_it_appends_loses_its_last_line_at_most(path):
    script = (
        "import itertools, os, sys; from pathlib import Path\n"
        "from kfc.tuning.journal import Journal\n"
        "journal = Journal(Path(sys.argv[1])); first = len(journal.events())\n"
        "for number in itertools.count(first):\n"
        "    journal.append({'number': number, 'text': 'x' * 5000})\n"
        "    os.write(1, b'.')\n"
    )
    known = 0
    for delay in (0.0, 0.02, 0.05):
        child = subprocess.Popen(
            [sys.executable, "-c", script, str(path)], stdout=subprocess.PIPE
        )
        child.stdout.read(1)
        time.sleep(delay)
        os.kill(child.pid, signal.SIGKILL)
        appended = known + 1 + len(child.communicate()[0])
        numbers = [event["number"] for event in Journal(path).events()]
        assert numbers == list(range(len(numbers)))
        assert appended <= len(numbers) <= appended + 1
        known = len(numbers)


def flipped(data, place, flip):
    return data[:place] + bytes([data[place] ^ flip]) + data[place + 1 :]
