import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kfc.errors import SpecError
from kfc.spec import dump_spec, load_spec
from kfc.tuning.space import Hyperparameter, Space

RATE = "training.optimizer.learning_rate"
HIDDEN = "network.hidden"
BATCH = "training.batch_size"
DROPOUT = {"low": 0.0, "high": 0.5}


def with_space(space, *, base="digits", overrides=None, **search):
    return load_spec(base, {**(overrides or {}), "search": {**search, "space": space}})


def space_of(space, **options):
    return Space.of(with_space(space, **options))


def findings_of(space, **options):
    with pytest.raises(SpecError) as caught:
        space_of(space, **options)
    for finding in caught.value.findings:
        assert finding.where.startswith("search.space")
        assert finding.expected
        assert finding.got
        assert finding.remedy
        assert not finding.line  # nobody gave an override
    return caught.value.findings


def only(space):
    (parameter,) = space.hyperparameters
    return parameter


# --- parameters ---------------------------------------------------------------------------


def test_a_range_of_fractions_is_one_of_floats():
    parameter = only(space_of({RATE: {"low": 1e-3, "high": 1, "log": True}}))
    assert parameter == Hyperparameter(RATE, "float", 0.001, 1.0, log=True)
    assert type(parameter.high) is float


@pytest.mark.parametrize(
    "path",
    [
        BATCH,
        "training.epochs",
        "training.early_stopping.patience",  # of a part that the spec has not
        "network.members",
        "network.hidden[0]",
        "network.hidden[0].units",
        "network.hidden.0.units",
        "training.optimizer.gradient_accumulation_steps",
    ],
)
def test_a_key_of_integers_gets_integers(path):
    parameter = only(space := space_of({path: {"low": 2, "high": 64}}))
    assert parameter == Hyperparameter(path, "int", 2, 64)
    (value,) = space.values({path: 7.0}).values()
    assert type(value) is int


@pytest.mark.parametrize("path", ["network.l2", "training.optimizer.clipnorm", RATE])
def test_a_key_of_numbers_gets_floats_however_its_ends_are_written(path):
    parameter = only(space := space_of({path: {"low": 1, "high": 3}}))
    assert parameter.kind == "float"
    (value,) = space.values({path: 2}).values()
    assert type(value) is float


def test_a_step_of_integers_is_one():
    space = space_of({BATCH: {"low": 16, "high": 128, "step": 2.0, "log": True}})
    assert only(space) == Hyperparameter(BATCH, "int", 16, 128, 2, log=True)
    assert type(only(space).step) is int


def test_choices_are_known_by_their_indices():
    optimizers = ["adam", {"name": "sgd", "momentum": 0.9}]
    space = space_of({"training.optimizer": {"choice": optimizers}})
    assert only(space).choices == tuple(optimizers)
    for index, value in enumerate(optimizers):
        assert space.values({"training.optimizer": index}) == {"training.optimizer": value}


@pytest.mark.parametrize(
    ("path", "choices", "ordered"),
    [
        (BATCH, [16, 32, 64], True),
        (BATCH, [32], True),
        (BATCH, [64, 16], False),
        ("network.l2", [0, 0.5, 1], True),
        ("network.use_bias", [False, True], False),
        ("network.activation", ["relu", "tanh"], False),
    ],
)
def test_choices_are_ordered_where_they_are_numbers_that_rise(path, choices, ordered):
    assert only(space_of({path: {"choice": choices}})).ordered is ordered


def test_a_stack_is_a_depth_and_widths_that_count_from_some_depth_on():
    space = space_of({HIDDEN: {"depth": [1, 3], "width": [32, 255]}})
    depth = f"{HIDDEN}.depth"
    assert space.hyperparameters == (
        Hyperparameter(depth, "int", 1, 3),
        Hyperparameter(f"{HIDDEN}.width_1", "int", 32, 255),
        Hyperparameter(
            f"{HIDDEN}.width_2", "int", 32, 255, parent=depth, parent_values=(2, 3)
        ),
        Hyperparameter(f"{HIDDEN}.width_3", "int", 32, 255, parent=depth, parent_values=(3,)),
    )


@pytest.mark.parametrize(("widest", "log"), [(255, False), (256, True), (32, False)])
def test_widths_go_by_factors_from_8_times_on(widest, log):
    space = space_of({HIDDEN: {"depth": [1, 1], "width": [32, widest]}})
    assert space.hyperparameters[1].log is log


def test_a_stack_sets_as_many_widths_as_it_is_deep():
    space = space_of({HIDDEN: {"depth": [0, 2], "width": [8, 16]}})
    point = {f"{HIDDEN}.width_1": 9, f"{HIDDEN}.width_2": 11}
    for depth in (0, 1, 2):
        values = space.values({f"{HIDDEN}.depth": depth, **point})
        assert values == {HIDDEN: [9, 11][:depth]}
        layers = space.trial_spec(values).network.layers()
        assert [layer.units for layer in layers] == [9, 11][:depth]


def test_a_stack_of_depth_0_is_softmax_regression_whatever_else():
    space = space_of({HIDDEN: {"depth": [0, 0], "width": [8, 16]}})
    assert space.values({f"{HIDDEN}.depth": 0}) == {HIDDEN: []}


def test_one_past_the_highest_is_the_highest():
    """keras-tuner's Bayesian oracle proposes it: the end of its interval is included."""
    space = space_of({BATCH: {"low": 16, "high": 128, "log": True}})
    assert space.values({BATCH: 129}) == {BATCH: 128}
    assert space.values({BATCH: 128}) == {BATCH: 128}
    assert space.values({BATCH: 16}) == {BATCH: 16}


def test_parameters_have_the_order_of_the_space():
    dimensions = {
        "training.optimizer.epsilon": {"low": 1e-8, "high": 1e-6},
        BATCH: {"choice": [16, 32]},
        "network.dropout": DROPOUT,
    }
    for paths in (list(dimensions), list(dimensions)[::-1]):
        space = space_of({path: dimensions[path] for path in paths})
        assert [parameter.name for parameter in space.hyperparameters] == paths


# --- the spec of a trial ------------------------------------------------------------------


def test_a_trial_is_an_ordinary_spec_without_a_search():
    space = space_of(
        {HIDDEN: {"depth": [1, 2], "width": [4, 8]}, RATE: DROPOUT | {"low": 0.1}}
    )
    trial = space.trial_spec({HIDDEN: [4, 8], RATE: 0.25})
    expected = {"network.hidden": [4, 8], RATE: 0.25, "search": None}
    assert trial == load_spec(space.spec, expected)
    assert trial.search is None
    assert space.spec.search.space


def test_a_trial_may_have_its_own_seed_and_epochs():
    space = space_of({"network.dropout": DROPOUT})
    trial = space.trial_spec({"network.dropout": 0.5}, seed=7, epochs=3)
    assert (trial.seed, trial.training.epochs) == (7, 3)
    assert space.trial_spec({"network.dropout": 0.5}, seed=0, epochs=None) == (
        space.trial_spec({"network.dropout": 0.5})
    )


def test_an_option_may_vary_within_a_component_that_varies():
    optimizers = [{"name": "adam"}, "sgd", {"name": "sgd", "momentum": 0.9}]
    rates = {"low": 0.01, "high": 1, "log": True}
    for paths in ([RATE, "training.optimizer"], ["training.optimizer", RATE]):
        both = {RATE: rates, "training.optimizer": {"choice": optimizers}}
        space = space_of({path: both[path] for path in paths})
        names = []
        for index in range(3):
            values = space.values({"training.optimizer": index, RATE: 0.5})
            chosen = space.trial_spec(values).training.optimizer
            names.append(chosen.name)
            assert chosen.options["learning_rate"] == 0.5
        assert names == ["adam", "sgd", "sgd"]
        assert chosen.options["momentum"] == 0.9
        assert optimizers[0] == {"name": "adam"}  # nothing was set within it
        assert space.hyperparameters[paths.index("training.optimizer")].choices[0] == {
            "name": "adam"
        }


# --- what is refused ----------------------------------------------------------------------

MISPLACED = {
    # path: (dimension, part of expected, part of got, part of remedy)
    "network.l22": (DROPOUT, "a known key", "'l22'", "Did you mean 'l2'?"),
    "epochs": ({"low": 1, "high": 3}, "a known key", "'epochs'", "Known: accept, data"),
    "training.optimizer.momentun": (DROPOUT, "an option of", "'momentun'", "'momentum'?"),
    "network.hidden[1].units": ({"low": 1, "high": 3}, "an index below 1", "1", "Count from"),
    "network.hidden.units": (
        {"low": 1, "high": 3},
        "an index below 1",
        "'units'",
        "Count from",
    ),
    "network. l2": (DROPOUT, "a dotted path such as", "'network. l2'", "Count from 0"),
    "": (DROPOUT, "a dotted path such as", "''", "Count from 0"),
    "search": ({"choice": [None]}, "trials may differ", "'search'", "cannot vary"),
    "search.trials": ({"low": 1, "high": 3}, "trials may differ", "'search'", "cannot vary"),
    "name": ({"choice": ["a", "b"]}, "trials may differ", "'name'", "numbers"),
    "seed": ({"low": 0, "high": 3}, "trials may differ", "'seed'", "search.repeats"),
    "data.validation": (DROPOUT, "trials may differ", "'data.validation'", "the same rows"),
    "data.rows": ({"choice": [9]}, "trials may differ", "'data.rows'", "the same rows"),
    "data": ({"choice": [{}]}, "trials may differ", "'data.source'", "the same rows"),
    "training.threads": ({"choice": [1, 2]}, "may differ", "'training.threads'", "a process"),
    "network.activation.name": (
        {"choice": ["relu", "tanh"]},
        "a component with its options",
        "the name alone",
        "Write network.activation: {choice: [...]}",
    ),
    "network.hiden": (
        {"depth": [1, 2], "width": [3, 4]},
        "depth and width at network.hidden only",
        "'network.hiden'",
        "Did you mean 'network.hidden'?",
    ),
    "network.dropout": ({"low": 0, "high": 1}, "a number below 1", "1", "dropout: 0.0"),
    "network.use_bias": ({"low": 0, "high": 1}, "true or false", "0", "use_bias: true"),
    "network.activation": ({"choice": ["relu", "rellu"]}, "activation", "'rellu'", "'relu'?"),
    "network.hidden": ({"low": 1, "high": 3}, "a list", "1", "hidden: [256, 128]"),
    BATCH: ({"low": 0, "high": 64}, "at least 1", "0", "batch_size: 32"),
    "training.epochs": ({"low": 2.0, "high": 8}, "an integer", "2.0", "epochs: 20"),
    "training.log_every": ({"low": 2, "high": 8.5}, "an integer", "8.5", "log_every: 100"),
    "training.evaluate_every": (
        {"low": 2, "high": 9, "step": 1.5},
        "an integer as step",
        "step: 1.5",
        "step: 2",
    ),
}


@pytest.mark.parametrize("path", MISPLACED)
def test_a_dimension_that_cannot_be_is_refused_at_its_place(path):
    dimension, expected, got, remedy = MISPLACED[path]
    overrides = {"training.optimizer": "sgd"} if "momentun" in path else None
    finding, *others = findings_of({path: dimension}, overrides=overrides)
    assert finding.where == f"search.space.{path}"
    assert expected in finding.expected
    assert got in finding.got
    assert remedy in finding.remedy
    assert {other.where for other in others} <= {finding.where}  # its other end


def test_every_finding_of_a_space_comes_at_once():
    paths = [path for path in MISPLACED if path not in ("data", "search")]
    clashing = ("network.hidden", "network.hidden.units", "network.hidden[1].units")
    paths = [path for path in paths if path not in clashing]
    findings = findings_of({path: MISPLACED[path][0] for path in paths})
    assert {finding.where for finding in findings} == {
        f"search.space.{path}" for path in paths
    }


CLASHES = [
    ({"choice": [[3], [4, 5]]}, HIDDEN, "network.hidden[0].units", {"low": 1, "high": 3}),
    ({"depth": [1, 2], "width": [3, 4]}, HIDDEN, "network.hidden[0]", {"low": 1, "high": 3}),
    ({"low": 1, "high": 3}, "network.hidden[0]", "network.hidden.0", {"low": 4, "high": 5}),
    ({"choice": ["sgd", {"learning_rate": 0.1}]}, "training.optimizer", RATE, {"choice": [1]}),
    (
        {"choice": [None, {"monitor": "val_loss"}]},
        "training.early_stopping",
        "training.early_stopping.patience",
        {"low": 1, "high": 3},
    ),
]


@pytest.mark.parametrize(("dimension", "outer", "inner", "part"), CLASHES)
def test_two_dimensions_do_not_set_the_same_thing(dimension, outer, inner, part):
    for space in ({outer: dimension, inner: part}, {inner: part, outer: dimension}):
        (finding,) = findings_of(space)
        first, second = space
        assert finding.where == f"search.space.{second}"
        assert finding.got == f"{first}, which sets it too"


def test_epochs_are_hyperbands_to_decide():
    space = {"training.epochs": {"low": 1, "high": 9}}
    (finding,) = findings_of(space, algorithm="hyperband")
    assert "hyperband" in finding.remedy
    assert space_of(space, algorithm="random")


def test_a_stack_leaves_no_option_of_a_layer_behind():
    hidden = [{"units": 8, "activation": "tanh"}, 9, {"units": 3, "dropout": 0.5}]
    stack = {HIDDEN: {"depth": [1, 2], "width": [3, 4]}}
    (finding,) = findings_of(stack, overrides={HIDDEN: hidden})
    assert finding.got == "network.hidden[0].activation, network.hidden[2].dropout"
    assert "such as network.activation" in finding.remedy
    assert space_of({HIDDEN: {"choice": [hidden, [3]]}}, overrides={HIDDEN: hidden})
    assert space_of(stack, overrides={HIDDEN: [8, 9, 3]})


def test_a_grid_has_finitely_many_points():
    space = {"network.dropout": DROPOUT, BATCH: {"low": 16, "high": 64, "log": True}}
    (finding,) = findings_of(space, algorithm="grid")
    assert (finding.where, finding.got) == ("search.space.network.dropout", "none")
    space["network.dropout"] = {**DROPOUT, "step": 0.25}
    assert space_of(space, algorithm="grid")


@pytest.mark.parametrize(
    "path", ["network.l2", "network.hidden[0].l1", "training.loss", "data.scale_target"]
)
def test_losses_of_different_kinds_rank_no_trials(path):
    choices = {"training.loss": ["mse", "mae"], "data.scale_target": ["none", "standard"]}
    space = {path: {"choice": choices.get(path, [0.0, 0.1])}}
    regression = {"data.task": "regression"}
    for search in ({"objective": "val_loss"}, {}):
        (finding,) = findings_of(space, base="diabetes", overrides=regression, **search)
        assert finding.remedy == "Set search.objective to val_mae or val_r2."
    assert space_of(space, base="diabetes", overrides=regression, objective="val_mae")
    if path != "data.scale_target":
        (finding,) = findings_of(space, objective="val_loss")
        assert finding.remedy == "Set search.objective to val_accuracy."
    assert space_of(space)  # the task, and with it the objective, is the data's to tell


def test_a_step_may_end_before_the_highest():
    dropout = {"low": 0, "high": 1, "step": 0.3}  # 1 would be refused, and never comes
    space = space_of({"network.dropout": dropout, BATCH: {"low": 1, "high": 10, "step": 4}})
    assert [corner[BATCH] for corner in space.corners()][:2] == [1, 9]
    assert max(corner["network.dropout"] for corner in space.corners()) == pytest.approx(0.9)
    findings = findings_of({"network.dropout": {**dropout, "step": 0.1}})
    assert [finding.got for finding in findings] == ["1"]


# --- corners ------------------------------------------------------------------------------


def test_a_combination_that_is_no_spec_is_refused_with_its_values():
    space = {"training.optimizer": {"choice": ["adam", "sgd"]}}
    space["training.optimizer.momentum"] = {"low": 0.1, "high": 0.9}
    (finding,) = findings_of(space)
    assert finding.where == "search.space.training.optimizer.momentum"
    assert finding.expected == "an option of optimizer 'adam'"
    assert "training.optimizer='adam', training.optimizer.momentum=0.1" in finding.got
    space["training.optimizer"] = {"choice": ["rmsprop", "sgd"]}
    assert space_of(space, overrides={"training.optimizer": "sgd"})
    assert space_of(space)  # the base spec's own optimizer has no momentum


def test_a_finding_elsewhere_in_the_spec_names_the_corner():
    cosine = {"name": "cosine", "initial_learning_rate": 0.1}
    space = {RATE: {"choice": [0.1, cosine]}, "network.dropout": DROPOUT}
    (finding,) = findings_of(space, overrides={"training.callbacks": ["ReduceLROnPlateau"]})
    assert finding.where == "search.space"
    assert "training.callbacks[0].name to be one owner" in finding.expected
    assert f"{RATE}={{'name': 'cosine'" in finding.got
    assert "network.dropout=0.0" in finding.got


def test_every_choice_is_looked_at_and_not_its_ends_only():
    (finding,) = findings_of({BATCH: {"choice": [16, 24.5, 32]}})
    assert (finding.where, finding.got) == (f"search.space.{BATCH}", "24.5")


def test_all_combinations_of_a_small_space_are_corners():
    space = space_of(
        {
            HIDDEN: {"depth": [0, 2], "width": [4, 8]},
            BATCH: {"choice": [16, 24, 32]},
            "network.dropout": DROPOUT,
        }
    )
    corners = list(space.corners())
    assert len(corners) == 3 * 3 * 2  # [], [4, 4] and [8, 8]
    assert {HIDDEN: [8, 8], BATCH: 24, "network.dropout": 0.5} in corners
    assert corners[0] == {HIDDEN: [], BATCH: 16, "network.dropout": 0.0}


def test_a_large_space_is_looked_at_one_dimension_at_a_time():
    space = space_of(
        {f"network.hidden[{i}]": {"low": 2, "high": 3} for i in range(10)},
        overrides={HIDDEN: [1] * 10},
    )
    corners = list(space.corners())
    assert len(corners) == 1 + 1 + 10  # lowest, highest, each end alone
    widths = [list(corner.values()) for corner in corners]
    assert [2] * 10 in widths
    assert [3] * 10 in widths
    assert sorted(sum(row) for row in widths) == [20] + [21] * 10 + [30]


def test_512_combinations_are_all_looked_at():
    space = {f"network.hidden[{i}]": {"low": 2, "high": 3} for i in range(9)}
    assert len(list(space_of(space, overrides={HIDDEN: [1] * 9}).corners())) == 512


LARGEST = {
    "a stack": ({HIDDEN: {"depth": [1, 3], "width": [8, 64]}}, {HIDDEN: [64, 64, 64]}),
    "a list of stacks": (
        {HIDDEN: {"choice": [[1024], [512, 512], [], [{"units": 900, "dropout": 0.1}]]}},
        {HIDDEN: [1024]},
    ),
    "one layer": ({"network.hidden[0]": {"low": 8, "high": 64}}, {"network.hidden[0]": 64}),
    "batches": (
        {HIDDEN: {"depth": [0, 1], "width": [8, 8]}, BATCH: {"choice": [64, 16]}},
        {HIDDEN: [8], BATCH: 64},
    ),
}


@pytest.mark.parametrize("case", LARGEST)
def test_the_largest_network_is_the_deepest_and_widest(case):
    space, expected = LARGEST[case]
    assert space_of(space, overrides={HIDDEN: [8]}).largest() == expected


def test_the_specs_own_network_may_be_the_largest():
    space = space_of({HIDDEN: {"depth": [1, 1], "width": [8, 64]}}, overrides={HIDDEN: [999]})
    assert space.largest() == {HIDDEN: [999]}


OWN = {
    "within": ({RATE: {"low": 1e-4, "high": 1.0}}, {}, {RATE: 0.001}),
    "outside": ({RATE: {"low": 0.1, "high": 1.0}}, {}, {RATE: 0.001}),
    "off the grid": ({BATCH: {"low": 20, "high": 40, "step": 5}}, {}, {BATCH: 32}),
    "no choice": ({HIDDEN: {"choice": [[8], [9]]}}, {HIDDEN: [7, 5]}, {HIDDEN: [7, 5]}),
    "a choice by its name": (
        {"training.optimizer": {"choice": ["sgd", "adam"]}},
        {"training.optimizer": "adam"},
        {"training.optimizer": "adam"},
    ),
    "other layers": (
        {"network.hidden[0].units": {"low": 4, "high": 8}},
        {HIDDEN: [7, {"units": 5, "activation": "tanh"}]},
        {"network.hidden[0].units": 7},
    ),
    "a schedule": (
        {"training.optimizer.learning_rate": {"low": 0.1, "high": 1.0}},
        {RATE: {"name": "cosine", "initial_learning_rate": 0.1}},
        None,
    ),
    "left at its default": (
        {"training.optimizer.clipnorm": {"low": 0.1, "high": 1.0}},
        {},
        {},
    ),
    "within an outer one": (
        {"training.optimizer": {"choice": ["sgd", "adam"]}, RATE: {"low": 0.1, "high": 1.0}},
        {},
        {"training.optimizer": "adam", RATE: 0.001},
    ),
    "the built-in space": (
        {},
        {"network.init": "glorot_normal"},
        {"network.init": {"name": "glorot_normal"}, HIDDEN: [256], RATE: 0.001},
    ),
}


@pytest.mark.parametrize("case", OWN)
def test_trial_0_has_the_specs_own_values_wherever_they_lie(case):
    dimensions, overrides, expected = OWN[case]
    base = load_spec("digits", {**overrides, "search": {"space": dimensions}})
    space = Space.of(base)
    assert space.trial_spec(space.baseline) == load_spec(base, {"search": None})
    assert expected is None or space.baseline == expected


def test_few_inputs_make_a_deep_network_larger_than_a_wide_one():
    space = space_of({HIDDEN: {"choice": [[1024], [512, 512]]}})
    assert space.largest(num_inputs=4) == {HIDDEN: [512, 512]}


# --- the built-in space -------------------------------------------------------------------


@pytest.mark.parametrize("overrides", [{}, {"search": {"algorithm": "random", "trials": 3}}])
def test_a_spec_without_a_space_gets_one_written_out(overrides, tmp_path):
    base = load_spec("digits", overrides)
    space = Space.of(base)
    assert list(space.spec.search.space) == [HIDDEN, RATE, "network.init.stddev"]
    assert space.spec.search.space[HIDDEN].depth == (1, 3)
    assert space.spec.search.space[HIDDEN].width == (32, 512)
    stddev = space.spec.search.space["network.init.stddev"]
    assert (stddev.low, stddev.high, stddev.log) == (0.01, 1.0, True)
    assert space.spec.network.init.name == "truncated_normal"
    assert space.spec.network.init.options["stddev"] == 0.1
    if base.search:
        assert (space.spec.search.algorithm, space.spec.search.trials) == ("random", 3)
    path = tmp_path / "spec.yaml"
    path.write_text(dump_spec(space.spec))
    again = Space.of(load_spec(path))
    assert again == Space.of(space.spec)
    assert (again.spec, again.hyperparameters) == (space.spec, space.hyperparameters)


@pytest.mark.parametrize(
    ("optimizer", "low", "high"),
    [("adam", 1e-4, 0.1), ("nadam", 1e-4, 0.1), ("sgd", 1e-3, 1.0), ("tape_sgd", 1e-3, 1.0)],
)
def test_the_built_in_rates_are_the_optimizers(optimizer, low, high):
    search = Space.of(load_spec("digits", {"training.optimizer": optimizer})).spec.search
    assert (search.space[RATE].low, search.space[RATE].high) == (low, high)


def test_an_initialiser_with_a_stddev_stays():
    init = {"name": "random_normal", "stddev": 0.3}
    assert Space.of(load_spec("digits", {"network.init": init})).spec.network.init.name == (
        "random_normal"
    )


def test_of_a_schedule_the_first_rate_is_searched():
    schedule = {"name": "cosine", "initial_learning_rate": 0.01}
    space = Space.of(load_spec("digits", {RATE: schedule}))
    assert f"{RATE}.initial_learning_rate" in space.spec.search.space
    steps = {"name": "step", "boundaries": [3], "values": [0.1, 0.01]}
    assert list(Space.of(load_spec("digits", {RATE: steps})).spec.search.space) == [
        HIDDEN,
        "network.init.stddev",
    ]


def test_the_built_in_space_suits_a_grid():
    space = Space.of(load_spec("digits", {"search.algorithm": "grid"}))
    assert space.spec.search.space[RATE].step == 10


def test_without_rows_held_out_there_is_nothing_to_rank_by():
    with pytest.raises(SpecError) as caught:
        Space.of(load_spec("digits", {"data.validation": 0}))
    (finding,) = caught.value.findings
    assert finding.where == "search.objective"
    assert finding.remedy == "Set data.validation to 0.1."
    assert not finding.line


def test_a_space_in_the_spec_is_the_spec():
    spec = with_space({"network.dropout": DROPOUT})
    assert Space.of(spec).spec == spec


# --- any space ----------------------------------------------------------------------------


def points(space):
    """Any point within the parameters, of a stack with the widths that count."""

    def one(parameter):
        if parameter.kind == "choice":
            return st.integers(0, len(parameter.choices) - 1)
        if parameter.kind == "int":
            return st.integers(parameter.low, parameter.high)
        return st.floats(parameter.low, parameter.high)

    def active(point):
        return {
            parameter.name: point[parameter.name]
            for parameter in space.hyperparameters
            if not parameter.parent or point[parameter.parent] in parameter.parent_values
        }

    return st.fixed_dictionaries({p.name: one(p) for p in space.hyperparameters}).map(active)


ANY = space_of(
    {
        HIDDEN: {"depth": [0, 4], "width": [1, 512]},
        "network.dropout": {"low": 0, "high": 0.9},
        "network.activation": {"choice": ["relu", {"name": "leaky_relu"}, "tanh"]},
        "training.optimizer": {"choice": ["adam", {"name": "sgd", "momentum": 0.9}]},
        RATE: {"low": 1e-4, "high": 10, "log": True},
        BATCH: {"low": 1, "high": 1000, "step": 3},
        "training.early_stopping.patience": {"low": 0, "high": 9},
        "network.normalization": {"choice": ["none", "batch", "layer"]},
        "network.use_bias": {"choice": [True, False]},
    }
)


@given(points(ANY), st.integers(0, 2**32 - 1), st.integers(1, 99))
@settings(max_examples=40, deadline=None)
def test_any_point_within_the_parameters_is_a_valid_spec(point, seed, epochs):
    values = ANY.values(point)
    assert list(values) == list(ANY.spec.search.space)
    spec = ANY.trial_spec(values, seed=seed, epochs=epochs)
    assert load_spec(spec.model_dump(mode="json")) == spec  # as `kfc fit` would read it
    assert (spec.seed, spec.training.epochs, spec.search) == (seed, epochs, None)
    assert [layer.units for layer in spec.network.layers()] == values[HIDDEN]
    assert spec.training.optimizer.options["learning_rate"] == point[RATE]
    assert spec.training.batch_size == point[BATCH]


def test_a_space_is_checked_without_tensorflow():
    code = (
        "import sys; from kfc.spec import load_spec; from kfc.tuning.space import Space\n"
        "Space.of(load_spec('digits')).largest()\n"
        "heavy = {'tensorflow', 'keras', 'keras_tuner', 'numpy'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
