"""A small pool of frame buffers: no frame-sized allocation once the pipeline is warm."""

import threading
from collections import deque
from collections.abc import Callable

from spotterd.data import Image


class FramePool:
    """Lends buffers of one shape; never blocks, a miss only costs one allocation.

    The pool makes no buffers itself: it keeps those that sources allocated on a miss, once they
    come back, up to `size`. Threads may take and give back at will.
    """

    def __init__(self, size: int) -> None:
        self.misses = 0
        self._size = size
        self._shape: tuple[int, ...] = ()
        self._free: deque[Image] = deque()
        self._lock = threading.Lock()

    def take(self) -> Image | None:
        """A free buffer, or None (counted): let the source allocate."""
        with self._lock:
            if self._free:
                return self._free.pop()
            self.misses += 1
            return None

    def lend(self, bgr: Image) -> Callable[[], None]:
        """The function that gives `bgr` back; calling it again does nothing.

        A new shape (another resolution) makes the pool forget its buffers.
        """
        with self._lock:
            if bgr.shape != self._shape:
                self._shape = bgr.shape
                self._free.clear()
        lent = [bgr]
        return lambda: self.give_back(lent.pop()) if lent else None

    def give_back(self, bgr: Image) -> None:
        """Return a buffer that was taken and not lent on."""
        with self._lock:
            # A source may return a view of its own; only whole, owned arrays can be lent again.
            whole = bgr.base is None and bgr.flags.c_contiguous and bgr.flags.writeable
            if whole and bgr.shape == self._shape and len(self._free) < self._size:
                self._free.append(bgr)
