"""The only thing that threads hand frames through: one item a sender, served in turn."""

import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

T = TypeVar("T")


class Closed(Exception):  # noqa: N818 (a signal, not an error)
    """The mailbox was closed; there is nothing left to take."""


class Mailbox(Generic[T]):
    """Holds at most one item per sender; the longest waiting sender is served first.

    A sender keeps to one of the two ways to put. Who waits does so in a `SimpleQueue`, which is
    written in C: conditions take twice the CPU time for every item handed over.

    Args:
        dropped: called with an item that a newer one of the same sender replaced.
    """

    def __init__(self, dropped: Callable[[T], None] = lambda _item: None) -> None:
        self._dropped = dropped
        self._lock = threading.Lock()  # guards the next three
        self._items: dict[str, T] = {}
        self._room: dict[str, SimpleQueue[None]] = {}  # something in it: the sender may put
        self._closed = False
        self._waiting: SimpleQueue[str | None] = SimpleQueue()  # senders; None: closed

    def put_newest(self, sender: str, item: T) -> None:
        """Leave an item; an older one of the same sender is dropped (live sources)."""
        with self._lock:
            old = item if self._closed else self._items.get(sender)
            if not self._closed:
                self._items[sender] = item
                if old is None:
                    self._waiting.put(sender)
        if old is not None:
            self._dropped(old)

    def put_in_order(self, sender: str, item: T) -> None:
        """Leave an item once the sender's last one was taken (recordings, and between stages)."""
        with self._lock:
            room = self._room.get(sender)
            if room is None:
                room = self._room[sender] = SimpleQueue()
                room.put(None)
            elif self._closed:  # nobody makes room any more
                room.put(None)
        room.get()
        self.put_newest(sender, item)

    def take(self, timeout_s: float | None = None) -> T | None:
        """The next item, or None after `timeout_s`.

        Raises:
            Closed: the mailbox is closed and empty.
        """
        try:
            sender = self._waiting.get(timeout=timeout_s)
        except Empty:
            return None
        if sender is None:
            self._waiting.put(None)  # for whoever asks next
            raise Closed
        with self._lock:
            item = self._items.pop(sender)
            if sender in self._room:
                self._room[sender].put(None)
        return item

    def close(self) -> None:
        """Let takers empty the mailbox and then stop; later items are dropped."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._waiting.put(None)
            for room in self._room.values():
                room.put(None)

    @property
    def closed(self) -> bool:
        """Nothing that comes now is taken any more."""
        return self._closed

    def __len__(self) -> int:
        return len(self._items)
