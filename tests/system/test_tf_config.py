import json

import pytest

from kfc.errors import SpecError
from kfc.system import Cluster, config_text, read_cluster

TWO = ("10.0.0.1:2222", "10.0.0.2:2222")


@pytest.fixture
def read(monkeypatch):
    """Reads a cluster from a text or an object."""

    def with_config(config):
        text = config if isinstance(config, str) else json.dumps(config)
        monkeypatch.setenv("TF_CONFIG", text)
        return read_cluster()

    return with_config


def config(kind="worker", index=0, **jobs):
    return {"cluster": jobs, "task": {"type": kind, "index": index}}


def test_what_is_written_is_read(read):
    assert read(config_text(TWO, 1)) == Cluster(TWO, 1)


def test_the_chief_comes_before_the_workers(read):
    found = read(config("worker", 0, worker=["b:1"], chief=["a:1"]))
    assert found == Cluster(("a:1", "b:1"), 1)
    assert not found.is_chief
    assert found.name == "worker 2 of 2"


@pytest.mark.parametrize("text", ["", "  ", "{}", json.dumps(config(worker=["a:1"]))])
def test_one_task_or_none_is_no_cluster(read, text):
    assert read(text) is None


def test_an_evaluator_is_no_worker(read):
    assert read(config(worker=list(TWO), evaluator=["c:1"])) == Cluster(TWO, 0)


def test_no_variable_is_no_cluster(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    assert read_cluster() is None


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("{", "JSON"),
        ("[1]", "JSON"),
        ('{"cluster": 3}', "JSON"),
        (config(worker=["a", "b:1"]), "'a'"),
        (config(worker=[1, 2]), "worker 0: 1"),
        (config(worker=["a:1", "b:0"]), "'b:0'"),
        (config(worker=["a:65536", "b:1"]), "'a:65536'"),
        (config(worker=["a:1", "a:1"]), "twice"),
        (config(worker="a:1,b:1"), "a list of addresses"),
        (config(worker={"0": "a:1", "1": "b:1"}), "a list of addresses"),
        (config(worker=list(TWO), ps=["c:1"]), "ps"),
        (config("worker", 2, worker=list(TWO)), "index 2"),
        (config("worker", True, worker=list(TWO)), "index True"),
        (config("worker", None, worker=list(TWO)), "index None"),
        (config("chief", 0, worker=list(TWO)), "'chief'"),
    ],
)
def test_a_wrong_variable_is_refused(read, wrong, words):
    with pytest.raises(SpecError, match="TF_CONFIG") as caught:
        read(wrong)
    assert words in str(caught.value)
