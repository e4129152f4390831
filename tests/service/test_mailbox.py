"""What the mailbox promises to live sources, recordings and multi-camera boards."""

import threading

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
    assert [box.take(5) for _ in range(50)] == list(range(50))
    sent.join(5)


def test_take_gives_up_after_its_timeout() -> None:
    assert Mailbox[int]().take(0.001) is None


def test_closing_wakes_everyone_and_hands_back_what_came_late() -> None:
    dropped: list[int] = []
    box = Mailbox[int](dropped.append)
    box.put_newest("a", 1)
    waiting = threading.Thread(target=box.put_in_order, args=("a", 2))
    waiting.start()
    box.close()
    waiting.join(5)
    assert not waiting.is_alive()
    box.put_newest("a", 3)
    assert box.take(0) == 1
    assert dropped == [2, 3]
    with pytest.raises(Closed):
        box.take(None)
