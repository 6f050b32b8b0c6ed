import pytest
import tensorflow as tf

from kfc.spec import load_spec
from kfc.system import Cluster
from kfc.training.distributing import OneReplica, choose_distribution, replicas_for

CLUSTER = Cluster(("10.0.0.1:2222", "10.0.0.2:2222"), 0)


def chosen(cluster=None, **overrides):
    return choose_distribution(load_spec("digits", overrides), cluster)


def several_gpus(kind):
    return ["a", "b"] if kind == "GPU" else ["a"]


def test_auto_takes_the_processes_then_the_gpus_then_nothing(monkeypatch):
    assert chosen() == "none"
    assert chosen(CLUSTER) == "multi_worker"
    monkeypatch.setattr(tf.config, "list_physical_devices", several_gpus)
    assert chosen() == "mirrored"
    assert chosen(CLUSTER) == "multi_worker"


def test_auto_takes_one_gpu_for_a_spec_that_several_cannot_train(monkeypatch):
    monkeypatch.setattr(tf.config, "list_physical_devices", several_gpus)
    assert chosen(**{"network.normalization": "batch"}) == "none"
    assert chosen(**{"training.engine": "xla"}) == "none"


@pytest.mark.parametrize("how", ["none", "mirrored", "multi_worker"])
def test_what_the_spec_says_is_chosen(how):
    assert chosen(CLUSTER, **{"training.distribute": how}) == how


@pytest.mark.parametrize("how", ["none", "mirrored", "multi_worker"])
def test_one_device_of_one_process_is_one_replica(how, monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    spec = load_spec("digits", {"training.distribute": how})
    assert type(replicas_for(spec)) is OneReplica
