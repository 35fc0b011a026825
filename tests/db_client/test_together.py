"""What several threads ask for at the same time is done once for all of them."""

from __future__ import annotations

import threading

import pytest

from db_client.together import Together
from tests.waiting import eventually


class Gated:
    """An act that notes what it was called with, and for the item 0 waits at a gate."""

    def __init__(self) -> None:
        self.acts: list[list[int]] = []
        self.gate = threading.Event()

    def __call__(self, items: list[int]) -> None:
        self.acts.append(items)
        if items == [0]:
            self.gate.wait(30)


def test_those_who_wait_are_acted_for_at_once_and_in_order():
    """While one act is under way the others gather; the next act is for all of them."""
    gated = Gated()
    together = Together(gated)
    threads = [threading.Thread(target=together.do, args=(0,))]
    threads[0].start()
    eventually(lambda: gated.acts == [[0]], what="the first act")
    for number in range(1, 6):
        threads.append(threading.Thread(target=together.do, args=(number,)))
        threads[-1].start()
        eventually(lambda number=number: len(together._waiting) == number, what="one more waits")
    gated.gate.set()
    for thread in threads:
        thread.join(30)
    assert gated.acts == [[0], [1, 2, 3, 4, 5]]


def test_nobody_is_left_behind():
    """Every item of many threads is acted for exactly once."""
    done: list[int] = []
    together = Together(done.extend)
    threads = [
        threading.Thread(target=lambda first=first: [together.do(first + step) for step in range(200)])
        for first in range(0, 1600, 200)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(done) == list(range(1600))


def test_an_act_that_raises_does_not_stop_the_next():
    """The thread that acted gets what was raised; the turn goes on."""

    def act(items: list[str]) -> None:
        if items == ["bad"]:
            raise ValueError("bad")

    together = Together(act)
    with pytest.raises(ValueError, match="bad"):
        together.do("bad")
    together.do("good")


def test_what_is_offered_is_acted_for_by_the_next_who_acts():
    """An offer has no thread of its own, so it never gets the turn; nothing is lost and nobody hangs."""
    done: list[int] = []
    together = Together(done.extend)

    def offer(first: int) -> None:
        for number in range(first, first + 200):
            together.offer(number)
            together.act()

    threads = [threading.Thread(target=offer, args=(first,)) for first in range(0, 800, 200)]
    threads += [
        threading.Thread(target=lambda first=first: [together.do(first + step) for step in range(200)])
        for first in range(800, 1600, 200)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(done) == list(range(1600))
    together.act()


def test_an_act_under_way_is_waited_for():
    """Whoever asks for an act knows afterwards what became of an offer that somebody else had already taken up."""
    done: list[str] = []
    gate = threading.Event()

    def act(items: list[str]) -> None:
        gate.wait(30)
        done.extend(items)

    together = Together(act)
    together.offer("offered")
    taking = threading.Thread(target=together.act)
    taking.start()
    eventually(lambda: not together._waiting, what="the offer is taken up")
    seen: list[list[str]] = []
    asking = threading.Thread(target=lambda: (together.act(), seen.append(list(done))))
    asking.start()
    eventually(lambda: together._waiting or seen, what="the second waits")
    gate.set()
    taking.join(30)
    asking.join(30)
    assert seen == [["offered"]]
    assert done == ["offered"]


def test_whoever_gives_up_is_not_acted_for_and_does_not_keep_the_turn():
    """A thread that has slept long enough goes, whether it was to act next or not; those behind it get their turn."""
    gated = Gated()
    together = Together(gated)
    acting = threading.Thread(target=together.do, args=(0,))
    acting.start()
    eventually(lambda: gated.acts == [[0]], what="the first act")
    together.do(1, within=0.01)
    patient = threading.Thread(target=together.do, args=(2,), kwargs={"within": 30})
    patient.start()
    eventually(lambda: len(together._waiting) == 1, what="the next one waits")
    together.do(3, within=0.0)
    gated.gate.set()
    acting.join(30)
    patient.join(30)
    together.do(4, within=0.0)
    assert gated.acts == [[0], [2], [4]]


def test_a_turn_that_comes_as_one_gives_up_goes_to_the_next():
    """However often both happen at once, nobody is left behind."""
    acts: list[int] = []
    together = Together(acts.extend)

    def hurry() -> None:
        for _ in range(300):
            together.do(0, within=0.0)

    def wait() -> None:
        for _ in range(300):
            together.do(1)

    threads = [threading.Thread(target=target, daemon=True) for target in (hurry, wait, hurry, wait)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads)
    assert acts.count(1) == 600
    together.do(2, within=0.0)
    assert acts[-1] == 2
