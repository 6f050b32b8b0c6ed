"""The one plan of a training, and how often a spec is validated on the way to it."""

import ast
import dataclasses
import functools
from pathlib import Path

import keras
import numpy as np
import pytest

import kfc
from kfc.cli import app
from kfc.data import Source
from kfc.data.rows import Rows
from kfc.runs import plan as plan_module
from kfc.runs.plan import make_plan, plan_training, prepare_data
from kfc.spec import Spec, load_spec
from kfc.tuning.space import Space
from kfc.tuning.trial import Proposal
from kfc.tuning.trial_runner import Job, Preparer, TrialRunner

IRIS = {
    "name": "iris",
    "data": {"source": "sklearn:iris"},
    "network": {"hidden": [4]},
    "training": {"epochs": 1},
}
RATE = "training.optimizer.learning_rate"
AUTOS = ("task", "pixels", "validation")


@pytest.fixture
def validations(monkeypatch):
    """Lists each validation of a whole spec."""
    made, validate = [], Spec.model_validate.__func__

    def counted(cls, *arguments, **options):
        if cls is Spec:
            made.append(arguments)
        return validate(cls, *arguments, **options)

    monkeypatch.setattr(Spec, "model_validate", classmethod(counted))
    return made


@pytest.fixture
def planned(monkeypatch):
    """Lists the resolved spec of each plan that is made, wherever it is called."""
    made, plan = [], plan_module.plan_training

    def listed(*arguments, **options):
        result = plan(*arguments, **options)
        made.append(result.spec)
        return result

    monkeypatch.setattr(plan_module, "plan_training", listed)
    monkeypatch.setattr("kfc.tuning.trial_runner.plan_training", listed)
    return made


def trial(folder, **overrides):
    """Returns the training of a trial of a search over the learning rate, in a folder."""
    searched = {"search.space": {RATE: {"low": 1e-3, "high": 1.0, "log": True}}}
    spec = load_spec(IRIS, searched | overrides)
    preparer = Preparer()
    space = Space.of(prepare_data(spec, preparer=preparer)[0])
    runner = TrialRunner(space, "val_loss", folder, preparer)
    job = Job(Proposal(1, {RATE: 0.1}, {RATE: 0.1}, 1), seed=0, folder="trials/0001")
    return functools.partial(runner.run, job)


@pytest.fixture
def run_trial(tmp_path):
    """Trains a trial in `tmp_path`."""
    return trial(tmp_path)


@pytest.fixture(scope="module")
def resumable(tmp_path_factory):
    """The folder of a run that was interrupted before its first epoch."""

    class Impatient(keras.callbacks.Callback):
        called_every = None

        def on_epoch_begin(self, epoch, logs=None):
            raise KeyboardInterrupt

    runs = tmp_path_factory.mktemp("interrupted")
    with pytest.raises(KeyboardInterrupt):
        kfc.fit(IRIS, callbacks=[Impatient()], runs=runs, verbose=False)
    (folder,) = runs.iterdir()
    return folder, Impatient


# Resolving


def test_a_plan_has_no_auto_left():
    plan = make_plan(IRIS)
    assert all(getattr(plan.spec.data, key) is not None for key in AUTOS)
    assert plan.spec.data.stream == "never"
    assert plan.spec.training.engine == "graph"
    assert plan.spec.training.loss.name == "cross_entropy"


FROM_ROWS = {
    "network.init": "unit_variance",
    "network.bias_init": "he_plus_5",
    "network.output_bias_init": "he_plus_5",
}


def test_a_plan_starts_from_weights_of_its_training_rows():
    plan = make_plan(IRIS, FROM_ROWS)
    x = plan.prepared.train.x
    for name in ("hidden_1", "logits"):
        layer = plan.network.get_layer(name)
        inputs = keras.Model(plan.network.inputs[0], layer.input)(x)
        z = inputs.numpy().astype(np.float64) @ layer.kernel.numpy()
        np.testing.assert_allclose(z.std(axis=0), 1, rtol=1e-6)
        assert layer.bias.numpy().all()


def test_a_trial_starts_from_weights_of_its_training_rows(tmp_path, monkeypatch):
    started = []
    monkeypatch.setattr(
        plan_module,
        "initialize_from_rows",
        lambda network, spec, rows: started.append((spec.network.init.name, len(rows))),
    )
    trial(tmp_path, **FROM_ROWS)()
    assert started == [("unit_variance", 108)]


def test_a_run_that_is_loaded_does_not_start_from_rows_again(tmp_path, monkeypatch):
    run = kfc.fit(IRIS, overrides=FROM_ROWS, runs=tmp_path, verbose=False)
    monkeypatch.delattr(plan_module, "initialize_from_rows")
    assert kfc.load(run.folder).weights_sha256 == run.weights_sha256


def test_the_plan_of_a_resolved_spec_is_the_same():
    plan = make_plan(IRIS, {"seed": 3, **FROM_ROWS})
    again = make_plan(plan.spec)
    assert again.spec == plan.spec
    assert again.memory_bytes > 0
    for one, other in zip(
        plan.network.get_weights(), again.network.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(one, other)


def test_a_resolved_spec_is_valid():
    spec = make_plan(IRIS).spec
    assert load_spec(spec.model_dump(mode="json")) == spec


def test_a_plan_of_rows_in_memory_names_no_source():
    plan = make_plan(IRIS, data=(np.eye(40, 4), np.arange(40) % 2))
    assert plan.spec.data.source is None
    assert plan.network.output_shape == (None, 2)


def test_class_weights_are_part_of_the_planned_rows():
    plan = make_plan(IRIS, {"training.class_weight": {"setosa": 2.0}})
    train = plan.prepared.train
    np.testing.assert_array_equal(train.sample_weight, np.where(train.y == 0, 2.0, 1.0))


def test_the_callers_callbacks_have_a_say_in_the_engine():
    class EachStep(keras.callbacks.Callback):
        called_every = 1

    long = {"training.epochs": 10**6}
    callback = EachStep()
    assert make_plan(IRIS, long).spec.training.engine == "xla"
    plan = make_plan(IRIS, long, callbacks=callback)
    assert (plan.spec.training.engine, plan.callbacks) == ("graph", [callback])


def test_a_preparer_replaces_the_reading_of_the_source():
    source = Source(Rows(np.random.default_rng(0).random((60, 2)), np.arange(60) % 3))
    plan = make_plan(IRIS, preparer=Preparer(source))
    assert plan.prepared.task.input_shape == (2,)
    assert plan.spec.data.source == "sklearn:iris"


def test_a_metric_that_only_the_data_rule_out_is_refused_before_the_network():
    stopping = {"training.early_stopping": {"monitor": "val_r2"}}
    with pytest.raises(
        kfc.SpecError, match="a recorded metric of a classification"
    ) as refused:
        prepare_data(load_spec(IRIS, stopping))
    assert [f.where for f in refused.value.findings] == ["training.early_stopping.monitor"]


def test_a_plan_cannot_be_changed():
    plan = make_plan(IRIS)
    with pytest.raises(dataclasses.FrozenInstanceError):
        plan.spec = load_spec(IRIS)
    assert plan_training(plan.spec, plan.prepared).spec == plan.spec


# One plan for all


def test_fit_trains_the_one_plan(planned, tmp_path):
    run = kfc.fit(IRIS, runs=tmp_path, verbose=False)
    assert planned == [run.spec]


def test_resume_trains_the_one_plan(resumable, planned):
    folder, impatient = resumable
    with pytest.raises(KeyboardInterrupt):
        kfc.resume(folder, callbacks=[impatient()], verbose=False)
    assert planned == [load_spec(folder / "spec.yaml")]


def test_a_trial_trains_the_one_plan(run_trial, planned, tmp_path):
    assert run_trial().status == "completed"
    assert planned == [load_spec(tmp_path / "trials" / "0001" / "spec.yaml")]


def test_verify_compares_the_one_plan(planned):
    assert kfc.verify(IRIS, steps=2).passed
    assert len(planned) == 1


def test_eject_writes_the_one_plan(planned):
    assert "sha256" in kfc.eject(IRIS)
    assert len(planned) == 1


STEPS = {"bind_plugins", "choose_engine", "default_loss", "weighted"}


def test_no_other_module_repeats_a_step_of_the_plan():
    callers = {
        f"{path.parent.name}/{path.name}"
        for path in Path(kfc.__file__).parent.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.ImportFrom) and STEPS & {name.name for name in node.names}
    }
    assert callers == {"runs/plan.py"}


# One validation


def test_fit_validates_a_spec_once(validations, tmp_path):
    kfc.fit(IRIS, runs=tmp_path, verbose=False)
    assert len(validations) == 1


def test_fit_does_not_validate_a_spec_again(validations, tmp_path):
    spec = load_spec(IRIS)
    validations.clear()
    kfc.fit(spec, runs=tmp_path, verbose=False)
    assert validations == []


@pytest.mark.parametrize("command", ["fit", "verify", "eject"])
def test_a_command_validates_its_spec_once(command, validations, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = {"fit": ["--quiet"], "verify": ["--quiet", "--steps", "2"], "eject": []}
    with pytest.raises(SystemExit) as ended:
        app.main([command, "digits", "training.epochs=1", *options[command]])
    assert ended.value.code in (0, None)
    assert len(validations) == 1


def test_a_trial_validates_its_spec_once(run_trial, validations):
    assert run_trial().status == "completed"
    assert len(validations) == 1


def test_resume_validates_the_spec_of_a_run_once(resumable, validations):
    folder, impatient = resumable
    with pytest.raises(KeyboardInterrupt):
        kfc.resume(folder, callbacks=[impatient()], verbose=False)
    assert len(validations) == 1
