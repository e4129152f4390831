"""What is in the outbox, without the payloads: order, sizes, and who goes first when it is full."""

from collections.abc import ItemsView
from typing import NamedTuple

DISPENSABLE = ("update", "picture")  # an event is understood without them


class Entry(NamedTuple):
    """One message of the outbox."""

    kind: str
    event: str
    size: int


class Ledger:
    """Entries by id, in order. Not thread-safe.

    Args:
        max_rows: more than this are too many.
        max_bytes: of topics and payloads together.
    """

    def __init__(self, max_rows: int, max_bytes: int) -> None:
        self.bytes = 0
        self._max_rows = max_rows
        self._max_bytes = max_bytes
        self._entries: dict[int, Entry] = {}
        self._dispensable: dict[int, None] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, row_id: int) -> bool:
        return row_id in self._entries

    def items(self) -> ItemsView[int, Entry]:
        """Ids and entries, in order."""
        return self._entries.items()

    def add(self, row_id: int, entry: Entry) -> None:
        """Ids must come in order."""
        self._entries[row_id] = entry
        self.bytes += entry.size
        if entry.kind in DISPENSABLE:
            self._dispensable[row_id] = None

    def remove(self, row_id: int) -> bool:
        """Forget an entry; False where it was not there."""
        entry = self._entries.pop(row_id, None)
        if entry is None:
            return False
        self._dispensable.pop(row_id, None)
        self.bytes -= entry.size
        return True

    def drop_excess(self) -> list[int]:
        """Remove what is too much; returns the ids.

        The oldest update or picture goes first, then the oldest start together with its end.
        """
        dropped: list[int] = []
        while len(self) > self._max_rows or self.bytes > self._max_bytes:
            oldest = next(iter(self._dispensable or self._entries))
            for row_id in [oldest] if oldest in self._dispensable else self._same_event(oldest):
                self.remove(row_id)
                dropped.append(row_id)
        return dropped

    def _same_event(self, row_id: int) -> list[int]:
        event = self._entries[row_id].event
        if not event:
            return [row_id]
        return [other for other, entry in self._entries.items() if entry.event == event]
