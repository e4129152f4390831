"""The rows of the outbox: which are safe, which are ready, which the link has. No I/O, no locks."""

from collections import deque
from collections.abc import Iterable, Sequence

from spotterd.publish.base import Message, Row
from spotterd.publish.ledger import Entry, Ledger

AHEAD = 32  # rows held ready for the broker
MEMORY_BYTES = 8 << 20  # of messages that are not on disk


class Shelf:
    """A row is put, saved, made ready in the order of ids, taken and done.

    Args:
        max_rows: and `max_bytes`: over these the least important goes first, see `Ledger`.
        newest: ids begin after this one.

    Attributes:
        dropped: rows given up because there were too many.
        in_memory: rows are made ready without having been saved, because the disk fails.
        newest: the highest id given.
        unsaved: rows that are not on disk, by id.
    """

    def __init__(self, max_rows: int, max_bytes: int, newest: int) -> None:
        self.dropped = 0
        self.in_memory = False
        self.newest = newest
        self.unsaved: dict[int, Row] = {}
        self._limits = max_rows, max_bytes
        self._memory_limits = max_rows, min(max_bytes, MEMORY_BYTES)
        self._all = Ledger(*self._limits)
        self._unsaved_sizes = Ledger(*self._memory_limits)
        self._ready: deque[Row] = deque()
        self._taken: dict[int, Row] = {}
        self._gone: list[int] = []
        self._saved_up_to = 0
        self._ready_up_to = 0

    def __len__(self) -> int:
        return len(self._all)

    @property
    def bytes(self) -> int:
        """Of all rows together."""
        return self._all.bytes

    @property
    def has_ready(self) -> bool:
        """`take` would give something."""
        return bool(self._ready)

    @property
    def has_gone(self) -> bool:
        """There are rows to forget on disk."""
        return bool(self._gone)

    def all_taken(self) -> bool:
        """Nothing waits to be taken."""
        return len(self._taken) == len(self._all)

    # What the daemon and the link do.

    def put(self, message: Message) -> None:
        """Take in a new row."""
        self.newest += 1
        self.unsaved[self.newest] = Row(self.newest, message)
        self._unsaved_sizes.add(self.newest, _entry(message))
        self._all.add(self.newest, _entry(message))
        self._drop(self._all.drop_excess())
        self._drop(self._unsaved_sizes.drop_excess())

    def take(self, most: int) -> Sequence[Row]:
        """Up to `most` ready rows, in order."""
        rows = [self._ready.popleft() for _ in range(min(max(most, 0), len(self._ready)))]
        rows = [row for row in rows if row.id in self._all]  # others were dropped meanwhile
        self._taken.update((row.id, row) for row in rows)
        return rows

    def rewind(self) -> None:
        """What was taken and not done will be ready again."""
        self._taken.clear()
        self.offer_anew()

    def done(self, row_id: int) -> None:
        """A row has arrived."""
        if self._all.remove(row_id):
            self._leave(row_id)

    # What the disk's side does.

    def load(self, entries: Sequence[tuple[int, Entry]]) -> bool:
        """The file was opened and holds these. False where its ids do not precede ours."""
        newest = entries[-1][0] if entries else 0
        if self.unsaved and newest >= min(self.unsaved):
            return False
        known = Ledger(*self._limits)
        for row_id, entry in (*entries, *self._unsaved_sizes.items()):
            known.add(row_id, entry)
        self._all = known
        self._saved_up_to = newest
        self.newest = max(self.unsaved, default=newest)
        self._drop(self._all.drop_excess())  # limits may be lower than they were
        return True

    def to_save(self) -> tuple[Sequence[Row], Sequence[int]]:
        """Rows to write and ids to forget; the latter are handed over, see `keep_gone`."""
        gone, self._gone = self._gone, []
        return list(self.unsaved.values()), gone

    def keep_gone(self, gone: Iterable[int]) -> None:
        """Forgetting them did not work."""
        self._gone += gone

    def saved(self, rows: Sequence[Row]) -> None:
        """These rows are safe; those that come next are ready without being read back."""
        are_next = self._ready_up_to == self._saved_up_to and len(self._ready) + len(rows) <= AHEAD
        for row in rows:
            self._saved_up_to = row.id
            self._unsaved_sizes.remove(row.id)
            if self.unsaved.pop(row.id, None) is None:
                self._gone.append(row.id)  # dropped or done while it was being written
            elif are_next:
                self._ready.append(row)
        if are_next:
            self._ready_up_to = self._saved_up_to

    def wants(self) -> tuple[int, int] | None:
        """Rows to make ready: after this id, at most so many. None: enough are, or all."""
        up_to = self.newest if self.in_memory and self.unsaved else self._saved_up_to
        if len(self._ready) >= AHEAD or self._ready_up_to >= up_to:
            return None
        return self._ready_up_to, AHEAD - len(self._ready)

    def offer(self, after: int, rows: Sequence[Row]) -> None:
        """Answers `wants` with what the disk has after that id; nothing: no more is there."""
        if self._ready_up_to != after:
            return  # rewound meanwhile
        self._ready_up_to = rows[-1].id if rows else max(after, self._saved_up_to)
        if not rows and self.in_memory:
            rows = [row for row in self.unsaved.values() if row.id > after]
            rows = rows[: AHEAD - len(self._ready)]
            self._ready_up_to = rows[-1].id if rows else max(self.newest, after)
        self._ready += (row for row in rows if row.id in self._all and row.id not in self._taken)

    def offer_anew(self) -> None:
        """Begin again with the oldest; what is taken stays taken."""
        self._ready.clear()
        self._ready_up_to = 0

    def start_over(self) -> int:
        """The file is gone: what is in memory is kept, as unsaved. Returns how many are lost."""
        known = (*self._taken.values(), *self._ready, *self.unsaved.values())
        kept = {row.id: row for row in known if row.id in self._all}
        lost = len(self._all) - len(kept)
        self.unsaved = {row_id: kept[row_id] for row_id in sorted(kept)}
        self._all, self._unsaved_sizes = Ledger(*self._limits), Ledger(*self._memory_limits)
        for row_id, row in self.unsaved.items():
            self._all.add(row_id, _entry(row.message))
            self._unsaved_sizes.add(row_id, _entry(row.message))
        self._gone = []
        self._saved_up_to = 0
        self.dropped += lost
        self.offer_anew()
        return lost

    def _drop(self, row_ids: Iterable[int]) -> None:
        for row_id in row_ids:
            self._all.remove(row_id)
            self._leave(row_id)
            self.dropped += 1

    def _leave(self, row_id: int) -> None:
        """A row that is no longer in the ledger leaves memory now, the disk later."""
        self._taken.pop(row_id, None)
        self._unsaved_sizes.remove(row_id)
        if self.unsaved.pop(row_id, None) is None:
            self._gone.append(row_id)


def _entry(message: Message) -> Entry:
    return Entry(message.kind, message.event, len(message.topic) + len(message.payload))
