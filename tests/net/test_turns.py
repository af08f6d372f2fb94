"""Everybody has his turn."""

import gevent
from gevent.event import Event

from jabberd_py.net import turns


def test_who_fails_in_his_turn_holds_up_no_other() -> None:
    done = Event()

    def fails() -> None:
        raise ValueError("a fault of ours")

    turns.begin(fails)
    turns.begin(done.set)
    assert done.wait(10)


def test_who_pauses_goes_on_after_one_that_fails() -> None:
    def fails() -> None:
        raise ValueError("a fault of ours")

    turns.begin(fails)
    with gevent.Timeout(10):
        turns.pause()
