"""Private APIs of Keras, TensorFlow, keras-tuner and other libraries that kfc uses.

No other module of kfc touches a private name of these libraries, so an upgrade of one of them
is a change of this file alone. Each docstring gives the version in which the API was read, the
reason why it is needed, and the test in `tests/test_compat.py` that fails when it changes.

The libraries are imported inside the functions: importing this module costs nothing.
"""

from __future__ import annotations

import functools
import importlib
import os
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from types import MethodType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

# --- Keras --------------------------------------------------------------------------------

_SCOPE_BYPASSES = (
    *("assign", "assign_add", "assign_sub", "_var_key", "_apply_weight_decay"),
    *("_backend_update_step", "add_variable_from_reference"),
)
"""Methods with which Keras's TensorFlow optimizers write to the `tf.Variable` itself."""

_CALLBACK_STATE: dict[str, tuple[str, ...]] = {
    "BackupAndRestore": (
        *("_current_epoch", "_last_batch_seen", "_batches_seen_since_last_saving"),
    ),
    "CSVLogger": ("keys",),
    "EarlyStopping": ("wait", "stopped_epoch", "best", "best_epoch", "best_weights"),
    "History": ("history", "epoch"),
    "LearningRateScheduler": (),  # the learning rate is a variable of the optimizer
    "ModelCheckpoint": (
        *("best", "_current_epoch", "_batches_seen_since_last_saving", "_last_batch_seen"),
    ),
    "ProgbarLogger": (),
    "ReduceLROnPlateau": ("best", "wait", "cooldown_counter"),
    "RemoteMonitor": (),
    "SwapEMAWeights": ("_ema_weights_in_model",),
    "TensorBoard": (
        *("_global_train_batch", "_global_test_batch", "_epoch_start_time"),
        "_previous_epoch_iterations",
    ),
    "TerminateOnNaN": (),
}
"""Class -> attributes that its hooks change and that decide how it continues."""


MODULES_FOR_LATER = ("keras.src.visualization", "keras.visualization", "keras.wrappers")
"""Modules of which no other one needs anything while Keras 3.15.1 is imported.

Test: `tests/system/test_light_keras.py`."""


def route_updates_through_scope(optimizer: Any) -> None:
    """Makes the updates of a built optimizer visible to a `keras.StatelessScope`.

    Keras 3.15.1, `keras.src.backend.tensorflow.optimizer.TFOptimizer`: seven of its methods
    bypass the scope and write to the `tf.Variable` behind a Keras variable. The methods of
    `BaseOptimizer` do not, so this optimizer object gets those instead; its class and its
    update rule stay the same. The compiled training loop needs it, because its variables are
    tensors (`kfc/training/engine/variables.py`).

    Test: `test_an_optimizer_updates_through_a_stateless_scope`.

    Args:
        optimizer: Built Keras optimizer.
    """
    from keras.src.backend.tensorflow.optimizer import TFOptimizer
    from keras.src.optimizers.base_optimizer import BaseOptimizer

    variables = list(optimizer._trainable_variables)
    by_key = {optimizer._var_key(variable): variable for variable in variables}
    excluded: set[Any] = getattr(optimizer, "_exclude_from_weight_decay", set())
    for name in _SCOPE_BYPASSES:
        # A subclass that has its own version keeps it.
        if getattr(type(optimizer), name) is vars(TFOptimizer).get(name):
            setattr(optimizer, name, MethodType(vars(BaseOptimizer)[name], optimizer))
    # The key by which an optimizer finds a variable differs between the two classes.
    keys = [optimizer._var_key(variable) for variable in variables]
    optimizer._trainable_variables_indices = {key: i for i, key in enumerate(keys)}
    if excluded:
        optimizer._exclude_from_weight_decay = {
            optimizer._var_key(by_key[key]) if key in by_key else key for key in excluded
        }
        optimizer._exclude_from_weight_decay_cache = {}


def replace_value(variable: Any, value: Any) -> None:
    """Gives a Keras variable a value, which may have another shape.

    Keras 3.15.1, `Variable._value` and `_shape`. The variable stays the same object, so
    layers, models and lists that hold it see the new shape; a new Keras network of other
    widths takes ten times as long as a training of a few milliseconds. The symbolic shapes of
    a functional model do not change, and no call of the model reads them.

    Test: `test_a_variable_takes_a_value_of_another_shape`.

    Args:
        variable: A `keras.Variable` that no optimizer of another shape is built with.
        value: Tensor of the variable's dtype.
    """
    import tensorflow as tf

    if variable.shape == value.shape:
        variable.value.assign(value)  # Keras's own `assign` checks what is known here
        return
    # The name is that of all such variables: TensorFlow keeps something for each new name.
    variable._value = tf.Variable(value, trainable=variable.trainable, name="weight")
    variable._shape = tuple(value.shape)


def optimized_variable(optimizer: Any, variable: Any) -> Any:
    """Returns the Keras variable that an optimizer was built with.

    Keras 3.15.1, `BaseOptimizer._trainable_variables` and `_get_variable_index`. The backend
    passes TensorFlow's variables to `update_step`, and those have no path.

    Test: `test_an_optimizer_finds_the_keras_variable_behind_another`.

    Args:
        optimizer: Built Keras optimizer.
        variable: A variable of the optimizer's, or TensorFlow's behind it.
    """
    return optimizer._trainable_variables[optimizer._get_variable_index(variable)]


def is_decayed(optimizer: Any, variable: Any) -> bool:
    """Returns whether an optimizer has not excluded a variable from its weight decay.

    Keras 3.15.1, `BaseOptimizer._use_weight_decay`.

    Test: `test_an_excluded_variable_does_not_decay`.
    """
    return bool(optimizer._use_weight_decay(variable))


def step_counter(optimizer: Any) -> Any:
    """Returns the variable in which an optimizer counts its calls, an int64 scalar.

    Keras 3.15.1, `BaseOptimizer._iterations`. The public `iterations` counts updates: it
    stands still while gradients accumulate, and dropout needs a new mask in each of these
    steps too.

    Test: `test_the_step_counter_counts_while_gradients_accumulate`.
    """
    return optimizer._iterations


def optimizer_slots(optimizer: Any) -> dict[str, Sequence[Any]]:
    """Returns the slot variables of an SGD or Adam optimizer, named as in `kfc.reference`.

    Keras 3.15.1, `Adam._momentums` and `Adam._velocities`; `SGD.momentums` is public. The
    float64 reference starts each step from the optimizer state of another path.

    Test: `test_the_slots_of_adam_are_its_two_moments`.

    Returns:
        Name -> one variable for each weight: `v` for SGD with momentum, `m` and `v` for
        Adam, nothing for other optimizers.
    """
    import keras

    if isinstance(optimizer, keras.optimizers.Adam):
        return {"m": optimizer._momentums, "v": optimizer._velocities}
    momentums = getattr(optimizer, "momentums", None)  # SGD without momentum has none
    return {"v": momentums} if momentums else {}


def initial_epoch(model: Any) -> int:
    """Returns the epoch at which Keras's `fit` would begin.

    Keras 3.15.1, `Trainer._initial_epoch`: `BackupAndRestore` sets it in `on_train_begin`,
    after it has restored the weights of that epoch.

    Test: `test_a_backup_sets_the_initial_epoch`.
    """
    return int(getattr(model, "_initial_epoch", None) or 0)


def close_tensorboard(callback: Any) -> None:
    """Closes the event files of a `keras.callbacks.TensorBoard`.

    Keras 3.15.1, `TensorBoard._prev_summary_state`, `_pop_writer` and `_writers`. Its own
    `on_train_end` does this, but it is not called when a training ends with an error; the
    next training of the process would then write into the files of this one.

    Test: `test_a_closed_tensorboard_leaves_no_default_writer`.
    """
    while callback._prev_summary_state:
        callback._pop_writer()
    for writer in callback._writers.values():
        with suppress(RuntimeError):  # `on_train_end` has closed it
            writer.close()


def state_attributes(callback: Any) -> tuple[str, ...] | None:
    """Returns the names of the attributes that hold the state of a Keras callback.

    Keras 3.15.1, the classes of `keras.callbacks`. Keras saves no callback with a training,
    and half of these attributes are private.

    Test: `test_the_state_attributes_are_attributes_of_the_callback`.

    Returns:
        The names, or None for a callback whose class is not one of Keras's own.
    """
    import keras

    name = type(callback).__name__
    if type(callback) is not getattr(keras.callbacks, name, None):
        return None
    return _CALLBACK_STATE.get(name)


# --- TensorFlow ---------------------------------------------------------------------------


@contextmanager
def without_graph_rewriting() -> Iterator[None]:
    """Lets the graphs that this thread traces and calls inside run as they were traced.

    TensorFlow 2.21.0, `tensorflow.python.eager.context`: `FunctionCallOptions` of a thread.
    The public `tf.config.optimizer` holds for the entire process, so for the threads of
    other code too.

    TensorFlow's graph optimizer rewrites a graph before its first run: it fuses matrix
    products with the operation behind them and reorders arithmetic, so the graph rounds
    differently from the same lines run eagerly. For kfc's loops of dense steps this takes
    longer than it saves: the first call takes 1.3 to 2.5 times as long, later calls 0.8 to
    1.3 times (`experiments/grappler`).

    A graph is optimized in its first call, so the first call must be inside.

    Test: `test_the_graph_optimizer_is_off_inside_and_on_again_after_an_error`.
    """
    from tensorflow.python.eager import context

    here = context.context()
    before = here.function_call_options
    here.function_call_options = _call_options(
        before.executor_type, before.config_proto_serialized
    )
    try:
        yield
    finally:
        here.function_call_options = before


@functools.cache  # an operation has one rule
def stack_bitcasts() -> None:
    """Gives `tf.vectorized_map` a rule for `tf.bitcast`, which it has not.

    TensorFlow 2.21.0, `tensorflow.python.ops.parallel_for.pfor`: `RegisterPFor`, `wrap` and
    `_pfor_converter_registry`. Keras's `argmax`, and so its accuracy, looks at the bits of
    numbers. Without a rule, `tf.vectorized_map` makes the operation in a loop, for one network
    after the other, in every step.

    Test: `test_bitcasts_of_several_networks_are_one`.
    """
    from tensorflow import bitcast
    from tensorflow.python.ops.parallel_for import pfor

    if "Bitcast" not in pfor._pfor_converter_registry:

        @pfor.RegisterPFor("Bitcast")
        def converted(inputs: Any) -> Any:
            return pfor.wrap(bitcast(inputs.stacked_input(0), inputs.get_attr("type")), True)


@functools.cache  # it takes longer than a step, and every call of the engine asks for it
def _call_options(executor_type: str | None, config: bytes) -> Any:
    """Returns the options of function calls without the graph optimizer."""
    import tensorflow as tf
    from tensorflow.python.eager import context

    proto = tf.compat.v1.ConfigProto.FromString(config)
    proto.graph_options.rewrite_options.disable_meta_optimizer = True
    return context.FunctionCallOptions(executor_type, proto)


def tensorflow_has_started() -> bool:
    """Returns whether this process has started TensorFlow's runtime, without importing it.

    TensorFlow 2.21.0, `tensorflow.python.eager.context._context._initialized`. A process
    that is forked after the start hangs in its first operation, so kfc refuses it.

    Test: `test_tensorflow_has_started_once_an_operation_has_run`.
    """
    module = sys.modules.get("tensorflow.python.eager.context")
    return module is not None and bool(getattr(module._context, "_initialized", False))


def saved_model_proto() -> Any:
    """Returns an empty SavedModel message, which can parse `saved_model.pb`.

    TensorFlow 2.21.0, `tensorflow.core.protobuf.saved_model_pb2`. The public API loads a
    SavedModel at once, and kfc looks at its operations before it loads one.

    Test: `test_a_saved_model_message_has_graphs`.
    """
    from tensorflow.core.protobuf import saved_model_pb2

    return saved_model_pb2.SavedModel()


def attributes_of_operation(name: str) -> set[str]:
    """Returns the names of the attributes that an operation of TensorFlow declares.

    TensorFlow 2.21.0, `tensorflow.python.framework.op_def_registry`. An attribute of a
    stored graph that its operation does not declare is refused.

    Test: `test_an_operation_declares_its_attributes`.

    Args:
        name: Name of a registered operation, such as `MatMul`.
    """
    from tensorflow.python.framework import op_def_registry

    return {attribute.name for attribute in op_def_registry.get(name).attr}


def workers_strategy(*, seconds_to_start: int) -> Any:
    """Returns the strategy of the workers that `TF_CONFIG` names, once all have started.

    TensorFlow 2.21.0, `Context.configure_coordination_service`: a worker waits an hour for
    the first one, unless this is called before the strategy would call it. The first worker
    waits an hour for the others in any case, and every wait holds the interpreter's lock.

    Test: `test_a_worker_waits_for_the_first_one_as_long_as_it_is_told`.

    Args:
        seconds_to_start: Seconds to wait for the other workers.

    Raises:
        RuntimeError: If TensorFlow has run an operation before.
        tf.errors.OpError: If a worker does not start.
    """
    import tensorflow as tf
    from tensorflow.python.distribute import collective_all_reduce_strategy as strategies
    from tensorflow.python.distribute import multi_worker_util
    from tensorflow.python.eager import context

    cluster = tf.distribute.cluster_resolver.TFConfigClusterResolver().cluster_spec()
    job = strategies.coordination_config_pb2.CoordinatedJob
    context.context().configure_coordination_service(
        service_type="standalone",
        service_leader=multi_worker_util.coordination_leader(cluster),
        cluster_register_timeout_in_ms=1000 * seconds_to_start,
        coordinated_jobs=[
            job(name=name, num_tasks=cluster.num_tasks(name))
            for name in ("chief", "worker")
            if name in cluster.jobs
        ],
    )
    return tf.distribute.MultiWorkerMirroredStrategy()


def sum_over_replicas(strategy: Any, values: Any, *, device: int) -> Any:
    """Returns the sum of a tensor over all replicas of a strategy, in a graph.

    TensorFlow 2.21.0, `CrossDeviceOps._all_reduce` of `CollectiveAllReduce`. The public
    `ReplicaContext.all_reduce` goes through a `merge_call`, which a loop in a graph may not
    contain; the collective operation itself may be in one.

    Test: `test_a_loop_in_a_graph_sums_over_replicas`.

    Args:
        strategy: A `MirroredStrategy` or a `MultiWorkerMirroredStrategy`.
        values: Tensor of the same shape on every replica, and in every round of a loop.
        device: Number of the device of this process that has the tensor.
    """
    import tensorflow as tf
    from tensorflow.python.distribute import collective_util

    operations = strategy.extended._cross_device_ops
    options = collective_util.Options()
    return operations._all_reduce(tf.distribute.ReduceOp.SUM, values, device, options)


# --- keras-tuner --------------------------------------------------------------------------


def grid_combinations(grid: Any) -> Iterator[dict[str, Any]]:
    """Yields every point of a keras-tuner grid, the last hyperparameter changing fastest.

    keras-tuner 1.4.8, `GridSearchOracle._get_next_combination`. The oracle's own order
    depends on which trial ends first.

    Test: `test_a_grid_yields_every_combination`.

    Args:
        grid: A `keras_tuner.oracles.GridSearchOracle`.
    """
    values = dict(grid.hyperparameters.values)  # the first value of each
    while values is not None:
        yield values
        values = grid._get_next_combination(values)


class OracleAccess:
    """Public names for the private methods that every oracle of keras-tuner has.

    keras-tuner 1.4.8, `keras_tuner.Oracle` and `keras_tuner.engine.trial.Trial`. kfc uses
    only the proposals of an oracle; the files, the output and the lock around them are not
    used. Among the bases of a class it stands before the oracle.

    Test: `test_an_oracle_offers_the_private_methods_under_public_names`.
    """

    def set_seed(self, seed: int) -> None:
        """Sets the seed of the next proposals."""
        self.seed = self._seed_state = seed

    def start_trial(self, trial_id: str, values: Mapping[str, Any]) -> None:
        """Records a running trial with these values of the hyperparameters."""
        from keras_tuner.engine.trial import Trial

        oracle: Any = self
        space = oracle.hyperparameters.copy()
        space.values = dict(values)
        trial = Trial(space, trial_id=trial_id, status="RUNNING")
        oracle.trials[trial_id] = oracle.ongoing_trials[trial_id] = trial
        oracle.start_order.append(trial_id)
        oracle._tried_so_far.add(oracle._compute_values_hash(space.values))

    def was_proposed(self, values: Mapping[str, Any]) -> bool:
        """Returns whether a trial has had these values."""
        oracle: Any = self
        return bool(oracle._duplicate(values))

    def random_values(self) -> dict[str, Any] | None:
        """Returns values that no trial has had; None after 21 draws that one has had."""
        return super()._random_values()  # type: ignore[misc]

    def _random_values(self) -> dict[str, Any] | None:
        return self.random_values()


class BayesianAccess:
    """Public names for the private methods of keras-tuner's Bayesian oracle.

    keras-tuner 1.4.8, `BayesianOptimizationOracle`: kfc replaces the regressor and the
    search for the best point, and keeps the rest.

    Test: `test_an_oracle_offers_the_private_methods_under_public_names`.
    """

    def make_regressor(self) -> Any:
        """Returns a new Gaussian process."""
        return super()._make_gpr()  # type: ignore[misc]

    def _make_gpr(self) -> Any:
        return self.make_regressor()

    def vectorize_trials(self) -> tuple[Any, Any]:
        """Returns points, (trials, hyperparameters) in 0..1, and losses, (trials,)."""
        return super()._vectorize_trials()  # type: ignore[misc]

    def values_of_vector(self, vector: Sequence[float]) -> dict[str, Any]:
        """Returns the values of the hyperparameters at a point in 0..1."""
        return super()._vector_to_values(vector)  # type: ignore[misc]

    def random_proposal(self) -> dict[str, Any]:
        """Returns the answer of `populate_space` with random values."""
        return super()._random_populate_space()  # type: ignore[misc]


class HyperbandAccess:
    """Public names for the private methods and attributes of keras-tuner's Hyperband.

    keras-tuner 1.4.8, `HyperbandOracle`: kfc starts only brackets that end within the number
    of trials.

    Test: `test_an_oracle_offers_the_private_methods_under_public_names`.
    """

    _brackets: list[dict[str, Any]]
    _current_bracket: int

    @property
    def brackets(self) -> list[dict[str, Any]]:
        """Brackets in progress, each with its `bracket_num` and its `rounds`."""
        return self._brackets

    @property
    def current_bracket(self) -> int:
        """Number of the bracket that starts next."""
        return self._current_bracket

    @current_bracket.setter
    def current_bracket(self, number: int) -> None:
        self._current_bracket = number

    def rung_size(self, bracket_number: int, rung: int) -> int:
        """Returns the number of trials on a rung of a bracket, counted from 0."""
        return super()._get_size(bracket_number, rung)  # type: ignore[misc]

    def start_bracket(self) -> None:
        """Starts the bracket with the number `current_bracket`."""
        super()._start_new_bracket()  # type: ignore[misc]

    def _start_new_bracket(self) -> None:
        self.start_bracket()

    def random_trial(self, trial_id: str, bracket: dict[str, Any]) -> dict[str, Any]:
        """Returns the answer of `populate_space` for a new trial on the lowest rung."""
        return super()._random_trial(trial_id, bracket)  # type: ignore[misc]

    def _random_trial(self, trial_id: str, bracket: dict[str, Any]) -> dict[str, Any]:
        return self.random_trial(trial_id, bracket)


# --- tensorflow-datasets ------------------------------------------------------------------


def forbid_cloud_lookup(tensorflow_datasets: Any) -> None:
    """Lets tensorflow-datasets look for data sets on this machine alone.

    tensorflow-datasets 4.9.10, `core.utils.gcs_utils._is_gcs_disabled`. Without it, the
    builder of a data set that is not prepared asks a cloud bucket first, which takes minutes
    on a machine without a network.

    Test: `test_no_cloud_bucket_is_asked_for_a_data_set`.

    Args:
        tensorflow_datasets: The imported library.
    """
    tensorflow_datasets.core.utils.gcs_utils._is_gcs_disabled = True


# --- scikit-learn -------------------------------------------------------------------------


def sklearn_rows(name: str) -> tuple[np.ndarray, np.ndarray] | None:
    """Returns the inputs and targets of a data set inside scikit-learn, without importing it.

    scikit-learn 1.7, the files of `sklearn/datasets/data`, and the scaling of `load_diabetes`.
    The import of scikit-learn takes longer than all that `kfc explain` does.

    Test: `test_rows_of_scikit_learn_are_read_without_it`.

    Args:
        name: Name of the data set, such as `digits`.

    Returns:
        The arrays that `sklearn.datasets.load_NAME` returns; None where there is no such file.
    """
    import gzip
    import importlib.util
    from pathlib import Path

    import numpy as np

    found = importlib.util.find_spec("sklearn")
    if found is None or found.origin is None:
        return None
    folder = Path(found.origin).parent / "datasets" / "data"

    def numbers(file: str, skipped: int = 0, separator: str = ",") -> np.ndarray:
        content = (folder / file).read_bytes()
        content = gzip.decompress(content) if file.endswith(".gz") else content
        lines = content.decode().split("\n")[skipped:]
        text = separator.join(line for line in lines if line)
        found = np.fromstring(text, np.float64, sep=separator)
        return found.reshape(sum(map(bool, lines)), -1)

    try:
        if name == "diabetes":
            x = numbers("diabetes_data_raw.csv.gz", separator=" ")
            x = (x - x.mean(axis=0)) / x.std(axis=0) / np.sqrt(len(x))
            return x, numbers("diabetes_target.csv.gz")[:, 0]
        file = {"digits": "digits.csv.gz", "wine": "wine_data.csv"}.get(name, f"{name}.csv")
        rows = numbers(file, skipped=0 if name == "digits" else 1)
        return rows[:, :-1], rows[:, -1].astype(np.int64)
    except (OSError, ValueError):
        return None


# --- Ray ----------------------------------------------------------------------------------


def secure_ray(*, loopback_only: bool) -> Any:
    """Imports Ray with token authentication, and chooses where its servers listen.

    Ray 2.60.0. `ray._private.ray_constants.ENABLE_RAY_CLUSTER` decides whether a node has the
    address 127.0.0.1, to which all its servers are then bound; by default that is so on macOS
    and Windows alone, and on Linux each server listens on every interface. The constant and
    `RAY_AUTH_MODE` are read at Ray's import, and a token when it is needed first, so both are
    set again in a process that has imported Ray before.

    Test: `test_ray_is_imported_with_tokens_and_can_stay_on_the_loopback_interface`.

    Args:
        loopback_only: Whether a node of this process listens on the loopback interface only.

    Returns:
        The module ray.
    """
    os.environ.setdefault("RAY_AUTH_MODE", "token")
    os.environ.setdefault("RAY_NUM_REDIS_GET_RETRIES", "1")  # 20: minutes until a refusal
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ray, constants, raylet = map(
            importlib.import_module, ("ray", "ray._private.ray_constants", "ray._raylet")
        )
    if not ray.is_initialized():
        constants.ENABLE_RAY_CLUSTER = not loopback_only  # type: ignore[attr-defined]
        raylet.Config.initialize("")
        raylet.AuthenticationTokenLoader.instance().reset_cache()
    return ray


def show_ray_messages(shown: bool) -> None:
    """Chooses whether Ray's messages of other processes appear on stdout.

    Ray 2.60.0, `ray._private.worker._worker_logs_enabled`. The death of a node is printed to
    stdout, also without `log_to_driver`, among the results of a command.

    Test: `test_ray_prints_no_message_of_other_processes`.

    Args:
        shown: Whether they appear.
    """
    importlib.import_module("ray._private.worker")._worker_logs_enabled = shown  # type: ignore[attr-defined]
