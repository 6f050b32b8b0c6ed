import gc
import weakref

import pytest

from kfc.system.garbage import without_collection


class Node:
    """An object that only the collector can free."""

    def __init__(self):
        self.itself = self


@pytest.fixture(autouse=True)
def collector():
    """Leaves the collector as it was."""
    was_enabled = gc.isenabled()
    gc.unfreeze()  # what commands in this process have frozen
    yield
    gc.unfreeze()
    (gc.enable if was_enabled else gc.disable)()


def test_nothing_is_collected_within_the_body_and_all_is_later():
    with without_collection():
        assert not gc.isenabled()
        lost = weakref.ref(Node())
        kept = [[] for _ in range(100_000)]
        assert lost() is not None
    assert gc.isenabled()
    assert len(kept) == 100_000
    gc.collect()
    assert lost() is None


def test_the_objects_of_the_body_are_old_ones():
    with without_collection():
        node = Node()
    assert any(each is node for each in gc.get_objects(generation=2))


def test_an_error_leaves_the_collector_running():
    with pytest.raises(KeyError), without_collection():
        raise KeyError
    assert gc.isenabled()


def test_a_collector_that_is_off_stays_off():
    gc.disable()
    with without_collection(), without_collection():
        pass
    assert not gc.isenabled()


def test_objects_that_the_caller_has_frozen_stay_frozen():
    gc.freeze()
    frozen = gc.get_freeze_count()
    assert frozen
    with without_collection():
        pass
    # Objects that are freed by their last reference leave the frozen ones too.
    assert gc.get_freeze_count() > frozen / 2
