import numpy as np
import pytest

from kfc.data import Parts, PlainColumns, Rows, check_learned, check_parts

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
