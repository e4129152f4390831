"""The only thing that threads hand frames through: one item a sender, served in turn."""

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Closed(Exception):  # noqa: N818 (a signal, not an error)
    """The mailbox was closed; there is nothing left to take."""


class Mailbox(Generic[T]):
    """Holds at most one item per sender; the longest waiting sender is served first.

    Args:
        dropped: called with an item that a newer one of the same sender replaced.
    """

    def __init__(self, dropped: Callable[[T], None] = lambda _item: None) -> None:
        self._items: OrderedDict[str, T] = OrderedDict()
        self._changed = threading.Condition()
        self._closed = False
        self._dropped = dropped

    def put_newest(self, sender: str, item: T) -> None:
        """Leave an item; an older one of the same sender is dropped (live sources)."""
        with self._changed:
            if self._closed:
                old: T | None = item
            else:
                old = self._items.get(sender)
                self._items[sender] = item
                self._changed.notify_all()
        if old is not None:
            self._dropped(old)

    def put_in_order(self, sender: str, item: T) -> None:
        """Leave an item once the sender's last one was taken (recordings, and between stages)."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or sender not in self._items)
            if not self._closed:
                self._items[sender] = item
                self._changed.notify_all()
                return
        self._dropped(item)

    def take(self, timeout_s: float | None = None) -> T | None:
        """The next item, or None after `timeout_s`.

        Raises:
            Closed: the mailbox is closed and empty.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: self._items or self._closed, timeout_s):
                return None
            if not self._items:
                raise Closed
            _, item = self._items.popitem(last=False)
            self._changed.notify_all()
            return item

    def close(self) -> None:
        """Let takers empty the mailbox and then stop; later items are dropped."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def __len__(self) -> int:
        return len(self._items)
