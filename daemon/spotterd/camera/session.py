"""One attempt at reading a camera, in a thread of its own that may be left behind if it hangs."""

import logging
import threading
import time
from collections.abc import Callable

from spotterd.camera.base import Shot, Source
from spotterd.camera.pool import FramePool
from spotterd.errors import RetryError, SpotterdError

log = logging.getLogger(__name__)


class Session:
    """Opens a source and reads it until it ends, breaks, or is abandoned.

    Args:
        name: of the camera, for logs and the thread.
        open_source: may block, even for ever.
        pool: buffers to read into.
        on_shot: called in the session's thread with every picture, unless abandoned.
        on_done: called last, in the session's thread.

    Attributes:
        done: the source is closed and the thread is ending.
        error: why; None at the end of a recording, and while not done.
    """

    def __init__(
        self,
        name: str,
        open_source: Callable[[], Source],
        pool: FramePool,
        on_shot: Callable[[Source, Shot], None],
        on_done: Callable[[], None],
    ) -> None:
        self.done = False
        self.error: SpotterdError | None = None
        self._name = name
        self._open_source = open_source
        self._pool = pool
        self._on_shot = on_shot
        self._on_done = on_done
        self._source: Source | None = None
        self._abandoned = False
        self._waiting_since_ns: int | None = time.monotonic_ns()
        self._thread = threading.Thread(target=self._run, name=f"camera-{name}", daemon=True)

    def start(self) -> None:
        """Begin to open and read."""
        self._thread.start()

    def silent_ns(self, now_ns: int) -> int | None:
        """How long it has been waiting for the camera; None while downstream has the turn."""
        since_ns = self._waiting_since_ns
        return None if since_ns is None else now_ns - since_ns

    def abandon(self, timeout_s: float) -> bool:
        """Stop caring: no more pictures; the thread closes the source whenever it wakes up.

        Returns:
            Whether the thread ended in time; if not, it hangs in a driver.
        """
        self._abandoned = True
        source = self._source
        if source is not None:
            source.abort()
        self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._source = source = self._open_source()
            try:
                self._read(source)
            finally:
                source.close()
        except SpotterdError as error:
            self.error = error
        except Exception as error:  # outermost loop of a thread: a driver's bug must not end it
            log.exception("Camera %s: unexpected failure.", self._name)
            self.error = RetryError(f"Unexpected failure while reading: {error!r}.")
        self.done = True
        self._on_done()

    def _read(self, source: Source) -> None:
        while not self._abandoned:
            buffer = self._pool.take()
            self._waiting_since_ns = time.monotonic_ns()
            shot = source.read(buffer)
            self._waiting_since_ns = None
            if buffer is not None and (shot is None or shot.pixels is not buffer):
                self._pool.give_back(buffer)
            if shot is None:
                return
            if not self._abandoned:
                self._on_shot(source, shot)
