"""An outbox without a disk, for commands that publish little or nothing."""

import threading
from collections import deque
from collections.abc import Callable, Sequence

from spotterd.publish.base import Message, Row, nobody

MAX_ROWS = 1000  # the oldest goes first


class MemoryOutbox:
    """Keeps messages as long as the process lives; see `base.Durable`."""

    def __init__(self) -> None:
        self.on_ready: Callable[[], None] = nobody
        self._lock = threading.Lock()
        self._rows: deque[Row] = deque(maxlen=MAX_ROWS)
        self._taken: dict[int, Row] = {}
        self._newest = 0

    def put(self, message: Message) -> None:
        """Keep a message."""
        with self._lock:
            self._newest += 1
            self._rows.append(Row(self._newest, message))
        self.on_ready()

    def take(self, most: int) -> Sequence[Row]:
        """The next rows that were not taken since `rewind`."""
        with self._lock:
            rows = [self._rows.popleft() for _ in range(min(most, len(self._rows)))]
            self._taken.update((row.id, row) for row in rows)
            return rows

    def rewind(self) -> int:
        """A new connection: offer again what was taken and not done. Returns the newest id."""
        with self._lock:
            self._rows.extendleft(reversed(self._taken.values()))
            self._taken.clear()
            return self._newest

    def done(self, row_id: int) -> None:
        """The broker has it."""
        with self._lock:
            self._taken.pop(row_id, None)

    def idle(self) -> bool:
        """Nothing waits to be taken."""
        with self._lock:
            return not self._rows
