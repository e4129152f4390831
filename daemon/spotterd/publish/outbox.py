"""The outbox: keeps what happened until the broker acknowledged it, whatever else goes wrong.

Messages are committed to disk before they are offered, many in one commit. A disk that fails (full,
read-only) makes the outbox go on in memory and say so; a broken file is set aside.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from spotterd.errors import FallBackError, RetryError
from spotterd.publish.base import Message, Row, nobody
from spotterd.publish.shelf import Shelf
from spotterd.publish.store import Store

log = logging.getLogger(__name__)

BATCH_S = 0.1  # at least this long between two commits: what comes meanwhile shares the next one
FORGET_AFTER_S = 5.0  # acknowledged rows leave the disk with the next commit, or after this
RETRY_S = 10.0  # between attempts to use a disk that failed


class Outbox:
    """What the link calls is told by `base.Durable`.

    Args:
        path: the file; its folder is made. It is locked: one daemon, one outbox.
        max_rows: and `max_bytes`: over these the least important goes first, see `Ledger`.
        retry_s: seconds between attempts to use a disk that failed.

    Attributes:
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
        self.problem = ""
        self.commits = 0
        self.left_open: Sequence[Message] = ()
        self._path = path
        self._retry_s = retry_s
        self._store: Store | None = None
        self._changed = threading.Condition()  # guards all of the following
        # Where ids begin if the file cannot be read now: after all that it may hold.
        self._shelf = Shelf(max_rows, max_bytes, newest=time.time_ns())
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
        with self._changed:
            self._shelf.put(message)
            self._changed.notify_all()

    def take(self, most: int) -> Sequence[Row]:
        """The next rows that are safe (or as safe as can be) and not taken since `rewind`."""
        with self._changed:
            rows = self._shelf.take(most)
            if rows:  # the link asks at every turn, nearly always for nothing
                self._changed.notify_all()
            return rows

    def rewind(self) -> int:
        """A new connection: offer again what was taken and not done. Returns the newest id."""
        with self._changed:
            self._shelf.rewind()
            self._changed.notify_all()
            return self._shelf.newest

    def done(self, row_id: int) -> None:
        """The broker has it."""
        with self._changed:
            self._shelf.done(row_id)
            self._changed.notify_all()

    def idle(self) -> bool:
        """Nothing waits to be taken."""
        with self._changed:
            return self._shelf.all_taken()

    @property
    def depth(self) -> int:
        """Messages the broker has not acknowledged."""
        return len(self._shelf)

    @property
    def bytes(self) -> int:
        """Their size."""
        return self._shelf.bytes

    @property
    def dropped(self) -> int:
        """Messages given up, because there were too many or the file was broken."""
        return self._shelf.dropped

    def close(self) -> None:
        """Write down what is not on disk yet, and give the file back."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(5)

    # The outbox's own thread.

    def _run(self) -> None:
        closing = False
        while not closing:
            with self._changed:
                while (save_in_s := self._save_in_s()) != 0 and not self._shelf.wants():
                    self._changed.wait(save_in_s)
                closing = self._closing
            if save_in_s == 0:
                self._guarded(self._save)
            self._guarded(self._make_ready)
            if self._shelf.has_ready:
                self.on_ready()
        if self._store:
            self._store.close()

    def _save_in_s(self) -> float | None:
        """Seconds until there is something to do on disk; None: nothing."""
        if self._closing:
            return 0
        if self.problem:
            at_s = self._failed_at_s + self._retry_s
        elif self._shelf.unsaved:
            at_s = self._saved_at_s + BATCH_S
        elif self._shelf.has_gone:
            at_s = self._saved_at_s + FORGET_AFTER_S
        else:
            return None
        return max(at_s - time.monotonic(), 0)

    def _guarded(self, step: Callable[[], None]) -> None:
        try:
            step()
        except RetryError as error:
            self._go_on_in_memory(str(error))
        except FallBackError as error:
            self._set_aside(str(error))
        except Exception as error:
            # Outermost loop of the thread: a defect must not end the outbox unnoticed, nor spin.
            log.exception("A defect in the outbox")
            self._go_on_in_memory(f"A defect in the outbox: {error!r}.")
            with self._changed:
                self._changed.wait_for(lambda: self._closing, self._retry_s)

    def _open(self) -> None:
        store = Store(self._path)
        try:
            entries, left_open = list(store.entries()), store.open_events()
        except BaseException:
            store.close()
            raise
        with self._changed:
            fits = self._shelf.load(entries)
        if not fits:
            # Only after a clock that went back while the file could not be read.
            store.close()
            raise RetryError(f"The outbox {self._path} holds newer messages; restart spotterd.")
        self._store = store
        self.left_open = self.left_open or left_open

    def _save(self) -> None:
        if self._store is None:
            self._open()
        with self._changed:
            rows, gone = self._shelf.to_save()
        try:
            self._write(rows, gone)
        except BaseException:
            with self._changed:
                self._shelf.keep_gone(gone)
            raise
        with self._changed:
            self._saved_at_s = time.monotonic()
            self._shelf.saved(rows)
            if self.problem:
                self._recovered()
            self._changed.notify_all()

    def _write(self, rows: Sequence[Row], gone: Sequence[int]) -> None:
        if self._store and rows:
            self._store.append(rows, gone)
            self.commits += 1
        elif self._store and gone:
            self._store.forget(gone)

    def _make_ready(self) -> None:
        with self._changed:
            wanted = self._shelf.wants()
        if wanted is None:
            return
        rows: Sequence[Row] = ()
        try:
            if self._store:
                rows = self._store.after(*wanted)
        finally:
            with self._changed:
                self._shelf.offer(wanted[0], rows)  # what is in memory can go out in any case

    def _go_on_in_memory(self, why: str) -> None:
        level = logging.DEBUG if self.problem else logging.WARNING
        log.log(level, "%s Messages wait in memory until it works again.", why)
        with self._changed:
            self._failed_at_s = time.monotonic()
            if not self.problem:
                self._failed_since_s = self._failed_at_s
            self._failing(why)

    def _failing(self, why: str) -> None:
        self.problem = why
        self._shelf.in_memory = True
        self._changed.notify_all()

    def _recovered(self) -> None:
        took_s = time.monotonic() - self._failed_since_s
        log.info("The outbox is on disk again after %.0f s", took_s)
        self.problem = ""
        self._shelf.in_memory = False
        self._shelf.offer_anew()  # also what could not be read meanwhile

    def _set_aside(self, why: str) -> None:
        """Put the broken file away and go on with a new one; what is in memory is kept."""
        if self._store:
            self._store.close()
            self._store = None
        broken = f"{self._path}.broken"
        try:
            for suffix in ("", "-wal"):
                part = Path(f"{self._path}{suffix}")
                if part.exists():
                    part.replace(broken + suffix)
        except OSError as error:
            self._go_on_in_memory(f"{why} It cannot be set aside: {error.strerror}.")
            return
        with self._changed:
            lost = self._shelf.start_over()
            self._failed_since_s = time.monotonic()
            self._failed_at_s = 0.0  # the new file is tried at once
            self._failing(why)
        log.warning("%s It is kept as %s; %d messages are lost.", why, broken, lost)
