"""The manifests of `examples/cluster` fit the published schemas, and their commands run."""

import os
import re
import subprocess
from pathlib import Path

import pytest
from kubeflow_trainer_api import models
from ruamel.yaml import YAML

from kfc.system import read_cluster

FOLDER = Path(__file__).parent.parent / "examples" / "cluster"
KINDS = {
    "Job": models.IoK8sApiBatchV1Job,
    "Service": models.IoK8sApiCoreV1Service,
    "TrainJob": models.TrainerV1alpha1TrainJob,
    "TrainingRuntime": models.TrainerV1alpha1TrainingRuntime,
}
SHOW = '#!/bin/sh\necho "$TF_CONFIG"\necho "$@"\n'


def documents(name):
    return [dict(each) for each in YAML(typ="safe").load_all((FOLDER / name).read_text())]


def containers(value):
    """Yields each mapping with a command, wherever it is in a manifest."""
    if isinstance(value, dict):
        if "command" in value:
            yield value
        for each in value.values():
            yield from containers(each)
    elif isinstance(value, list):
        for each in value:
            yield from containers(each)


def lost(given, kept, where=""):
    """Yields the path of each key that a schema does not have."""
    if isinstance(given, dict):
        for key, value in given.items():
            if key not in kept:
                yield f"{where}.{key}"
            else:
                yield from lost(value, kept[key], f"{where}.{key}")
    elif isinstance(given, list):
        for number, value in enumerate(given):
            yield from lost(value, kept[number], f"{where}[{number}]")


@pytest.mark.parametrize("name", ["kubernetes_job.yaml", "kubeflow_trainjob.yaml"])
def test_a_manifest_fits_its_schema(name):
    for document in documents(name):
        kind = KINDS[document["kind"]]
        known = kind.from_dict(document)
        assert known is not None
        assert list(lost(document, known.to_dict())) == []


@pytest.mark.parametrize("name", ["kubernetes_job.yaml", "kubeflow_trainjob.yaml"])
@pytest.mark.parametrize("index", [0, 1])
def test_each_worker_of_a_manifest_knows_its_cluster(name, index, tmp_path, monkeypatch):
    (container,) = [each for part in documents(name) for each in containers(part)]
    given = {each["name"]: each["value"] for each in container["env"]}
    program = tmp_path / "kfc"
    program.write_text(SHOW)
    program.chmod(0o755)
    done = subprocess.run(
        [str(FOLDER / "worker.sh"), *container["command"][1:]],
        env={**os.environ, **given, "JOB_COMPLETION_INDEX": str(index), "KFC": str(program)},
        capture_output=True,
        text=True,
        check=True,
    )
    config, arguments = done.stdout.splitlines()
    monkeypatch.setenv("TF_CONFIG", config)
    cluster = read_cluster()
    assert cluster.index == index
    assert len(cluster.addresses) == int(given["WORKERS"])
    assert arguments.startswith("fit ")
    job = next(each for each in documents(name) if each["kind"] in ("Job", "TrainJob"))
    assert all(each.startswith(job["metadata"]["name"]) for each in cluster.addresses)


def test_both_pools_of_a_vertex_job_run_the_same_command():
    (job,) = documents("vertex_custom_job.yaml")
    first, others = (each["containerSpec"] for each in job["workerPoolSpecs"])
    assert first == others
    assert job["workerPoolSpecs"][0]["replicaCount"] == 1  # the chief


@pytest.mark.parametrize("missing", ["WORKERS", "ADDRESS", "JOB_COMPLETION_INDEX"])
def test_the_script_names_the_variable_that_is_missing(missing):
    given = {"WORKERS": "2", "ADDRESS": "w-%d:1", "JOB_COMPLETION_INDEX": "0", "KFC": "true"}
    del given[missing]
    done = subprocess.run(
        [str(FOLDER / "worker.sh"), "fit"],
        env={"PATH": os.environ["PATH"], **given},
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0
    assert missing in done.stderr


def test_the_image_has_what_the_manifests_call():
    text = (FOLDER / "Dockerfile").read_text()
    copied = re.findall(r"^COPY .*?(\S+) /usr/local/bin/(\S+)$", text, re.MULTILINE)
    assert copied == [("examples/cluster/worker.sh", "kfc-worker")]
