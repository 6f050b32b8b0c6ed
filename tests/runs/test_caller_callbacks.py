import keras
import pytest

import kfc
from kfc.errors import SpecError
from kfc.runs.caller_callbacks import as_callback_list


def test_nothing_and_a_single_callback_make_lists():
    callback = keras.callbacks.History()
    assert as_callback_list(None, kfc.Spec()) == []
    assert as_callback_list(callback, kfc.Spec()) == [callback]


def test_a_refused_callback_is_named():
    class OrbaxCheckpoint(keras.callbacks.Callback):
        pass

    with pytest.raises(
        SpecError, match=r"callbacks\[0\].*got OrbaxCheckpoint\. kfc saves the"
    ):
        as_callback_list([OrbaxCheckpoint()], kfc.Spec())


def test_a_list_of_callbacks_is_taken_apart():
    inner = [keras.callbacks.History(), keras.callbacks.TerminateOnNaN()]
    assert as_callback_list(keras.callbacks.CallbackList(inner), kfc.Spec()) == inner
