import pytest

from kfc.training.engine.call_length import epochs_per_call, steps_per_call

MNIST = 784 * 256 + 256 * 128 + 128 * 10  # weights


def test_a_call_of_a_small_network_has_many_epochs():
    steps = steps_per_call(64 * 32 + 32 * 10, 32, steps_per_epoch=45)
    assert steps > 1_000
    assert epochs_per_call(steps, 45, kept_weights=None) == steps // 45
    assert epochs_per_call(10**6, 45, kept_weights=None) == 64


def test_an_epoch_that_is_a_little_longer_than_a_call_is_one_call():
    whole = steps_per_call(MNIST, 128, steps_per_epoch=10)  # as many as the cost allows
    assert whole > 100
    for steps in (whole - 1, whole + 1, int(1.4 * whole)):
        expected = max(whole, steps)
        assert steps_per_call(MNIST, 128, steps_per_epoch=steps) == expected
        assert epochs_per_call(expected, steps, kept_weights=None) == 1


@pytest.mark.parametrize("factor", [1.6, 2.3, 7.7, 50.0])
def test_the_calls_of_a_long_epoch_are_about_equally_long(factor):
    allowed = steps_per_call(MNIST, 128, steps_per_epoch=10)
    epoch = int(factor * allowed)
    steps = steps_per_call(MNIST, 128, steps_per_epoch=epoch)
    calls = -(-epoch // steps)
    assert 0.7 * allowed < steps < 1.5 * allowed
    assert epoch - (calls - 1) * steps > 0.8 * steps  # the last one


def test_a_large_step_is_a_call_of_its_own():
    assert steps_per_call(10**9, 512, steps_per_epoch=100) == 1


def test_kept_weights_limit_the_epochs_of_a_call():
    assert epochs_per_call(10**6, 10, kept_weights=10**5) == 2**26 // (12 * 10**5 + 1)
    assert epochs_per_call(10**6, 10, kept_weights=10**8) == 1
