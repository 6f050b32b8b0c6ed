"""Every operation on the disk, gone wrong in every way: what is trained stays the same."""

import errno
import random

import pytest

FAILURES = ("die", "tear", errno.ENOSPC, errno.EIO)


def checkpoints_in(log):
    return sum(name == "rename" and to[-1].parent.name == "checkpoints" for name, *to in log)


@pytest.mark.parametrize(
    "failure",
    [
        *("die", "tear"),
        pytest.param(errno.ENOSPC, id="ENOSPC"),
        pytest.param(errno.EIO, id="EIO", marks=pytest.mark.slow),  # takes the same way
    ],
)
def test_a_toy_trains_to_the_same_bits_whatever_operation_fails(
    toy, expected, faulty_disk, tmp_path, failure
):
    for at in range(1, len(expected.log) + 1):
        folder = tmp_path / f"at-{at}"
        folder.mkdir()
        with faulty_disk(at, failure) as disk:
            toy.train(folder)
        assert disk.has_failed or expected.log[at - 1][0] == "rmtree"
        with faulty_disk():
            steps = toy.train(folder)
        assert toy.outcome(folder) == expected.outcome, at
        # Each step has its checkpoint: none that was there before the failure is made again.
        assert steps <= max(0, expected.steps - checkpoints_in(disk.log[: at - 1])), at


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 9))]
)
def test_a_crash_while_a_crash_is_recovered_changes_nothing(
    toy, expected, faulty_disk, tmp_path, seed
):
    chosen = random.Random(seed)
    for at in range(1, len(expected.log) + 1):
        folder = tmp_path / f"at-{at}"
        folder.mkdir()
        for operation in (at, chosen.randrange(1, 30)):
            with faulty_disk(operation, chosen.choice(FAILURES)):
                toy.train(folder)
        with faulty_disk():
            toy.train(folder)
        assert toy.outcome(folder) == expected.outcome, at


def test_what_is_renamed_was_synced_before_and_is_synced_with_its_folder_after(
    expected, check_syncs
):
    check_syncs(expected.log)


def test_the_toy_is_worth_its_crashes(expected):
    """It logs, checkpoints within epochs, and is stopped early after its best epoch."""
    arrays, lines, _ = expected.outcome
    assert {name.partition("/")[0] for name in arrays} == {
        *("weights", "metrics", "seeds", "optimizer", "callback")
    }
    assert len([1 for name, *_ in expected.log if name == "rename"]) > expected.steps
    assert len(lines) > expected.steps
    assert len({name for name, *_ in expected.log}) >= 6
