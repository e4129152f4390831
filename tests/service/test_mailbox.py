"""What the mailbox promises to live sources, recordings and multi-camera boards."""

import threading
from contextlib import suppress

import pytest

from spotterd.service.mailbox import Closed, Mailbox


def test_newest_wins_and_the_old_one_is_handed_back() -> None:
    dropped: list[int] = []
    box = Mailbox[int](dropped.append)
    box.put_newest("a", 1)
    box.put_newest("a", 2)
    assert box.take(0) == 2
    assert dropped == [1]


def test_senders_are_served_in_turn() -> None:
    box = Mailbox[str]()
    box.put_newest("a", "a1")
    box.put_newest("b", "b1")
    assert box.take(0) == "a1"
    box.put_newest("a", "a2")
    assert [box.take(0), box.take(0)] == ["b1", "a2"]


def test_in_order_waits_until_taken() -> None:
    box = Mailbox[int]()
    sent = threading.Thread(target=lambda: [box.put_in_order("a", n) for n in range(50)])
    sent.start()
    assert [box.take(30) for _ in range(50)] == list(range(50))
    sent.join(30)


def test_take_gives_up_after_its_timeout() -> None:
    assert Mailbox[int]().take(0.001) is None


def test_closing_wakes_everyone_and_hands_back_what_came_late() -> None:
    dropped: list[int] = []
    box = Mailbox[int](dropped.append)
    box.put_in_order("a", 1)
    waiting = threading.Thread(target=box.put_in_order, args=("a", 2))
    waiting.start()
    box.close()
    waiting.join(30)
    assert not waiting.is_alive()
    box.put_in_order("a", 3)
    box.put_newest("b", 4)
    assert box.take(0) == 1
    assert dropped == [2, 3, 4]
    for _ in range(2):
        with pytest.raises(Closed):
            box.take(None)


def test_closing_wakes_who_waits_for_something_to_take() -> None:
    box, ended = Mailbox[int](), threading.Event()

    def wait() -> None:
        with pytest.raises(Closed):
            box.take(None)
        ended.set()

    threading.Thread(target=wait).start()
    box.close()
    assert ended.wait(30)


def test_many_senders_and_takers_lose_nothing() -> None:
    box, taken = Mailbox[int](), []

    def take_all() -> None:
        with suppress(Closed):
            while True:
                taken.append(box.take(None))

    takers = [threading.Thread(target=take_all) for _ in range(3)]
    senders = [
        threading.Thread(target=lambda n=n: [box.put_in_order(str(n), m) for m in range(200)])
        for n in range(3)
    ]
    for thread in (*takers, *senders):
        thread.start()
    for thread in senders:
        thread.join(60)
    box.close()
    for thread in takers:
        thread.join(60)
    assert sorted(taken) == sorted([*range(200)] * 3)
