import numpy as np
import pytest

from kfc.data import Parts, PlainColumns, Rows, check_learned, check_parts, prepare
from kfc.spec import load_spec

GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(600, 5)).astype("float32")
Y = (X[:, 0] + X[:, 1] > 0).astype(np.int64)
NAMES = ("no", "yes")


def found(train, others=None, names=NAMES, **options):
    others = {where: Rows(*part) for where, part in (others or {}).items()}
    return check_parts(Parts(Rows(*train), others, names, **options))


def names_of(findings):
    return [each.name for each in findings]


def test_rows_that_were_split_at_random_have_no_finding():
    parts = Parts(Rows(X[:500], Y[:500]), {"test rows": Rows(X[500:], Y[500:])}, NAMES)
    assert check_parts(parts) == ()
    assert check_learned(parts) == ()


def test_rows_copied_into_the_test_are_counted():
    (finding,) = found((X, Y), {"test rows": (X[:80], Y[:80])})
    assert finding.label == "KFC218 training_rows_repeated"
    assert finding.evidence == {"rows": 80, "share": 1.0}


def test_the_row_of_an_array_is_left_out_by_its_code():
    parts = Parts(Rows(X, Y), {"test rows": Rows(X[:80], Y[:80])}, NAMES)
    assert check_parts(parts, ("KFC218",)) == ()


@pytest.mark.parametrize("shuffle", [True, False])
def test_sorted_rows_matter_only_without_shuffling(shuffle):
    order = np.argsort(Y, kind="stable")
    findings = found((X[order], Y[order]), shuffle=shuffle)
    assert names_of(findings) == ([] if shuffle else ["rows_sorted"])


def test_a_regression_sorted_by_its_target_is_found():
    y = np.sort(X[:, 0])[:, None]
    (finding,) = found((X, y), names=(), shuffle=False)
    assert finding.name == "rows_sorted"
    assert finding.cure == {"training.shuffle": True}


def test_constant_border_pixels_are_no_finding():
    pictures = np.zeros((300, 8, 8), np.uint8)
    pictures[:, 3, 3] = np.arange(300) % 256
    assert found((pictures, np.arange(300) % 2), pixels=True) == ()


def test_parts_of_a_time_series_may_differ():
    later = {"test rows": (X[:200] + 3, np.ones(200, np.int64))}
    parts = Parts(Rows(X, Y), {w: Rows(*p) for w, p in later.items()}, NAMES, by_time=True)
    assert "parts_differ" not in names_of(check_learned(parts))
    assert "class_shares_differ" not in names_of(check_parts(parts))


def test_a_drift_has_its_auc_as_evidence():
    parts = Parts(Rows(X, Y), {"test rows": Rows(X[:200] + 3, Y[:200])}, NAMES)
    (finding,) = check_learned(parts)
    assert finding.label == "KFC278 parts_differ"
    assert finding.evidence["auc"] > 0.95


def test_a_column_of_an_array_that_tells_the_target_is_found():
    parts = Parts(Rows(np.c_[X, 2.0 * Y].astype("float32"), Y), {}, NAMES)
    (finding,) = check_learned(parts)
    assert finding.label == "KFC217 target_in_column"
    assert finding.cure == {}


def test_shuffled_targets_are_unrelated():
    y = GENERATOR.permutation(Y)
    assert names_of(check_learned(Parts(Rows(X, y), {}, NAMES))) == ["targets_unrelated"]


def test_columns_of_an_array_have_names():
    assert list(PlainColumns.of(Rows(X, Y)).places)[:2] == ["x[0]", "x[1]"]


def test_equal_rows_of_a_few_flags_with_different_classes_are_chance():
    flags = (GENERATOR.random((600, 12)) < 0.5).astype("float32")
    chance = (GENERATOR.random(600) < 0.5).astype(np.int64)
    assert names_of(found((flags, chance))) == []


def test_class_weights_show_that_a_rare_class_is_known():
    rare = (np.arange(600) < 12).astype(np.int64)
    assert names_of(found((X, rare))) == ["one_class_dominates"]
    assert found((X, rare), weighted=True) == ()


def test_many_rare_classes_hide_a_relation_instead_of_denying_it():
    edges = np.quantile(X[:, 0], np.linspace(0, 1, 61)[1:-1])
    parts = Parts(Rows(X, np.digitize(X[:, 0], edges)), {}, tuple(map(str, range(60))))
    assert "targets_unrelated" not in names_of(check_learned(parts))


# --- tables ---------------------------------------------------------------------------------

CITIES = GENERATOR.choice([f"city {letter}" for letter in "abcdefghijklmnop"], 600)


def of_table(columns, labels):
    spec = load_spec({"data": {"target": "target", "validation": 0, "test": "none"}})
    prepared = prepare(spec, {**columns, "target": np.where(labels, "yes", "no")})
    return check_parts(Parts.of(spec, prepared))


def test_a_table_of_different_columns_has_no_finding():
    assert of_table({"size": X[:, 0], "age": X[:, 1], "city": CITIES}, Y) == ()


def test_a_column_of_a_table_that_repeats_another_one_is_named():
    (finding,) = of_table({"size": X[:, 0], "age": X[:, 1], "copy": X[:, 0]}, Y)
    assert finding.label == "KFC276 features_repeated"
    assert "copy (as size)" in str(finding)


def test_categories_that_repeat_under_other_names_are_named():
    renamed = np.char.replace(CITIES, "city a", "z")
    (finding,) = of_table({"size": X[:, 0], "city": CITIES, "renamed": renamed}, Y)
    assert "renamed (as city)" in str(finding)


def test_rows_of_a_table_with_two_labels_are_counted():
    twice = {"size": np.tile(X[:300, 0], 2), "city": np.tile(CITIES[:300], 2)}
    labels = np.r_[Y[:300], Y[:300] ^ (np.arange(300) < 60)]
    (finding,) = of_table(twice, labels)
    assert finding.label == "KFC277 targets_conflict"
    assert finding.evidence["rows"] == 60


def test_rows_of_a_table_of_few_categories_have_several_labels_by_nature():
    columns = {name: GENERATOR.choice(["a", "b", "c"], 600) for name in "uvwxyz"}
    assert of_table(columns, GENERATOR.random(600) < 0.5) == ()


@pytest.mark.parametrize("dtype", ["float32", "uint8", "int16"])
@pytest.mark.parametrize("value", [-999, 250])
def test_a_number_that_stands_for_missing_values_is_named_in_any_type(dtype, value):
    """The other numbers are from 20 to 60, so that 250 is far above them as well."""
    if dtype == "uint8" and value < 0:
        pytest.skip("uint8 has no such value")
    x = (20 + np.arange(200 * 3).reshape(200, 3) * 7 % 41).astype(dtype)
    assert "value_for_missing" not in names_of(found((x, Y[:200])))
    x[::20, 1] = value
    (finding,) = [each for each in found((x, Y[:200])) if each.name == "value_for_missing"]
    assert "x[1]" in finding.where
    assert finding.evidence["rows"] == 10


def test_a_column_of_many_sizes_has_no_number_for_missing_values():
    skewed = np.exp(2 * X)
    skewed[:40, 0] = 0.0  # as amounts of money have
    skewed[0, 1] = 1e6  # one row may be an outlier
    assert "value_for_missing" not in names_of(found((skewed, Y)))


@pytest.mark.parametrize("names", [NAMES, ()])
def test_held_out_targets_in_another_order_are_named(names):
    targets = Y if names else np.tanh(X[:, 0] + X[:, 1])
    others = {"test rows": Rows(X[400:], targets[400:])}
    parts = Parts(Rows(X[:400], targets[:400]), others, names)
    assert check_learned(parts) == ()
    order = np.random.default_rng(1).permutation(200)
    others = {"test rows": Rows(X[400:], targets[400:][order])}
    (finding,) = check_learned(Parts(parts.train, others, names))
    assert finding.name == "held_out_targets_differ"
    assert finding.evidence["training_score"] > 0.5 > abs(finding.evidence["score"])


def test_flags_of_all_classes_are_a_leak_and_a_flag_of_one_is_not():
    classes, names = np.arange(600) % 3, ("a", "b", "c")
    flags = np.eye(3, dtype="float32")[classes]
    for count, leaks in ((3, True), (2, True), (1, False)):
        rows = Rows(np.c_[X, flags[:, :count]], classes)
        leak = [each for each in check_learned(Parts(rows, {}, names)) if "217" in each.label]
        assert bool(leak) == leaks


def test_a_column_whose_values_repeat_with_other_classes_is_no_leak():
    x = (np.arange(300) // 3 % 50).astype("float32")[:, None]
    y = (x[:, 0] + np.arange(300) % 3 > 25).astype(np.int64)
    assert "target_in_column" not in names_of(check_learned(Parts(Rows(x, y), {}, NAMES)))
