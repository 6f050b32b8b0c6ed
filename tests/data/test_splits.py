import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import train_test_split

from kfc.data.splits import SplitRequest, split
from kfc.errors import DataError

Y = np.repeat([0, 1, 2], [100, 60, 40])  # sorted, as many files are


def halves(y=Y, share=0.25, seed=0, stratify=True):
    return split(SplitRequest(y, share, seed, stratify, where="data.validation"))


@pytest.mark.parametrize("stratify", [True, False])
@pytest.mark.parametrize("share", [0.1, 0.25, 0.5, 0.9, 30])
def test_each_row_is_in_exactly_one_part(share, stratify):
    first, second = halves(share=share, stratify=stratify)
    assert sorted([*first, *second]) == list(range(200))


@pytest.mark.parametrize(("share", "size"), [(0.1, 20), (0.333, 67), (0.5, 100), (30, 30)])
def test_the_second_part_has_its_share_rounded_up(share, size):
    first, second = halves(share=share)
    assert (len(first), len(second)) == (200 - size, size)


def test_both_parts_keep_the_proportions_of_the_classes():
    for part in halves(share=0.25):
        np.testing.assert_array_equal(np.bincount(Y[part]) * 200, np.bincount(Y) * len(part))


def test_sorted_rows_are_shuffled_before_they_are_cut():
    _, second = halves(np.arange(200.0), share=0.25, stratify=False)
    assert second.min() < 20
    assert not np.array_equal(second, np.arange(150, 200))


def test_rows_keep_their_order_within_a_part():
    for part in halves():
        assert (np.diff(part) > 0).all()


def test_the_same_seed_gives_the_same_parts_and_another_others():
    np.testing.assert_array_equal(halves(seed=3)[1], halves(seed=3)[1])
    assert not np.array_equal(halves(seed=3)[1], halves(seed=4)[1])


@pytest.mark.parametrize(
    ("y", "share", "expected", "got"),
    [
        ([0] * 9 + [1], 0.2, "at least 2 rows of each class", "1 of 2 classes with 1 row"),
        (list(range(10)), 0.2, "at least 2 rows of each class", "10 of 10 classes"),
        ([0, 1, 2] * 4, 0.1, "3 to 9 of 12 rows", "2"),
        ([0, 1, 2] * 4, 0.95, "3 to 9 of 12 rows", "12"),
        ([0, 1, 2] * 4, 2, "3 to 9 of 12 rows", "2"),
    ],
    ids=["a lone row", "all alone", "too small a share", "too large a share", "too few rows"],
)
def test_a_class_that_cannot_be_in_both_parts_is_refused(y, share, expected, got):
    with pytest.raises(DataError) as caught:
        halves(np.array(y), share)
    (finding,) = caught.value.findings
    assert finding.where == "data.validation"
    assert expected in finding.expected
    assert got in finding.got
    assert finding.remedy


def test_a_lone_row_is_named():
    with pytest.raises(DataError, match="such as row 7"):
        halves(np.array([0] * 7 + [1] + [0] * 7))


def test_one_row_cannot_be_split():
    with pytest.raises(DataError):
        halves(np.array([0.5]), stratify=False)


@settings(deadline=None)  # the first split of a process imports scikit-learn
@given(
    y=st.lists(st.integers(0, 3), min_size=1, max_size=40),
    share=st.floats(0.01, 0.99) | st.integers(1, 39),
    stratify=st.booleans(),
)
def test_any_rows_are_split_or_refused(y, share, stratify):
    try:
        first, second = halves(np.array(y), share, stratify=stratify)
    except DataError:
        return
    assert sorted([*first, *second]) == list(range(len(y)))
    assert len(first) > 0
    assert len(second) > 0
    if stratify:
        assert set(np.array(y)[first]) == set(y)
        # In whole rows; so only a class whose share is less than one may be missing there.
        shares = {label: y.count(label) * len(second) // len(y) for label in y}
        taken = np.array(y)[second].tolist()
        assert all(taken.count(label) >= share for label, share in shares.items())


@pytest.mark.parametrize("classes", [2, 3, 7])
@pytest.mark.parametrize("share", [0.1, 0.2, 0.333, 0.5, 41])
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("stratify", [True, False])
def test_the_parts_are_those_of_scikit_learn(classes, share, seed, stratify):
    y = np.random.default_rng(seed).integers(0, classes, 1003) ** 2
    expected = train_test_split(
        np.arange(len(y)),
        test_size=share,
        random_state=seed,
        stratify=y if stratify else None,
    )
    for got, part in zip(halves(y, share, seed, stratify), expected, strict=True):
        np.testing.assert_array_equal(got, np.sort(part))
