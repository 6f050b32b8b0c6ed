import time

import pytest

from kfc.runs.phases import Phases
from kfc.system import tensorflow_startup


@pytest.fixture
def import_took_two_seconds(monkeypatch):
    monkeypatch.setattr(tensorflow_startup, "import_seconds", 2.0)


def test_phases_begin_with_the_import_and_follow_each_other(import_took_two_seconds):
    began, phases = time.perf_counter(), Phases()
    for name in ("import", "data", "train"):
        time.sleep(0.01)
        phases.end(name)
    assert list(phases.seconds) == ["import", "data", "train"]
    assert phases.seconds["import"] >= 2.01
    took = time.perf_counter() - began + 2
    assert sum(phases.seconds.values()) == pytest.approx(took, abs=0.005)
