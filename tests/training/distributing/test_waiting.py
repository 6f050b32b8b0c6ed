import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from kfc.training.distributing.waiting import wait_for

WAITING = """
import os, signal, sys, threading
from kfc.training.distributing.waiting import wait_for
signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
threading.Timer(0.2, lambda: os.kill(os.getpid(), {signal})).start()
wait_for(threading.Event().wait)
"""


def test_the_result_of_a_call_is_returned():
    assert wait_for(lambda: 3) == 3


def test_the_error_of_a_call_is_raised():
    with pytest.raises(ZeroDivisionError):
        wait_for(lambda: 1 / 0)


def test_a_signal_ends_the_wait_for_a_call_that_goes_on():
    begun, end = threading.Event(), threading.Event()

    def call():
        begun.set()
        return end.wait()

    def interrupt():
        begun.wait()
        time.sleep(0.05)  # until the main thread waits
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        wait_for(call)
    end.set()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_process_ends_though_the_call_goes_on(number, code):
    script = WAITING.format(signal=int(number))
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=60)
    assert done.returncode == code
