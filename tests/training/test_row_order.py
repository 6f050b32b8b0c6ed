import subprocess
import sys

import numpy as np
import pytest

from kfc.training.row_order import epoch_order, rows_of_step


def order(num_rows=1000, seed=0, epoch=0, shuffle=True):
    return epoch_order(num_rows, seed=seed, epoch=epoch, shuffle=shuffle)


@pytest.mark.parametrize("num_rows", [0, 1, 2, 7, 1000])
def test_an_order_is_a_permutation(num_rows):
    got = order(num_rows)
    assert got.dtype == np.int32
    assert sorted(got) == list(range(num_rows))


def test_every_epoch_has_another_order():
    seen = {order(epoch=epoch).tobytes() for epoch in range(50)}
    assert len(seen) == 50


def test_every_seed_has_another_order():
    assert len({order(seed=seed).tobytes() for seed in range(50)}) == 50


def test_seed_and_epoch_are_not_added_up():
    assert not np.array_equal(order(seed=1, epoch=2), order(seed=2, epoch=1))


def test_the_order_of_a_seed_and_epoch_never_changes():
    np.testing.assert_array_equal(order(seed=3, epoch=4), order(seed=3, epoch=4))
    np.random.seed(9)
    np.testing.assert_array_equal(order(seed=3, epoch=4), order(seed=3, epoch=4))


def test_an_epoch_needs_no_earlier_one():
    later = order(epoch=7)
    for epoch in range(7):
        order(epoch=epoch)
    np.testing.assert_array_equal(order(epoch=7), later)


def test_without_shuffling_rows_come_as_they_are():
    np.testing.assert_array_equal(order(10, epoch=5, shuffle=False), np.arange(10))


def test_each_of_several_orders_is_a_permutation_of_its_own():
    orders = epoch_order(100, seed=0, epoch=0, shuffle=True, num_orders=3)
    assert orders.shape == (3, 100)
    assert orders.dtype == np.int32
    assert all(sorted(each) == list(range(100)) for each in orders)
    assert len({each.tobytes() for each in orders}) == 3


def test_several_orders_visit_the_same_windows():
    options = {"seed": 0, "epoch": 1, "window": 16}
    orders = epoch_order(100, shuffle=True, num_orders=3, **options)
    for first in range(0, 100, 16):
        of_window = [sorted(each[first : first + 16]) for each in orders]
        assert of_window[0] == of_window[1] == of_window[2]
    kept = epoch_order(100, shuffle=False, num_orders=3, **options)
    np.testing.assert_array_equal(kept, [range(100)] * 3)


def test_a_step_has_the_rows_of_each_order():
    np.testing.assert_array_equal(rows_of_step(np.arange(7), 1, 4), [4, 5, 6])
    orders = np.array([[0, 1, 2, 3, 4], [4, 3, 2, 1, 0]])
    np.testing.assert_array_equal(rows_of_step(orders, 0, 2), [0, 1, 4, 3])
    np.testing.assert_array_equal(rows_of_step(orders, 2, 2), [4, 0])


def test_rows_land_everywhere():
    places = np.stack([np.argsort(order(10, epoch=epoch)) for epoch in range(2000)])
    assert abs(places.mean(axis=0) - 4.5).max() < 0.3


def test_the_largest_seed_works():
    assert sorted(order(10, seed=2**32 - 1)) == list(range(10))


def test_the_order_is_the_same_in_another_process():
    code = (
        "from kfc.training.row_order import epoch_order\n"
        "print(epoch_order(20, seed=3, epoch=4, shuffle=True).tolist())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == str(order(20, seed=3, epoch=4).tolist())


# --- windows ------------------------------------------------------------------------------


def windows(epoch=0, num_rows=100, window=12, **options):
    return epoch_order(
        num_rows, seed=0, epoch=epoch, **{"shuffle": True, "window": window, **options}
    )


def test_an_order_by_windows_keeps_their_rows_together_and_the_short_one_last():
    got = windows()
    assert sorted(got) == list(range(100))
    pieces = [got[first : first + 12] // 12 for first in range(0, 100, 12)]
    assert all(len(set(piece)) == 1 for piece in pieces)
    assert pieces[-1][0] == 8  # rows 96 to 99


def test_windows_and_their_rows_come_in_a_new_order_in_each_epoch():
    orders = [windows(epoch) for epoch in range(20)]
    assert len({tuple(order[::12] // 12) for order in orders}) > 15
    within = {tuple(order[order // 12 == 3]) for order in orders}
    assert len(within) == 20


def test_one_window_of_all_rows_is_the_order_without_windows():
    np.testing.assert_array_equal(windows(window=100), order(100))


def test_windows_do_not_matter_where_nothing_is_shuffled():
    np.testing.assert_array_equal(windows(shuffle=False), np.arange(100))
