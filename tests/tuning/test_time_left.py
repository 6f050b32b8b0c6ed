import pytest

from kfc.tuning.time_left import time_left


def test_nothing_is_said_where_nothing_is_known_or_left():
    assert time_left([], 5, 5, workers=1) == ""
    assert time_left([1.0], 0, 0, workers=1) == ""


@pytest.mark.parametrize(
    ("durations", "trials", "repeats", "workers", "text"),
    [
        ([2.0, 4.0], 10, 0, 1, "about 30 s left"),
        ([2.0, 4.0], 10, 10, 2, "about 30 s left"),
        ([0.01], 3, 0, 1, "about 1 s left"),
        ([60.0], 3, 0, 1, "about 3 min left"),
        ([3600.0], 2, 3, 1, "about 5 h left"),
        ([86400.0], 0, 3, 1, "about 3 days left"),
    ],
)
def test_what_is_left_takes_the_mean_of_what_is_done(
    durations, trials, repeats, workers, text
):
    assert time_left(durations, trials, repeats, workers=workers) == text


def test_a_limit_of_seconds_bounds_the_trials_and_not_the_finals():
    assert time_left([10.0], 1000, 2, workers=1, seconds=50.0) == "about 80 s left"
    assert time_left([10.0], 1000, 0, workers=1, seconds=-5.0) == "about 10 s left"
