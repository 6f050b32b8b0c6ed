import json

import keras
import numpy as np
import pytest
import tensorflow as tf

from kfc.data import prepare
from kfc.data.tables import file_sample
from kfc.errors import DataError
from kfc.explaining.sampling import MOST_ROWS, RowSample, sample_of
from kfc.network import build
from kfc.spec import load_spec


@pytest.mark.parametrize("name", ["digits", "breast_cancer", "diabetes", "wine", "iris"])
@pytest.mark.parametrize("scale", ["unit", "standard", "none"])
def test_rows_of_scikit_learn_are_those_of_a_training(name, scale):
    data = {"source": f"sklearn:{name}", "scale": scale}
    spec = load_spec({"data": data, "accept": ["unscaled_input"]})
    found = sample_of(spec)
    whole = {**data, "test": "none", "validation": 0.0}
    prepared = prepare(load_spec({"data": whole, "accept": ["unscaled_input"]}))
    task = prepared.task
    np.testing.assert_allclose(found.x, task.scaling.apply_float64(prepared.train.x))
    y = prepared.train.y
    expected = y if task.classification else task.target_scaling.apply_float64(y)
    np.testing.assert_allclose(found.y, expected)
    assert found.classes == len(task.class_names)
    assert found.num_rows == len(prepare(spec).train)


@pytest.mark.parametrize("validation", [None, 0.3])
@pytest.mark.parametrize("test", [None, "none"])
def test_the_number_of_training_rows_is_that_of_a_training(validation, test):
    x = np.random.default_rng(0).normal(size=(211, 4))
    data = {"validation": validation, "test": test}
    spec = load_spec({"data": {k: v for k, v in data.items() if v is not None}})
    rows = (x, np.arange(211) % 3)
    assert sample_of(spec, rows).num_rows == len(prepare(spec, rows).train)


def test_a_sample_of_many_rows_is_evenly_spaced():
    x = np.arange(9000.0).reshape(-1, 1)
    found = sample_of(load_spec({"data": {"scale": "none"}}), (x, x[:, 0] * 0.5))
    assert len(found.x) == MOST_ROWS
    assert (found.x[0, 0], found.x[-1, 0]) == (0, 8999)
    few, targets = found.spaced(5)
    assert len(few) == len(targets) == 5


def test_a_table_of_numbers_is_sampled():
    rows = {"a": np.arange(50.0) % 7, "b": np.arange(50.0) % 5, "target": np.arange(50) % 2}
    found = sample_of(load_spec({"data": {"target": "target"}}), rows)
    assert isinstance(found, RowSample)
    assert found.x.std() == pytest.approx(1.0, abs=0.05)


@pytest.fixture
def large_csv(tmp_path, monkeypatch):
    """Writes a CSV file, whose rows are given, that is too large to be read."""
    monkeypatch.setattr(file_sample, "_LARGE", 1 << 17)
    monkeypatch.setattr(file_sample, "_BLOCK", 1 << 12)

    def spec(rows):
        path = tmp_path / "rows.csv"
        path.write_text("size,kind,target\n" + "".join(rows), "utf-8")
        return load_spec({"data": {"source": f"csv:{path}", "target": "target"}})

    return spec


def test_a_large_table_is_sampled_and_its_rows_are_estimated(large_csv):
    rows = (f"{n % 977},{'abc'[n % 3]},{'yes' if n % 2 else 'no'}\n" for n in range(40_000))
    spec = large_csv(rows)
    found = sample_of(spec)
    assert found.origin.startswith("2,000 of about ")
    assert found.num_rows == pytest.approx(len(prepare(spec).train), rel=0.05)
    assert found.x.shape == (MOST_ROWS, 4)
    assert found.x[:, 0].std() == pytest.approx(1.0, abs=0.05)


def test_a_table_is_read_whole_where_its_sample_would_be_refused(large_csv):
    rows = [f"{n % 977},{'abc'[n % 3]},no\n" for n in range(40_000)]
    rows[1000:1100] = [row.replace("no", "yes") for row in rows[1000:1100]]
    spec = large_csv(rows)  # the class is between two of the blocks that are read
    sample = sample_of(spec)
    assert (sample.classes, sample.origin) == (2, "2,000 of 40,000 rows")


def test_data_without_rows_for_a_prediction_say_why():
    assert "no data.source" in sample_of(load_spec({}))
    other = load_spec({"data": {"source": "tfds:no_such_set"}})
    assert "only prepared pictures" in sample_of(other)


def test_data_that_a_training_refuses_are_refused():
    with pytest.raises(DataError, match="finite"):
        sample_of(load_spec({}), (np.array([[1.0], [np.nan]]), [0, 1]))


@pytest.mark.parametrize("codes", ["one_hot", "embedding"])
def test_the_inputs_of_a_table_are_those_of_its_network(codes):
    generator = np.random.default_rng(0)
    table = {
        "size": generator.normal(size=120),
        "kind": [f"kind {n % 7}" for n in range(120)],
        "plan": ["a", "b"] * 60,
        "target": np.arange(120) % 3,
    }
    changes = {"data.target": "target", "data.test": "none", "data.validation": 0.0}
    if codes == "embedding":
        changes["data.categories.encoder"] = "embedding"
    spec = load_spec({}, changes)
    found, prepared = sample_of(spec, table), prepare(spec, table)
    network = build(spec, prepared.task)
    first = keras.Model(network.inputs, network.get_layer("hidden_1").input)
    expected = first.predict(prepared.train.x, verbose=0)
    np.testing.assert_allclose(found.x, expected, atol=1e-5)
    embedded = [w for w in network.weights if "embedding" in w.path]
    assert found.embedding_weights == sum(int(np.prod(w.shape)) for w in embedded)
    assert bool(embedded) == (codes == "embedding")


def test_prepared_pictures_are_read_without_tensorflow(tmp_path, monkeypatch):
    write_pictures(tmp_path / "shapes" / "1.0.0", rows=30)
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    spec = load_spec({"data": {"source": "tfds:shapes"}})
    found = sample_of(spec)
    assert found.x.shape == (30, 12)
    assert found.x[7, 0] == pytest.approx(7 / 255)
    assert list(found.y[:4]) == [0, 1, 2, 0]
    assert found.classes == 3
    assert found.num_rows == 27  # the set has test rows, and a tenth is for validation
    damaged = tmp_path / "shapes" / "1.0.0" / "shapes-train.tfrecord-00000-of-00001"
    damaged.write_bytes(damaged.read_bytes()[:40])
    assert "only prepared pictures" in sample_of(spec)


def write_pictures(folder, rows):
    """Writes a set as tensorflow-datasets prepares it: pictures of 4 x 3 pixels."""
    folder.mkdir(parents=True)
    size = {"dimensions": ["4", "3", "1"]}
    features = {
        "image": {"image": {"dtype": "uint8", "shape": size}},
        "label": {"classLabel": {"numClasses": "3"}},
    }
    keys = {"tuple": {"items": [{"featureKey": "image"}, {"featureKey": "label"}]}}
    splits = [{"name": name, "shardLengths": [str(rows)]} for name in ("train", "test")]
    info = {"fileFormat": "tfrecord", "splits": splits, "supervisedKeys": keys}
    (folder / "dataset_info.json").write_text(json.dumps(info), "utf-8")
    named = {"featuresDict": {"features": features}}
    (folder / "features.json").write_text(json.dumps(named), "utf-8")
    file = folder / f"{folder.parent.name}-train.tfrecord-00000-of-00001"
    with tf.io.TFRecordWriter(str(file)) as writer:
        for row in range(rows):
            picture = tf.io.encode_png(np.full((4, 3, 1), row, np.uint8)).numpy()
            image = tf.train.Feature(bytes_list=tf.train.BytesList(value=[picture]))
            label = tf.train.Feature(int64_list=tf.train.Int64List(value=[row % 3]))
            both = tf.train.Features(feature={"image": image, "label": label})
            writer.write(tf.train.Example(features=both).SerializeToString())
