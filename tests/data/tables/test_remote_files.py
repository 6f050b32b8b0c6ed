"""Tables at addresses of S3 are read as those on this machine are; the server is moto's."""

import socket
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pyarrow.fs
import pytest
from moto.server import ThreadedMotoServer

import kfc
from kfc.data.tables import parquet_parts
from kfc.data.tables.remote_files import is_remote

SPEC = {"name": "remote", "data": {"target": "target"}, "training": {"epochs": 2}}
ROWS = 240


@pytest.fixture(scope="module")
def server():
    started = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    started.start()
    yield "{}:{}".format(*started.get_host_and_port())
    started.stop()


@pytest.fixture(autouse=True)
def keys(monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def address(server, path):
    return f"s3://{path}?scheme=http&region=us-east-1&endpoint_override={server}"


@pytest.fixture(scope="module")
def folders(server, tmp_path_factory):
    """The same three files in a folder of this machine, and in a bucket."""
    local = tmp_path_factory.mktemp("local")
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "age": rng.normal(40, 9, ROWS),
            "plan": rng.choice(["free", "pro"], ROWS),
            "target": rng.choice(["leaves", "stays"], ROWS),
        }
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        uri = address(server, "bucket") + "&allow_bucket_creation=true"
        bucket, _ = pyarrow.fs.FileSystem.from_uri(uri)
        bucket.create_dir("bucket/folder")
        for number, rows in enumerate(np.array_split(np.arange(ROWS), 3)):
            frame.iloc[rows].to_parquet(local / f"part-{number}.parquet", index=False)
        pyarrow.fs.copy_files(
            str(local), "bucket/folder", pyarrow.fs.LocalFileSystem(), bucket
        )
    return local, address(server, "bucket/folder")


def fitted(source, places, **data):
    spec = {**SPEC, "data": {**SPEC["data"], "source": f"parquet:{source}", **data}}
    return kfc.fit(spec, runs=places, verbose=False)


@pytest.mark.parametrize("stream", ["never", "always"])
def test_a_training_has_the_bits_of_one_on_local_files(folders, tmp_path, stream):
    local, remote = folders
    here, there = (
        fitted(source, tmp_path / name, stream=stream)
        for name, source in (("a", local), ("b", remote))
    )
    assert here.weights_sha256 == there.weights_sha256
    assert here.data_sha256 == there.data_sha256


def test_parts_are_predicted_from_a_bucket(folders, tmp_path):
    local, remote = folders
    run = fitted(local, tmp_path)
    names = ["part-0.parquet", "part-1.parquet", "part-2.parquet"]
    for _ in range(2):  # the second time each file is there
        done = kfc.predict_parts(run, f"parquet:{remote}", tmp_path / "out", verbose=False)
        assert [part.path.name for part in done] == names
    assert all(part.skipped for part in done)
    rows = pd.read_parquet(local / names[1])
    found = pd.read_parquet(done[1].path)
    assert found["label"].tolist() == run.predict(rows).label.tolist()


@pytest.mark.parametrize(
    "place", ["gs://bucket/folder", "gcs://bucket/folder", "hdfs://head:8020/bucket/folder"]
)
def test_other_kinds_of_addresses_are_left_to_pyarrow(folders, tmp_path, monkeypatch, place):
    local, _ = folders
    asked = []

    def from_uri(uri):
        asked.append(uri)
        system = pyarrow.fs.SubTreeFileSystem(str(local.parent), pyarrow.fs.LocalFileSystem())
        return system, local.name

    # In place of the file systems of pyarrow, whose servers no test can reach.
    monkeypatch.setattr(pyarrow.fs, "FileSystem", SimpleNamespace(from_uri=from_uri))
    there = fitted(place, tmp_path / "there")
    parts = parquet_parts(place)
    monkeypatch.undo()
    assert set(asked) == {place}
    assert [str(part) for part in parts] == [f"{place}/part-{n}.parquet" for n in range(3)]
    here = fitted(local, tmp_path / "here")
    assert there.weights_sha256 == here.weights_sha256


def test_one_file_has_an_address_too(server, folders):
    (part,) = parquet_parts(address(server, "bucket/folder/part-1.parquet"))
    assert str(part) == "s3://bucket/folder/part-1.parquet"
    with part.open() as file:
        assert file.read(4) == b"PAR1"


def test_a_missing_folder_is_refused(server, only_finding):
    finding = only_finding(kfc.DataError, parquet_parts, address(server, "bucket/no"))
    assert (finding.where, finding.got) == ("s3://bucket/no", "no such file")


def test_a_key_in_an_address_is_refused_and_not_printed(server, only_finding):
    place = address(server, "me:secret@bucket/folder")
    finding = only_finding(kfc.DataError, parquet_parts, place)
    assert "secret" not in str(finding)
    assert finding.got == "one with a key"


def test_an_unknown_kind_of_address_is_refused(only_finding):
    finding = only_finding(kfc.DataError, parquet_parts, "ftp://host/folder")
    assert finding.got == "one of ftp"


def test_a_place_that_cannot_be_reached_is_refused(only_finding):
    with socket.socket() as taken:  # bound, but nobody listens
        taken.bind(("127.0.0.1", 0))
        place = address(f"127.0.0.1:{taken.getsockname()[1]}", "bucket/folder")
        finding = only_finding(kfc.DataError, parquet_parts, place)
    assert finding.where == "s3://bucket/folder"


def test_csv_files_are_read_on_this_machine(tmp_path, only_finding):
    spec = {**SPEC, "data": {"source": "csv:s3://bucket/a.csv", "target": "target"}}
    finding = only_finding(kfc.DataError, kfc.fit, spec, runs=tmp_path, verbose=False)
    assert finding.expected == "a CSV file on this machine"


@pytest.mark.parametrize("path", ["a.parquet", "/data/a", "~/a", "C:/a", "a://b/../c"])
def test_only_an_address_is_remote(path):
    assert is_remote(path) == ("://" in path)
