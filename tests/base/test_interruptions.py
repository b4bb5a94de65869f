"""Signals as exceptions: held back, let through, ignored."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from tljh.base.interruptions import (
    SIGNALS,
    Interruption,
    are_held_back,
    exit_code_of,
    held_back,
    is_change_kept,
    keep_change,
    let_through,
    raised_as_exceptions,
)


def send(number: int) -> None:
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_is_an_exception_with_the_exit_code_of_shells(number: signal.Signals) -> None:
    with pytest.raises(KeyboardInterrupt) as caught, raised_as_exceptions():
        send(number)
    assert exit_code_of(caught.value) == 128 + number
    assert signal.getsignal(number) is not None


def test_the_exit_code_is_found_through_what_the_signal_led_to() -> None:
    error = RuntimeError("aborted")
    error.__cause__ = Interruption(signal.SIGHUP)
    assert exit_code_of(error) == 129
    assert exit_code_of(KeyboardInterrupt()) == 130


def test_what_is_held_back_is_finished_and_then_interrupted() -> None:
    finished = False
    with pytest.raises(Interruption) as caught, raised_as_exceptions(), held_back():
        with held_back():
            send(signal.SIGHUP)
            send(signal.SIGTERM)
        finished = True
    assert finished
    assert caught.value.signal is signal.SIGHUP


def test_within_it_a_block_can_be_interrupted_and_its_cleanup_cannot() -> None:
    cleaned_up = False
    with raised_as_exceptions(), pytest.raises(ValueError, match="rolled back"), held_back():
        try:
            with let_through():
                send(signal.SIGTERM)
        except KeyboardInterrupt as error:
            send(signal.SIGINT)
            send(signal.SIGTERM)
            cleaned_up = True
            raise ValueError("rolled back") from error
    assert cleaned_up


def test_a_signal_that_came_before_interrupts_at_the_beginning() -> None:
    with raised_as_exceptions(), pytest.raises(Interruption), held_back():
        send(signal.SIGTERM)
        with let_through():
            raise AssertionError("not interrupted")


def test_a_signal_around_the_end_of_a_change_comes_too_late() -> None:
    with raised_as_exceptions():
        with held_back():
            send(signal.SIGTERM)
            keep_change()
            send(signal.SIGHUP)
        assert is_change_kept()


def test_after_a_change_the_first_signal_lets_the_command_finish_and_the_second_ends_it() -> None:
    with pytest.raises(Interruption) as caught, raised_as_exceptions():
        with held_back():
            keep_change()
        send(signal.SIGHUP)
        assert not are_held_back()
        send(signal.SIGTERM)
    assert caught.value.signal is signal.SIGTERM


def test_a_command_that_changed_nothing_yet_ends_at_the_first_signal() -> None:
    with raised_as_exceptions(), held_back():
        keep_change()
    with pytest.raises(Interruption), raised_as_exceptions():
        send(signal.SIGTERM)


def test_a_change_after_another_does_not_begin_when_a_signal_came_between_them() -> None:
    with pytest.raises(Interruption), raised_as_exceptions():
        with held_back():
            keep_change()
        send(signal.SIGTERM)
        with held_back(), let_through():
            raise AssertionError("it began")


def test_a_second_signal_does_not_cut_the_cleanup_of_the_first() -> None:
    cleaned_up = False
    with pytest.raises(Interruption), raised_as_exceptions():
        try:
            send(signal.SIGINT)
        finally:
            send(signal.SIGINT)
            cleaned_up = True
    assert cleaned_up


def test_what_nohup_ignores_stays_ignored() -> None:
    previous = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with raised_as_exceptions():
            send(signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, previous)


def test_in_another_thread_signals_stay_as_they_are() -> None:
    failures: list[BaseException] = []

    def work() -> None:
        try:
            with raised_as_exceptions():
                pass
        except ValueError as error:
            failures.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert failures == []
