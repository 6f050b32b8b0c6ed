"""The private APIs of kfc's libraries are what `kfc/compat.py` says, and used there alone."""

import ast
import importlib
import inspect
import os
import pathlib
import pkgutil
import re
import socket
import subprocess
import sys
import threading

import keras
import keras_tuner
import numpy as np
import pytest
import tensorflow as tf
from keras_tuner import oracles
from tensorflow.python.eager import context

import kfc
from kfc import compat
from kfc.system import config_text

PACKAGE = pathlib.Path(kfc.__file__).parent


# --- Keras --------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["var_list", "var_names"])
def test_an_optimizer_updates_through_a_stateless_scope(how):
    kept, decayed = keras.Variable(2.0, name="kept"), keras.Variable(2.0, name="other")
    optimizer = keras.optimizers.SGD(1.0, momentum=0.5, weight_decay=0.25)
    excluded = [kept] if how == "var_list" else ["kept"]
    optimizer.exclude_from_weight_decay(**{how: excluded})
    optimizer.build([kept, decayed])
    compat.route_updates_through_scope(optimizer)
    with keras.StatelessScope() as scope:
        optimizer.apply([keras.ops.ones(())] * 2, [kept, decayed])
    after = [float(scope.get_current_value(variable)) for variable in (kept, decayed)]
    assert (after, float(kept), float(decayed)) == ([1.0, 0.5], 2.0, 2.0)
    optimizer.apply([keras.ops.zeros(())] * 2, [kept, decayed])
    assert (float(kept), float(decayed)) == (2.0, 1.5)
    assert type(optimizer) is keras.optimizers.SGD


@pytest.mark.parametrize("name", compat._SCOPE_BYPASSES)
def test_a_method_of_keras_s_optimizers_bypasses_the_scope_and_has_another_version(name):
    from keras.src.backend.tensorflow.optimizer import TFOptimizer
    from keras.src.optimizers.base_optimizer import BaseOptimizer

    assert {name in vars(TFOptimizer), name in vars(BaseOptimizer)} == {True}


def test_the_step_counter_counts_while_gradients_accumulate():
    weight = keras.Variable(1.0)
    optimizer = keras.optimizers.SGD(gradient_accumulation_steps=2)
    optimizer.apply([keras.ops.ones(())], [weight])
    assert (int(optimizer.iterations), int(compat.step_counter(optimizer))) == (0, 1)


def test_an_optimizer_finds_the_keras_variable_behind_another():
    weights = [keras.Variable(float(number)) for number in range(3)]
    optimizer = keras.optimizers.SGD()
    optimizer.build(weights)
    for weight in weights:
        assert compat.optimized_variable(optimizer, weight) is weight
        assert compat.optimized_variable(optimizer, weight.value) is weight
    compat.route_updates_through_scope(optimizer)
    assert compat.optimized_variable(optimizer, weights[1]) is weights[1]


def test_an_excluded_variable_does_not_decay():
    weights = [keras.Variable(1.0, name=name) for name in ("kernel", "bias")]
    optimizer = keras.optimizers.AdamW()
    optimizer.exclude_from_weight_decay(var_names=["bias"])
    optimizer.build(weights)
    assert [compat.is_decayed(optimizer, weight) for weight in weights] == [True, False]


def test_the_slots_of_adam_are_its_two_moments():
    weight = keras.Variable(1.0)
    optimizer = keras.optimizers.Adam(beta_1=0.5, beta_2=0.75)
    optimizer.apply([keras.ops.full((), 2.0)], [weight])
    slots = compat.optimizer_slots(optimizer)
    assert {name: float(part[0]) for name, part in slots.items()} == {"m": 1.0, "v": 1.0}
    with_momentum = keras.optimizers.SGD(momentum=0.5)
    with_momentum.build([weight])
    assert [*compat.optimizer_slots(with_momentum)] == ["v"]
    assert compat.optimizer_slots(keras.optimizers.SGD()) == {}


def test_a_variable_takes_a_value_of_another_shape():
    layer = keras.layers.Dense(3)
    model = keras.Sequential([keras.Input((2,)), layer])
    variable, before = layer.bias, layer.bias.value
    compat.replace_value(layer.bias, tf.ones([3]))
    assert layer.bias.value is before
    compat.replace_value(layer.bias, tf.ones([5]))
    compat.replace_value(layer.kernel, tf.ones([2, 5]))
    assert layer.bias is variable
    assert layer.bias.shape == (5,)
    assert model.count_params() == 15
    assert model.weights[1] is variable
    np.testing.assert_array_equal(model(tf.ones([1, 2])), np.full((1, 5), 3))
    layer.bias.assign(tf.zeros([5]))
    np.testing.assert_array_equal(model(tf.ones([1, 2])), np.full((1, 5), 2))


def test_a_backup_sets_the_initial_epoch(tmp_path):
    for epoch in (0, 1):
        model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
        model.compile("sgd", "mse")
        backup = keras.callbacks.BackupAndRestore(tmp_path / "backup")
        backup.set_model(model)
        backup.on_train_begin()
        assert compat.initial_epoch(model) == epoch
        backup.on_epoch_end(0)


def test_a_closed_tensorboard_leaves_no_default_writer(tmp_path):
    callback = keras.callbacks.TensorBoard(tmp_path, update_freq=1)
    callback.set_model(keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)]))
    callback.set_params({"epochs": 1, "steps": 1})
    callback.on_train_begin()
    callback.on_epoch_begin(0)
    assert tf.summary.scalar("loss", 1.0, step=0)
    compat.close_tensorboard(callback)
    assert not tf.summary.scalar("loss", 1.0, step=0)


@pytest.mark.parametrize("name", compat._CALLBACK_STATE)
def test_the_state_attributes_are_attributes_of_the_callback(name):
    source = inspect.getsource(getattr(keras.callbacks, name))
    if name == "EarlyStopping":  # it has the attributes of its base class too
        source += inspect.getsource(getattr(keras.callbacks, name).__bases__[0])
    for attribute in compat._CALLBACK_STATE[name]:
        assert re.search(rf"self\.{attribute}\b", source), attribute


def test_the_state_of_a_callback_of_another_class_is_not_known():
    class Stopping(keras.callbacks.EarlyStopping):
        pass

    assert compat.state_attributes(Stopping()) is None
    assert "wait" in compat.state_attributes(keras.callbacks.EarlyStopping())


# --- TensorFlow ---------------------------------------------------------------------------


def rewrites():
    """Whether graphs that this thread calls are rewritten."""
    config = context.context().function_call_options.config_proto_serialized
    graph_options = tf.compat.v1.ConfigProto.FromString(config).graph_options
    return not graph_options.rewrite_options.disable_meta_optimizer


def test_the_graph_optimizer_is_off_inside_and_on_again_after_an_error():
    def fail():
        with compat.without_graph_rewriting():
            assert not rewrites()
        assert not rewrites()
        raise ArithmeticError

    assert rewrites()
    with pytest.raises(ArithmeticError), compat.without_graph_rewriting():
        fail()
    assert rewrites()


def test_other_threads_rewrite_as_before():
    seen = []
    with compat.without_graph_rewriting():
        thread = threading.Thread(target=lambda: seen.append(rewrites()))
        thread.start()
        thread.join()
    assert seen == [True]


def layer(x):
    w, b = tf.random.stateless_normal([64, 100], [1, 2]), tf.linspace(-1.0, 1.0, 100)
    return tf.tanh(tf.nn.bias_add(x @ w, b))


def operations(function):
    """Returns the kinds of operations that ran, after all rewriting."""
    with context.collect_graphs(optimized=True) as graphs:
        function(tf.ones([32, 64]))
    functions = [f for graph in graphs for f in graph.library.function]
    nodes = [node for graph in graphs for node in graph.node]
    return {node.op for node in [*nodes, *(n for f in functions for n in f.node_def)]}


def test_a_graph_without_rewriting_has_the_operations_and_the_bits_of_its_lines():
    with compat.without_graph_rewriting():
        traced = tf.function(layer).get_concrete_function(tf.TensorSpec([32, 64]))
        assert "_FusedMatMul" not in operations(traced)
        x = tf.random.stateless_normal([32, 64], [3, 4])
        np.testing.assert_array_equal(traced(x), layer(x))
    assert "_FusedMatMul" in operations(tf.function(layer))  # TensorFlow's own choice


def test_tensorflow_has_started_once_an_operation_has_run():
    assert tf.constant(1) == 1
    assert compat.tensorflow_has_started()


def test_asking_whether_tensorflow_has_started_does_not_import_it():
    check = (
        "import sys, kfc.compat; assert not kfc.compat.tensorflow_has_started(); "
        "sys.exit(bool({'tensorflow', 'keras', 'keras_tuner', 'numpy'} & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0


def test_a_saved_model_message_has_graphs():
    assert len(compat.saved_model_proto().meta_graphs) == 0


def test_an_operation_declares_its_attributes():
    declared = compat.attributes_of_operation("MatMul")
    assert {"transpose_a", "transpose_b", "T"} <= declared
    assert "_output_shapes" not in declared


def test_a_worker_waits_for_the_first_one_as_long_as_it_is_told():
    with socket.create_server(("127.0.0.1", 0)) as taken, socket.socket() as own:
        own.bind(("127.0.0.1", 0))
        nobody, port = taken.getsockname()[1], own.getsockname()[1]
    script = "from kfc.compat import workers_strategy as w; w(seconds_to_start=1)"
    config = config_text((f"127.0.0.1:{nobody}", f"127.0.0.1:{port}"), 1)
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**os.environ, "TF_CONFIG": config},
        capture_output=True,
        text=True,
        timeout=300,  # by default it waits an hour
    )
    assert done.returncode == 1
    assert "DeadlineExceededError" in done.stderr


def test_a_loop_in_a_graph_sums_over_replicas():
    strategy = tf.distribute.MirroredStrategy(["CPU:0"])

    @tf.function(autograph=False)
    def doubled(x):
        def body(step, x):
            return step + 1, 2.0 * compat.sum_over_replicas(strategy, x, device=0)

        return tf.while_loop(lambda step, x: step < 3, body, (tf.constant(0), x))[1]

    assert doubled(tf.constant([1.0, 3.0])).numpy().tolist() == [8.0, 24.0]


# --- keras-tuner --------------------------------------------------------------------------


def space():
    parameters = keras_tuner.HyperParameters()
    parameters.Choice("a", [1, 2])
    parameters.Choice("b", [3, 4])
    return parameters


def test_a_grid_yields_every_combination():
    grid = oracles.GridSearchOracle(hyperparameters=space(), seed=1)
    points = [(point["a"], point["b"]) for point in compat.grid_combinations(grid)]
    assert points == [(1, 3), (1, 4), (2, 3), (2, 4)]


class Random(compat.OracleAccess, oracles.RandomSearchOracle):
    pass


class Bayesian(compat.OracleAccess, compat.BayesianAccess, oracles.BayesianOptimizationOracle):
    pass


class Hyperband(compat.OracleAccess, compat.HyperbandAccess, oracles.HyperbandOracle):
    pass


@pytest.mark.parametrize("kind", [Random, Bayesian, Hyperband])
def test_an_oracle_offers_the_private_methods_under_public_names(kind):
    oracle = kind(objective=keras_tuner.Objective("loss", "min"), hyperparameters=space())
    oracle.set_seed(1)
    points = []
    for number in range(4):
        values = oracle.random_values()
        points.append((values["a"], values["b"]))
        assert not oracle.was_proposed(values)
        oracle.start_trial(str(number), values)
        assert oracle.was_proposed(values)
    assert sorted(points) == [(1, 3), (1, 4), (2, 3), (2, 4)]
    assert oracle.random_values() is None
    assert [*oracle.ongoing_trials] == ["0", "1", "2", "3"]
    if kind is Bayesian:
        assert oracle.values_of_vector([0.1, 0.9]) == {"a": 1, "b": 4}
        assert oracle.random_proposal()["status"] == "STOPPED"
        x, y = np.zeros([3, 2]), np.arange(3.0)
        oracle.gpr = oracle.make_regressor().fit(x, y)
        assert oracle.vectorize_trials()[0].shape == (4, 2)
    if kind is Hyperband:
        assert [bracket["bracket_num"] for bracket in oracle.brackets] == [4]
        assert oracle.rung_size(4, 0) > oracle.rung_size(4, 1)
        oracle.current_bracket -= 1
        oracle.start_bracket()
        assert [bracket["bracket_num"] for bracket in oracle.brackets] == [4, 3]
        assert oracle.random_trial("5", oracle.brackets[0])["status"] == "IDLE"


@pytest.mark.parametrize("access", ["Oracle", "Bayesian", "Hyperband"])
def test_a_private_method_that_compat_overrides_exists(access):
    oracle = {"Oracle": Random, "Bayesian": Bayesian, "Hyperband": Hyperband}[access]
    for name in vars(getattr(compat, f"{access}Access")):
        if name.startswith("_") and not name.startswith("__"):
            assert hasattr(oracle.__bases__[-1], name), name


# --- tensorflow-datasets ------------------------------------------------------------------


def test_no_cloud_bucket_is_asked_for_a_data_set(monkeypatch):
    import tensorflow_datasets

    switches = tensorflow_datasets.core.utils.gcs_utils
    monkeypatch.setattr(switches, "_is_gcs_disabled", False)
    compat.forbid_cloud_lookup(tensorflow_datasets)
    assert not switches.is_dataset_on_gcs("mnist/3.0.1")


# --- Ray ----------------------------------------------------------------------------------


def test_ray_is_imported_with_tokens_and_can_stay_on_the_loopback_interface(monkeypatch):
    monkeypatch.delenv("RAY_AUTH_MODE", raising=False)
    monkeypatch.setenv("RAY_AUTH_TOKEN", "0123")
    ray = compat.secure_ray(loopback_only=True)
    assert not ray.is_initialized()
    raylet = importlib.import_module("ray._raylet")
    services = importlib.import_module("ray._private.services")
    assert raylet.get_authentication_mode() == raylet.AuthenticationMode.TOKEN
    assert raylet.AuthenticationTokenLoader.instance().has_token()
    assert services.resolve_ip_for_localhost("127.0.0.1") == "127.0.0.1"
    compat.secure_ray(loopback_only=False)
    monkeypatch.setattr(services, "node_ip_address_from_perspective", lambda _: "10.0.0.1")
    assert services.resolve_ip_for_localhost("127.0.0.1") == "10.0.0.1"


def test_ray_prints_no_message_of_other_processes(capsys):
    compat.secure_ray(loopback_only=True)
    worker = importlib.import_module("ray._private.worker")
    message = {"lines": ["a node died"], "pid": "raylet", "is_err": False}
    for shown in (False, True):
        compat.show_ray_messages(shown)
        worker.print_worker_logs({**message, "ip": "", "job": None}, sys.stdout)
        assert ("a node died" in capsys.readouterr().out) == shown


# --- nowhere else -------------------------------------------------------------------------

PRIVATE_MODULES = (
    *("keras.src", "keras_tuner.engine", "keras_tuner.src"),
    *("tensorflow.python", "tensorflow.core", "tensorflow_datasets.core"),
    *("ray._private", "ray._raylet"),
)
OF_PYTHON = {"_asdict", "_replace", "_fields", "_exit", "_processes"}
ELSEWHERE = [path for path in sorted(PACKAGE.rglob("*.py")) if path.name != "compat.py"]


def tree_of(path):
    return ast.parse(path.read_text("utf-8"))


def own_names(path):
    """Returns every underscored name that a module defines, or sets on `self`."""
    names = set()
    for node in ast.walk(tree_of(path)):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(getattr(node, "ctx", None), ast.Store):
            if isinstance(node, ast.Name):
                names.add(node.id)
            elif isinstance(node, ast.Attribute) and ast.unparse(node.value) == "self":
                names.add(node.attr)
    return names


def test_no_other_module_imports_a_private_module():
    for path in ELSEWHERE:
        for node in ast.walk(tree_of(path)):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                names = [node.value]  # as for `sys.modules`
            for name in names:
                assert not f"{name}.".startswith(tuple(f"{m}." for m in PRIVATE_MODULES)), (
                    path,
                    name,
                )


def test_no_other_module_touches_a_private_name():
    names_of = {path: own_names(path) for path in ELSEWHERE}
    all_names = set().union(*names_of.values())
    for path in ELSEWHERE:
        for node in ast.walk(tree_of(path)):
            name, known = "", names_of[path] | OF_PYTHON
            if isinstance(node, ast.Attribute):
                name = node.attr
                if ast.unparse(node.value) in ("self", "cls", "super()"):
                    known = all_names  # a base class in another module may have it
            elif isinstance(node, ast.Call) and getattr(node.func, "id", "").endswith("attr"):
                name = str(getattr(node.args[1], "value", ""))
            if re.fullmatch(r"_[a-z]\w*", name):
                assert name in known, f"{path}:{node.lineno}: {name}"


def test_no_other_module_overrides_a_private_name():
    for found in pkgutil.walk_packages([str(PACKAGE)], "kfc."):
        if found.name in ("kfc.__main__", "kfc.compat", "kfc.exporting.probe"):  # scripts
            continue
        module = importlib.import_module(found.name)
        for kind in vars(module).values():
            if not inspect.isclass(kind) or kind.__module__ != found.name:
                continue
            libraries = [
                base
                for base in kind.__mro__
                if base.__module__.startswith(("keras", "tensorflow", "keras_tuner"))
            ]
            for name in vars(kind):
                if re.fullmatch(r"_[a-z]\w*", name) and name != "_abc_impl":
                    for base in libraries:
                        assert name not in vars(base), f"{kind}.{name} of {base}"


# --- scikit-learn -------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["breast_cancer", "diabetes", "digits", "iris", "wine"])
def test_rows_of_scikit_learn_are_read_without_it(name):
    import sklearn.datasets

    x, y = getattr(sklearn.datasets, f"load_{name}")(return_X_y=True)
    found_x, found_y = compat.sklearn_rows(name)
    np.testing.assert_array_equal(found_x, x)
    np.testing.assert_array_equal(found_y, y)
    assert compat.sklearn_rows("no_such_set") is None


def test_bitcasts_of_several_networks_are_one():
    compat.stack_bitcasts()
    numbers = tf.constant([[1.0, -0.0], [-2.0, 0.0]])
    found = tf.vectorized_map(
        lambda each: tf.bitcast(each, tf.int32), numbers, fallback_to_while_loop=False
    )
    np.testing.assert_array_equal(found, np.asarray(numbers).view(np.int32))
