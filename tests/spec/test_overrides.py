import pytest

from kfc.errors import SpecError
from kfc.spec import load_spec, read_value

SET = {
    "training.epochs": (3, lambda s: s.training.epochs),
    "training.optimizer.learning_rate": (0.5, lambda s: s.training.optimizer.learning_rate),
    "training.optimizer": ("sgd", lambda s: s.training.optimizer.name),
    "network.hidden": ([], lambda s: list(s.network.hidden)),
    "network.hidden[0]": (7, lambda s: s.network.hidden[0].units),
    "network.hidden[0].units": (7, lambda s: s.network.hidden[0].units),
    "network.hidden.0.units": (7, lambda s: s.network.hidden[0].units),
    "network.hidden[0].dropout": (0.5, lambda s: s.network.hidden[0].dropout),
    "network.hidden[0].normalization": ("batch", lambda s: s.network.hidden[0].normalization),
    "training.early_stopping.patience": (9, lambda s: s.training.early_stopping.patience),
}


@pytest.mark.parametrize("path", SET)
def test_an_override_sets_its_path(path):
    value, get = SET[path]
    assert get(load_spec("digits", {path: value})) == value


def test_an_override_keeps_the_rest_of_a_short_form():
    spec = load_spec(
        {"network": {"activation": "elu", "hidden": [256]}},
        {"network.activation.alpha": 0.5, "network.hidden[0].l2": 0.1},
    )
    assert (spec.network.activation.name, spec.network.hidden[0].units) == ("elu", 256)


def test_an_override_changes_no_dict_of_the_caller():
    mine = {"network": {"hidden": [3, 4]}}
    load_spec(mine, {"network.hidden[0]": 5})
    assert mine == {"network": {"hidden": [3, 4]}}


def test_an_override_replaces_a_wrong_value_of_the_file(read):
    with pytest.raises(SpecError):
        read("seed: -1")
    assert read("seed: -1", seed=3).seed == 3
    assert read("seed: .nan", seed=3).seed == 3


BAD_PATHS = ("a..b", "", ".seed", "seed.", "network..hidden", "[0]", "a[", "a[x]", "a b", 3)


@pytest.mark.parametrize("path", [*BAD_PATHS, "network.hidden[-1]"])
def test_a_malformed_path_is_refused(path, finding_of):
    finding = finding_of(load_spec, "digits", {path: 3})
    assert "a dotted path such as" in finding.expected
    assert finding.got == repr(path)


@pytest.mark.parametrize(
    ("path", "where", "expected"),
    [
        ("network.hidden[5].units", "network.hidden[5].units", "an index below 1"),
        ("network.hidden[1]", "network.hidden[1]", "an index below 1"),
        ("network.hidden.units", "network.hidden.units", "an index below 1"),
        ("seed.x", "seed.x", "keys below seed"),
        ("training.callbacks[0].name", "training.callbacks[0].name", "a list below callbacks"),
        ("data[0]", "data[0]", "a key that is a name"),
        ("3", "3", "a key that is a name"),
        ("foo.bar", "foo", "a known key"),
        ("trainig.epochs", "trainig", "a known key"),
    ],
)
def test_a_path_that_leads_nowhere_is_refused(path, where, expected, finding_of):
    finding = finding_of(load_spec, "digits", {path: 3})
    assert (finding.where, finding.expected, finding.line) == (where, expected, "override")


def test_all_wrong_overrides_are_reported_at_once():
    with pytest.raises(SpecError) as caught:
        load_spec("digits", {"a..b": 1, "seed.x": 2, "network.hidden[7]": 3})
    assert len(caught.value.findings) == 3


def test_overrides_that_are_no_dict_are_refused(finding_of):
    assert finding_of(load_spec, "digits", ["seed=3"]).got == "list"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("1e-3", 0.001),
        ("[256, 128]", [256, 128]),
        ("{name: sgd, momentum: 0.9}", {"name": "sgd", "momentum": 0.9}),
        ("relu", "relu"),
        ("sklearn:digits", "sklearn:digits"),
        ("true", True),
        ("no", "no"),
        ("", None),
        ("null", None),
        ("'3'", "3"),
        ("[1", "[1"),
        ("*a", "*a"),
        ("!!python/name:os.system", "!!python/name:os.system"),
        ("a: b", "a: b"),
    ],
)
def test_the_value_of_an_override_reads_as_yaml_or_else_as_text(text, value):
    assert read_value(text) == value
