"""Functions in lockstep run by turns; their questions are answered together."""

import signal
import threading
from types import SimpleNamespace

import pytest

from kfc.system import lockstep
from kfc.system.lockstep import (
    ask,
    in_lockstep,
    interrupts_here,
    number_in_lockstep,
    own_seconds,
)


def no_thread_is_left():
    return not any(each.name == lockstep._NAME for each in threading.enumerate())


class Asker:
    """Asks some questions and returns its number, obeying signals after each answer."""

    def __init__(self, number, questions, *, signals=(), fails=None, log=None):
        self.number, self.questions, self.log = number, questions, log
        self.signals, self.fails = signals, fails
        self.saved = 0

    def __call__(self):
        with interrupts_here() as interrupts:
            for question in range(self.questions):
                if question == self.fails:
                    raise ValueError(f"of {self.number}")
                answer = ask((self.number, question))
                if self.log is not None:
                    self.log.append((self.number, answer))
                if question in self.signals:
                    signal.raise_signal(signal.SIGINT)
                if interrupts.heard:
                    self.saved = question + 1
                interrupts.obey()
        return self.number


class Answers:
    def __init__(self):
        self.rounds = []

    def __call__(self, questions):
        self.rounds.append(questions)
        return [f"{number}.{question}" for number, question in questions]


def test_questions_are_answered_together_as_long_as_there_are_several():
    answers, log = Answers(), []
    askers = [Asker(0, 1, log=log), Asker(1, 3, log=log), Asker(2, 2, log=log)]
    assert list(in_lockstep(askers, answers)) == [0, 1, 2]
    assert answers.rounds == [[(0, 0), (1, 0), (2, 0)], [(1, 1), (2, 1)], [(1, 2)]]
    assert log == [(0, "0.0"), (1, "1.0"), (2, "2.0"), (1, "1.1"), (2, "2.1"), (1, "1.2")]


def test_one_thread_runs_at_any_time():
    running, most = [], []

    def function():
        for _ in range(20):
            running.append(1)
            most.append(len(running))
            running.pop()
            ask("next")

    list(in_lockstep([function] * 4, lambda questions: [None] * len(questions)))
    assert set(most) == {1}


def test_nobody_answers_outside_of_lockstep():
    assert ask("anyone?") is None
    assert number_in_lockstep() == 1


def test_a_function_knows_how_many_are_in_lockstep():
    assert list(in_lockstep([number_in_lockstep] * 3, list)) == [3, 3, 3]


def test_each_has_its_own_seconds_and_its_share_of_those_of_answers(monkeypatch):
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr(lockstep, "time", SimpleNamespace(monotonic=lambda: clock.now))

    def function(before, questions):
        began = own_seconds()
        clock.now += before
        for _ in range(questions):
            ask("next")
        return own_seconds() - began

    def answers(questions):
        clock.now += 6
        return questions

    functions = [lambda: function(1, 1), lambda: function(2, 3), lambda: function(5, 1)]
    # Three share the first answer; the second function has the other two for itself.
    assert list(in_lockstep(functions, answers)) == [1 + 2, 2 + 2 + 6 + 6, 5 + 2]
    assert clock.now == 100 + 8 + 3 * 6


def test_outside_of_lockstep_the_own_seconds_are_those_of_the_clock(monkeypatch):
    monkeypatch.setattr(lockstep, "time", SimpleNamespace(monotonic=lambda: 7.0))
    assert own_seconds() == 7.0


def test_an_error_ends_the_functions_after_it_and_is_raised_in_its_turn():
    log = []
    askers = [Asker(0, 3, log=log), Asker(1, 5, fails=1, log=log), Asker(2, 5, log=log)]
    trained = in_lockstep(askers, Answers())
    assert next(trained) == 0  # the one before it has run to its end
    with pytest.raises(ValueError, match="of 1"):
        next(trained)
    assert {number for number, _ in log} == {0, 1}  # the last one ended at its question
    assert no_thread_is_left()


def test_the_first_error_in_their_order_is_raised():
    askers = [Asker(0, 5, fails=3), Asker(1, 5, fails=1)]
    with pytest.raises(ValueError, match="of 0"):
        list(in_lockstep(askers, Answers()))


def test_a_function_after_an_error_at_the_beginning_never_begins():
    begun = []
    with pytest.raises(ValueError, match="of 0"):
        list(in_lockstep([Asker(0, 1, fails=0), lambda: begun.append(1)], Answers()))
    assert begun == []


def test_an_error_of_an_answer_ends_all():
    with pytest.raises(ZeroDivisionError):
        list(in_lockstep([Asker(0, 2), Asker(1, 2)], lambda questions: [1 // 0]))
    assert no_thread_is_left()


def test_all_obey_a_signal_after_the_same_number_of_questions():
    askers = [Asker(0, 9), Asker(1, 9, signals=(1,)), Asker(2, 9)]
    with pytest.raises(KeyboardInterrupt):
        list(in_lockstep(askers, Answers()))
    assert [asker.saved for asker in askers] == [3, 3, 3]
    assert no_thread_is_left()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_second_signal_acts_at_once():
    askers = [Asker(0, 9), Asker(1, 9, signals=(1,)), Asker(2, 9, signals=(1,))]
    with pytest.raises(KeyboardInterrupt):
        list(in_lockstep(askers, Answers()))
    assert [asker.saved for asker in askers] == [0, 0, 0]
    assert no_thread_is_left()


def test_a_signal_that_the_caller_handles_lets_them_go_on():
    heard = []
    before = signal.signal(signal.SIGINT, lambda number, frame: heard.append(number))
    try:
        askers = [Asker(0, 4), Asker(1, 5, signals=(0,))]
        assert list(in_lockstep(askers, Answers())) == [0, 1]
    finally:
        signal.signal(signal.SIGINT, before)
    assert heard == [signal.SIGINT]
    assert [asker.saved for asker in askers] == [2, 2]


def test_a_signal_before_all_have_begun_lets_no_other_begin():
    def begins():
        signal.raise_signal(signal.SIGINT)
        return Asker(0, 3)()

    begun = []
    with pytest.raises(KeyboardInterrupt):
        list(in_lockstep([begins, lambda: begun.append(1)], Answers()))
    assert begun == []


def test_functions_end_when_their_results_are_no_longer_wanted():
    trained = in_lockstep([Asker(0, 1), Asker(1, 9)], Answers())
    assert next(trained) == 0
    trained.close()
    assert no_thread_is_left()
