"""The outbox: keeps what happened until the broker acknowledged it, whatever else goes wrong.

Messages are committed to disk before they are offered, many in one commit. A disk that fails (full,
read-only) makes the outbox go on in memory and say so; a broken file is set aside.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from spotterd.errors import FallBackError, RetryError
from spotterd.publish.base import Message, Row, nobody
from spotterd.publish.ledger import Entry, Ledger
from spotterd.publish.store import Store

log = logging.getLogger(__name__)

BATCH_S = 0.1  # at least this long between two commits: what comes meanwhile shares the next one
FORGET_AFTER_S = 5.0  # acknowledged rows leave the disk with the next commit, or after this
RETRY_S = 10.0  # between attempts to use a disk that failed
AHEAD = 32  # rows held ready for the broker
MEMORY_BYTES = 8 << 20  # of messages that are not on disk


class Outbox:
    """What the link calls is told by `base.Durable`.

    Args:
        path: the file; its folder is made. It is locked: one daemon, one outbox.
        max_rows: and `max_bytes`: over these the least important goes first, see `Ledger`.
        retry_s: seconds between attempts to use a disk that failed.

    Attributes:
        dropped: messages given up, because the outbox was full or its file was broken.
        problem: why messages are not safe on disk; empty when they are.
        commits: with an fsync, since start.
        left_open: the last message of every event that an earlier run started and never ended.
    """

    def __init__(
        self,
        path: Path,
        max_rows: int = 10_000,
        max_bytes: int = 64 << 20,
        retry_s: float = RETRY_S,
    ) -> None:
        self.on_ready: Callable[[], None] = nobody
        self.dropped = 0
        self.problem = ""
        self.commits = 0
        self.left_open: Sequence[Message] = ()
        self._path = path
        self._limits = max_rows, max_bytes
        self._retry_s = retry_s
        self._store: Store | None = None
        self._changed = threading.Condition()  # guards all of the following
        self._all = Ledger(*self._limits)
        self._unsaved: dict[int, Row] = {}
        self._unsaved_sizes = Ledger(max_rows, min(max_bytes, MEMORY_BYTES))
        self._ready: deque[Row] = deque()
        self._taken: dict[int, Row] = {}
        self._gone: list[int] = []  # to forget on disk
        # Where ids begin if the file cannot be read now: after all that it may hold.
        self._newest = time.time_ns()
        self._saved_up_to = 0
        self._ready_up_to = 0
        self._saved_at_s = 0.0
        self._failed_at_s = 0.0
        self._failed_since_s = 0.0
        self._closing = False
        self._guarded(self._open)
        self._thread = threading.Thread(target=self._run, name="outbox", daemon=True)
        self._thread.start()

    # For any thread.

    def put(self, message: Message) -> None:
        """Keep a message; never waits for the disk."""
        entry = _entry(message)
        with self._changed:
            self._newest += 1
            self._unsaved[self._newest] = Row(self._newest, message)
            self._unsaved_sizes.add(self._newest, entry)
            self._all.add(self._newest, entry)
            self._drop(self._all.drop_excess())
            self._drop(self._unsaved_sizes.drop_excess())
            self._changed.notify_all()

    def take(self, most: int) -> Sequence[Row]:
        """The next rows that are safe (or as safe as can be) and not taken since `rewind`."""
        with self._changed:
            rows = [self._ready.popleft() for _ in range(min(max(most, 0), len(self._ready)))]
            rows = [row for row in rows if row.id in self._all]  # others were dropped meanwhile
            self._taken.update((row.id, row) for row in rows)
            self._changed.notify_all()
            return rows

    def rewind(self) -> int:
        """A new connection: offer again what was taken and not done. Returns the newest id."""
        with self._changed:
            self._taken.clear()
            self._offer_anew()
            return self._newest

    def done(self, row_id: int) -> None:
        """The broker has it."""
        with self._changed:
            if self._all.remove(row_id):
                self._leave(row_id)
                self._changed.notify_all()

    def idle(self) -> bool:
        """Nothing waits to be taken."""
        with self._changed:
            return len(self._taken) == len(self._all)

    @property
    def depth(self) -> int:
        """Messages the broker has not acknowledged."""
        return len(self._all)

    @property
    def bytes(self) -> int:
        """Their size."""
        return self._all.bytes

    def close(self) -> None:
        """Write down what is not on disk yet, and give the file back."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(5)

    # Under the lock.

    def _leave(self, row_id: int) -> None:
        """A row that is no longer in the ledger leaves memory now, the disk later."""
        self._taken.pop(row_id, None)
        if self._unsaved.pop(row_id, None) is None:
            self._gone.append(row_id)
        self._unsaved_sizes.remove(row_id)

    def _drop(self, row_ids: Iterable[int]) -> None:
        for row_id in row_ids:
            self._all.remove(row_id)
            self._leave(row_id)
            self.dropped += 1

    def _offer_anew(self) -> None:
        self._ready.clear()
        self._ready_up_to = 0
        self._changed.notify_all()

    def _can_offer_up_to(self) -> int:
        return self._newest if self.problem and self._unsaved else self._saved_up_to

    def _can_offer_more(self) -> bool:
        return len(self._ready) < AHEAD and self._ready_up_to < self._can_offer_up_to()

    def _save_in_s(self) -> float | None:
        """Seconds until there is something to do on disk; None: nothing."""
        if self._closing:
            return 0
        if self.problem:
            at_s = self._failed_at_s + self._retry_s
        elif self._unsaved:
            at_s = self._saved_at_s + BATCH_S
        elif self._gone:
            at_s = self._saved_at_s + FORGET_AFTER_S
        else:
            return None
        return max(at_s - time.monotonic(), 0)

    # The outbox's own thread.

    def _run(self) -> None:
        closing = False
        while not closing:
            with self._changed:
                while (save_in_s := self._save_in_s()) != 0 and not self._can_offer_more():
                    self._changed.wait(save_in_s)
                closing = self._closing
            if save_in_s == 0:
                self._guarded(self._save)
            self._guarded(self._make_ready)
            if self._ready:
                self.on_ready()
        if self._store:
            self._store.close()

    def _guarded(self, step: Callable[[], None]) -> None:
        try:
            step()
        except RetryError as error:
            self._go_on_in_memory(str(error))
        except FallBackError as error:
            try:
                self._set_aside(str(error))
            except OSError as stuck:
                self._go_on_in_memory(f"{error} It cannot be set aside: {stuck.strerror}.")
        except Exception as error:
            # Outermost loop of the thread: a defect must not end the outbox unnoticed.
            log.exception("A defect in the outbox")
            self._go_on_in_memory(f"A defect in the outbox: {error!r}.")

    def _open(self) -> None:
        store = Store(self._path)
        try:
            entries = list(store.entries())
            left_open = store.open_events()
        except BaseException:
            store.close()
            raise
        newest = entries[-1][0] if entries else 0
        with self._changed:
            if self._unsaved and newest >= min(self._unsaved):
                store.close()  # the clock has gone back since the file could not be read
                raise RetryError(f"The outbox {self._path} holds newer messages; restart spotterd.")
            known = Ledger(*self._limits)
            for row_id, entry in (*entries, *self._unsaved_sizes.items()):
                known.add(row_id, entry)
            self._all = known
            self._store = store
            self._saved_up_to = newest
            self._newest = max(self._unsaved, default=newest)
            self._drop(self._all.drop_excess())  # limits may be lower than before
        self.left_open = self.left_open or left_open

    def _save(self) -> None:
        if self._store is None:
            self._open()
        if self._store is None:
            return
        with self._changed:
            rows = list(self._unsaved.values())
            gone, self._gone = self._gone, []
        try:
            if rows:
                self._store.append(rows, gone)
                self.commits += 1
            elif gone:
                self._store.forget(gone)
        except BaseException:
            with self._changed:
                self._gone += gone
            raise
        with self._changed:
            self._saved(rows)
        self._recovered()

    def _saved(self, rows: Sequence[Row]) -> None:
        """Under the lock: these rows are safe; straight on to the broker if they are next."""
        self._saved_at_s = time.monotonic()
        are_next = self._ready_up_to == self._saved_up_to and len(self._ready) + len(rows) <= AHEAD
        for row in rows:
            self._saved_up_to = row.id
            self._unsaved_sizes.remove(row.id)
            if self._unsaved.pop(row.id, None) is None:
                self._gone.append(row.id)  # dropped or done while it was being written
            elif are_next:
                self._ready.append(row)
        if are_next:
            self._ready_up_to = self._saved_up_to
        self._changed.notify_all()

    def _make_ready(self) -> None:
        with self._changed:
            if not self._can_offer_more():
                return
            after, on_disk = self._ready_up_to, self._saved_up_to
            room = AHEAD - len(self._ready)
        rows: Sequence[Row] = ()
        failed: RetryError | None = None
        if after < on_disk and self._store:
            try:
                rows = self._store.after(after, room)
            except RetryError as error:
                failed = error  # what is in memory can still go out
        with self._changed:
            if self._ready_up_to != after:
                return  # rewound meanwhile
            self._ready_up_to = rows[-1].id if rows else max(after, on_disk)
            if not rows and self.problem:
                rows = [row for row in self._unsaved.values() if row.id > after][:room]
                self._ready_up_to = rows[-1].id if rows else max(self._newest, after)
            known = (row for row in rows if row.id in self._all and row.id not in self._taken)
            self._ready.extend(known)
        if failed:
            raise failed

    def _go_on_in_memory(self, why: str) -> None:
        level = logging.DEBUG if self.problem else logging.WARNING
        log.log(level, "%s Messages wait in memory until it works again.", why)
        with self._changed:
            self._failed_at_s = time.monotonic()
            if not self.problem:
                self._failed_since_s = self._failed_at_s
            self.problem = why
            self._changed.notify_all()

    def _recovered(self) -> None:
        if not self.problem:
            return
        log.info(
            "The outbox is on disk again after %.0f s", time.monotonic() - self._failed_since_s
        )
        with self._changed:
            self.problem = ""
            self._offer_anew()

    def _set_aside(self, why: str) -> None:
        """Put the broken file away and go on with a new one; what is in memory is kept.

        Raises:
            OSError: the disk does not let us.
        """
        broken = f"{self._path}.broken"
        if self._store:
            self._store.close()
            self._store = None
        for suffix in ("", "-wal"):
            part = Path(f"{self._path}{suffix}")
            if part.exists():
                part.replace(broken + suffix)
        with self._changed:
            kept = {row.id: row for row in (*self._taken.values(), *self._ready)} | self._unsaved
            lost = len(self._all) - len(kept)
            self._all, self._unsaved_sizes = Ledger(*self._limits), Ledger(*self._limits)
            self._unsaved = {row_id: kept[row_id] for row_id in sorted(kept)}
            for row_id, row in self._unsaved.items():
                self._all.add(row_id, _entry(row.message))
                self._unsaved_sizes.add(row_id, _entry(row.message))
            self._gone = []
            self._saved_up_to = 0
            self._failed_at_s = 0.0  # the new file is tried at once
            self.problem = why
            self.dropped += max(lost, 0)
            self._offer_anew()
        log.warning("%s It is kept as %s; %d messages are lost.", why, broken, max(lost, 0))


def _entry(message: Message) -> Entry:
    return Entry(message.kind, message.event, len(message.topic) + len(message.payload))
