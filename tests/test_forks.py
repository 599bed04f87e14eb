from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from apikeys.core.memory import BoundedMemory
from apikeys.limits import attempts
from apikeys.logging import refusals

from .logs import written_by

pytestmark = [
    # Python 3.12 warns of every fork of a process with threads.
    pytest.mark.filterwarnings("ignore:This process:DeprecationWarning"),
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork"),
]

_memory: BoundedMemory[str, int] = BoundedMemory()


class Slow(str):
    """A text that whoever looks it up waits for, with whatever lock that takes."""

    __slots__ = ("is_looked_up", "is_over")

    def __init__(self, _text: str) -> None:
        self.is_looked_up, self.is_over = threading.Event(), threading.Event()

    def __hash__(self) -> int:
        self.is_looked_up.set()
        self.is_over.wait(timeout=30)
        return super().__hash__()

    def __eq__(self, other: object) -> bool:
        return super().__eq__(other)


@contextmanager
def looked_up(look_up: Callable[[str], object]) -> Iterator[None]:
    """Have another thread look something up, for as long as the context lasts."""
    name = Slow("held")
    thread = threading.Thread(target=look_up, args=[name])
    thread.start()
    try:
        assert name.is_looked_up.wait(timeout=10)
        yield
    finally:
        name.is_over.set()
        thread.join(timeout=10)


def succeeds_in_child(do: Callable[[], bool]) -> bool:
    """Return whether *do* says so in a child of this process, and is done in some seconds."""
    child = os.fork()
    if child == 0:
        # Nothing of the parent's tests may go on here.
        signal.alarm(5)
        code = 1
        try:
            code = 0 if do() else 1
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.fixture(autouse=True)
def tap(monkeypatch):
    monkeypatch.setattr(refusals, "tap", refusals.Tap())
    # None for an hour, so that each refusal is looked up to be counted.
    refusals.tap.lines = -3_600.0 * refusals.LINES_PER_SECOND


def refuse(reason):
    refusals.tell(reason=reason, key_id="", family="", address="")


def remember(name):
    _memory.put(name, 1, most=10)


@pytest.mark.parametrize("look_up", [remember, refuse, attempts.count])
def test_a_child_waits_for_no_lock_that_another_thread_held_in_its_parent(settings, look_up):
    settings.APIKEYS = {**settings.APIKEYS, "LIMITS_STORAGE": "memory://"}

    def look_up_another():
        look_up("another")
        return True

    with written_by("apikeys.auth"), looked_up(look_up):
        assert succeeds_in_child(look_up_another)


def test_a_child_remembers_what_its_parent_did():
    remember("known")

    assert succeeds_in_child(lambda: _memory.get("known") == 1)


def test_a_child_does_not_tell_again_which_refusals_its_parent_left_out():
    with written_by("apikeys.auth") as stream:
        refuse("key_expired")

        def tells_nothing():
            refusals.tell_rest()
            return stream.getvalue() == ""

        assert succeeds_in_child(tells_nothing)
        refusals.tell_rest()

    assert "1 more refusals" in stream.getvalue()
