import os
import signal
import subprocess
import sys
import threading

import pytest

from kfc.system.signals import Interrupts, ended_by_signals


def send(number):
    os.kill(os.getpid(), number)


@pytest.fixture
def handled():
    """Signals that reach the handlers a caller has installed."""
    heard = []
    before = {
        number: signal.signal(number, lambda number, _: heard.append(number))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    yield heard
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_waits_for_the_moment(handled, number):
    with Interrupts() as interrupts:
        send(number)
        assert interrupts.heard == number
        assert handled == []
        interrupts.obey()
        assert handled == [number]
    assert handled == [number]


def test_a_second_signal_acts_at_once(handled):
    with Interrupts():
        send(signal.SIGINT)
        send(signal.SIGTERM)
        assert handled == [signal.SIGTERM]
        send(signal.SIGINT)
        assert handled == [signal.SIGTERM, signal.SIGINT]


def test_a_signal_that_was_not_obeyed_acts_at_the_end(handled):
    with Interrupts():
        send(signal.SIGTERM)
    assert handled == [signal.SIGTERM]


def test_a_signal_is_not_lost_where_an_error_comes_first(handled):
    def fails():
        with Interrupts():
            send(signal.SIGTERM)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    assert handled == [signal.SIGTERM]


def test_ctrl_c_is_a_keyboard_interrupt_as_ever():
    def works():
        with Interrupts() as interrupts:
            send(signal.SIGINT)
            interrupts.obey()

    with pytest.raises(KeyboardInterrupt):
        works()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_what_was_ignored_stays_ignored():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with Interrupts() as interrupts:
            send(signal.SIGINT)
            assert interrupts.heard is None
    finally:
        signal.signal(signal.SIGINT, before)


def test_without_a_signal_nothing_happens(handled):
    with Interrupts() as interrupts:
        interrupts.obey()
    assert handled == []


def test_handlers_are_put_back(handled):
    before = signal.getsignal(signal.SIGTERM)
    with Interrupts():
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_thread_that_no_signal_reaches_changes_no_handler(handled):
    before, seen = signal.getsignal(signal.SIGTERM), []

    def work():
        with Interrupts():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_a_process_whose_library_holds_the_interpreter(number):
    script = (
        "import signal, ctypes; from kfc.system import ended_by_signals\n"
        f"signal.signal({int(number)}, lambda *given: None)\n"
        "with ended_by_signals():\n"
        "    print('waiting', flush=True)\n"
        "    ctypes.PyDLL(None).sleep(60)"  # `PyDLL` keeps the interpreter's lock
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"waiting\n"
        process.send_signal(number)
        assert process.wait(50) == -number


def test_signals_have_their_handlers_again_after_the_block():
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with ended_by_signals():
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == before
