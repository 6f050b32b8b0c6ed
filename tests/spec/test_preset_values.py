"""Presets: which values they fill in, and which of the user's win, on a preset of the test."""

import pickle

import numpy as np
import pytest

import kfc
from kfc.errors import SpecError
from kfc.runs.plan import prepare_data
from kfc.spec import (
    Spec,
    dump_spec,
    load_spec,
    preset_names,
    preset_text,
    preset_values,
    read_yaml,
    settle_preset,
)
from kfc.tuning.space import Space

OWN = """# A preset of this test.
common:
  data: {scale: robust_clip, validation: 0.2, categories: {encoder: one_hot}}
  network: {hidden: [64, 64], dropout: 0.25}
  training:
    optimizer:
      name: adam
      beta_2: 0.95
      learning_rate: {name: cosine, initial_learning_rate: 0.02, alpha: 0.5}
    epochs: 3
    early_stopping: {monitor: val_loss, patience: 7}
classification:
  network: {activation: {name: selu}}
  training: {loss: {name: categorical_crossentropy, label_smoothing: 0.1}, batch_size: 16}
regression:
  training: {optimizer: {beta_1: 0.8}}
probabilities:
  training: {loss: {name: cross_entropy}}
"""


@pytest.fixture(autouse=True)
def own(tmp_path, monkeypatch):
    """A folder of presets that has `own` alone."""
    folder = tmp_path / "presets"
    folder.mkdir()
    (folder / "own.yaml").write_text(OWN)
    monkeypatch.setattr(preset_values, "FOLDER", folder)


def loaded(overrides=None, **sections):
    return load_spec({"preset": "own", **sections}, overrides)


def findings(spec, overrides=None):
    with pytest.raises(SpecError) as caught:
        load_spec(spec, overrides)
    return {found.where: found for found in caught.value.findings}


# --- values -------------------------------------------------------------------------------


def test_keys_that_are_left_out_are_filled_in_and_the_others_are_not():
    spec = loaded(network={"hidden": [8]}, training={"epochs": 20}, data={"scale": None})
    assert [layer.units for layer in spec.network.layers()] == [8]
    assert (spec.network.dropout, spec.training.epochs) == (0.25, 20)
    assert (spec.data.scale, spec.data.validation) == (None, 0.2)
    assert spec.training.early_stopping.patience == 7


def test_null_is_a_value_of_the_user():
    assert loaded(training={"early_stopping": None}).training.early_stopping is None


def test_mappings_without_a_name_are_filled_in_key_by_key():
    spec = loaded(
        data={"categories": {"min_count": 3}}, training={"early_stopping": {"patience": 1}}
    )
    assert (spec.data.categories.encoder, spec.data.categories.min_count) == ("one_hot", 3)
    assert spec.training.early_stopping.monitor == "val_loss"
    assert spec.training.early_stopping.patience == 1


@pytest.mark.parametrize("optimizer", ["adam", {"name": "adam"}])
def test_a_component_with_its_name_replaces_that_of_the_preset(optimizer):
    options = loaded(training={"optimizer": optimizer}).training.optimizer.options
    assert (options["beta_2"], options["learning_rate"]) == (0.999, 0.001)


@pytest.mark.parametrize("place", ["spec", "overrides"])
def test_one_option_keeps_the_rest_of_the_component(place):
    rate = {"training.optimizer.learning_rate": 0.5}
    said = {"training": {"optimizer": {"learning_rate": 0.5}}}
    spec = loaded(rate) if place == "overrides" else loaded(**said)
    assert spec.training.optimizer.name == "adam"
    assert spec.training.optimizer.options["beta_2"] == 0.95
    assert spec.training.optimizer.options["learning_rate"] == 0.5


def test_one_key_of_a_schedule_keeps_its_others():
    spec = loaded({"training.optimizer.learning_rate.initial_learning_rate": 0.5})
    schedule = spec.training.optimizer.schedule()
    assert (schedule.initial_learning_rate, schedule.alpha) == (0.5, 0.5)


def test_the_task_adds_its_values_once_it_is_known():
    spec = loaded({"training.optimizer.learning_rate": 0.5})
    classes, numbers = (settle_preset(spec, classification=known) for known in (True, False))
    assert spec.preset == "own"
    assert (classes.preset, classes.said, numbers.preset) == (None, None, None)
    assert (spec.training.batch_size, classes.training.batch_size) == (32, 16)
    assert (classes.network.activation.name, numbers.network.activation.name) == (
        "selu",
        "relu",
    )
    assert numbers.training.loss is None
    assert numbers.training.optimizer.options["beta_1"] == 0.8
    for settled in (classes, numbers):
        assert settled.training.optimizer.options["beta_2"] == 0.95
        assert settled.training.optimizer.options["learning_rate"] == 0.5


def test_a_task_that_the_spec_says_is_known_at_once_and_may_still_change():
    spec = loaded(data={"task": "classification"})
    assert spec.training.batch_size == 16
    other = load_spec(spec, {"data.task": "regression"})
    assert (other.training.batch_size, other.training.loss) == (32, None)


def test_a_spec_that_is_made_directly_is_filled_in_too():
    spec = kfc.Spec(preset="own", training={"optimizer": {"learning_rate": 0.5}})
    assert spec.training.optimizer.options["beta_2"] == 0.95
    assert settle_preset(spec, classification=True).network.activation.name == "selu"


@pytest.mark.parametrize(
    "said",
    [
        {"search": {"objective": "val_auc"}},
        {"training": {"early_stopping": {"monitor": "val_log_loss"}}},
        {"training": {"callbacks": [{"name": "best_weights", "monitor": "val_auc"}]}},
    ],
)
def test_a_metric_of_probabilities_takes_the_values_for_them(said):
    values = {"preset": "own", "data": {"task": "classification"}, **said}
    assert preset_values.with_preset(values)["training"]["loss"] == {"name": "cross_entropy"}


def test_other_metrics_and_other_tasks_do_not_take_the_values_for_probabilities():
    values = {"preset": "own", "data": {"task": "classification"}}
    plain = preset_values.with_preset(values)["training"]["loss"]
    assert plain == {"name": "categorical_crossentropy", "label_smoothing": 0.1}
    numbers = {"data": {"task": "regression"}, "search": {"objective": "val_log_loss"}}
    assert "loss" not in preset_values.with_preset({"preset": "own", **numbers})["training"]


def test_a_loss_of_the_user_wins_over_the_values_for_probabilities():
    loss = {"name": "categorical_crossentropy", "label_smoothing": 0.3}
    training = {"loss": loss, "early_stopping": {"monitor": "val_auc"}}
    values = {"preset": "own", "data": {"task": "classification"}, "training": training}
    assert preset_values.with_preset(values)["training"]["loss"] == loss


# --- a spec with a preset as a value --------------------------------------------------------


def test_a_spec_with_a_preset_is_equal_after_it_was_written_or_pickled(again):
    spec = loaded(training={"epochs": 20})
    assert settle_preset(again(spec), classification=True) == settle_preset(
        spec, classification=True
    )
    carried = pickle.loads(pickle.dumps(spec))
    assert (carried, carried.said) == (spec, spec.said)


def test_values_that_model_copy_replaced_are_kept():
    spec = loaded().model_copy(update={"seed": 5})
    network = spec.network.model_copy(update={"dropout": 0.5})
    settled = settle_preset(spec.model_copy(update={"network": network}), classification=True)
    assert (settled.seed, settled.network.dropout) == (5, 0.5)
    assert settled.training.batch_size == 16


# --- errors -------------------------------------------------------------------------------


def test_an_unknown_name_is_refused_with_the_nearest_one():
    found = findings({"preset": "owm"})["preset"]
    assert found.got == "'owm'"
    assert "Did you mean 'own'?" in found.remedy
    with pytest.raises(SpecError, match="Known: own"):
        preset_text("other")


def test_an_error_has_the_line_of_the_user_or_the_name_of_the_preset(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text(
        "preset: own\ntraining:\n  optimizer: {lr: 1}\n  callbacks: [best_weights]"
    )
    found = findings(path)
    assert found["training.optimizer.lr"].line == f"{path}, line 3"
    assert found["training.callbacks[0].name"].line == f"{path}, line 4"
    path.write_text("preset: own\ndata:\n  validation: 0")
    assert findings(path)["training.early_stopping.monitor"].line == "preset own"


# --- data ---------------------------------------------------------------------------------


def rows(classes=True):
    random = np.random.default_rng(0)
    x = random.normal(size=(60, 3)).astype(np.float32)
    return x, (x[:, 0] > 0).astype(int) if classes else x[:, 0] * 2.5


@pytest.mark.parametrize(("classes", "activation"), [(True, "selu"), (False, "relu")])
def test_the_data_decide_the_task_and_the_resolved_spec_repeats_it(classes, activation):
    resolved, _ = prepare_data(loaded(), rows(classes))
    assert (resolved.preset, resolved.network.activation.name) == (None, activation)
    assert (resolved.data.scale, resolved.data.validation) == ("robust_clip", 0.2)
    again, _ = prepare_data(
        load_spec(read_yaml(dump_spec(resolved), "").values), rows(classes)
    )
    assert again == resolved


def test_a_share_of_the_preset_is_for_data_without_validation_rows():
    x, y = rows()
    data = {"train": (x[:40], y[:40]), "validation": (x[40:50], y[40:50]), "test": (x, y)}
    assert prepare_data(loaded(), data)[0].data.validation == "own"
    with pytest.raises(kfc.DataError, match="one place from which validation rows come"):
        prepare_data(loaded({"data.validation": 0.2}), data)


def test_a_run_has_the_values_and_no_preset_and_repeats_without_it(tmp_path):
    run = kfc.fit(loaded(name="first"), data=rows(), runs=tmp_path, verbose=False)
    assert (run.spec.preset, run.spec.training.batch_size) == (None, 16)
    again = kfc.fit(run.folder / "spec.yaml", data=rows(), runs=tmp_path, verbose=False)
    assert again.weights_sha256 == run.weights_sha256


def test_an_untrained_network_has_the_values_of_its_task():
    network = kfc.build(loaded(), input_shape=(4,), classes=3)
    assert network.get_layer("hidden_1").units == 64
    assert "selu" in str([layer.get_config().get("activation") for layer in network.layers])


def test_a_search_wins_over_the_preset():
    space = {
        "training.optimizer.learning_rate": {"low": 0.01, "high": 0.1},
        "network.dropout": {"low": 0.0, "high": 0.5},
    }
    spec = loaded(search={"space": space})
    assert Space.of(spec).baseline["network.dropout"] == 0.25
    resolved, _ = prepare_data(spec, rows())
    trial = Space.of(resolved).trial_spec(
        {"network.dropout": 0.4, "training.optimizer.learning_rate": 0.05}
    )
    assert (trial.network.dropout, trial.training.batch_size) == (0.4, 16)
    assert trial.training.optimizer.options["learning_rate"] == 0.05
    assert trial.training.optimizer.options["beta_2"] == 0.95


# --- the presets of kfc ---------------------------------------------------------------------


@pytest.fixture
def of_kfc(monkeypatch):
    monkeypatch.undo()
    return {name: read_yaml(preset_text(name), name).values for name in preset_names()}


def test_the_presets_of_kfc_are_listed_in_the_schema(of_kfc):
    assert list(of_kfc) == ["realmlp", "realmlp_s", "tabm"]
    assert Spec.model_json_schema()["properties"]["preset"]["enum"] == [*of_kfc, None]


def test_a_preset_has_known_sections_and_its_data_do_not_depend_on_the_task(of_kfc):
    for name, sections in of_kfc.items():
        assert {*sections} <= {"common", "classification", "regression", "probabilities"}, name
        for section, parts in sections.items():
            assert section == "common" or "data" not in parts
            assert {*parts} <= {"data", "network", "training"}, (name, section)


@pytest.mark.parametrize("classification", [True, False])
def test_a_preset_of_kfc_is_a_valid_spec_for_each_task(of_kfc, classification):
    for name in of_kfc:
        settled = settle_preset(load_spec({"preset": name}), classification=classification)
        assert settled.data.validation == 0.2
        assert load_spec(read_yaml(dump_spec(settled), "").values) == settled
