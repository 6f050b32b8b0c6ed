"""Tests of `kfc.system.two_threads`."""

import threading

import pytest

from kfc.system import both_in_threads, in_threads


def test_results_have_the_order_of_the_items():
    second_is_done = threading.Event()

    def slow_first(item):
        if item == 0:
            assert second_is_done.wait(10)
        else:
            second_is_done.set()
        return item * item

    assert in_threads(slow_first, range(5)) == [0, 1, 4, 9, 16]


def test_no_item_gives_no_result():
    assert in_threads(str, []) == []


def test_the_error_of_the_first_item_is_raised_though_a_later_one_fails_before():
    second_has_failed = threading.Event()

    def fail(item):
        if item == "first":
            assert second_has_failed.wait(10)
        second_has_failed.set()
        raise ValueError(item)

    with pytest.raises(ValueError, match="first"):
        in_threads(fail, ["first", "second"])


def test_both_functions_run_at_the_same_time():
    meeting = threading.Barrier(2)

    def meet(result):
        meeting.wait(10)
        return result

    assert both_in_threads(lambda: meet(1), lambda: meet("two")) == (1, "two")
