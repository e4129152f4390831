"""A small pool of frame buffers: no frame-sized allocation once the pipeline is warm."""

import threading
from collections import deque
from collections.abc import Callable

from spotterd.data import Pixels


class FramePool:
    """Lends buffers of one shape; never blocks, a miss only costs one allocation.

    The pool makes no buffers itself: it keeps those that sources allocated on a miss, once they
    come back, up to `size`. Threads may take and give back at will.
    """

    def __init__(self, size: int) -> None:
        self.misses = 0
        self._size = size
        self._shape: tuple[int, ...] = ()
        self._free: deque[Pixels] = deque()
        self._lock = threading.Lock()

    def take(self) -> Pixels | None:
        """A free buffer, or None (counted): let the source allocate."""
        with self._lock:
            if self._free:
                return self._free.pop()
            self.misses += 1
            return None

    def lend(self, pixels: Pixels) -> Callable[[], None]:
        """The function that gives `pixels` back; calling it again does nothing.

        A new shape (another resolution or format) makes the pool forget its buffers.
        """
        with self._lock:
            if pixels.shape != self._shape:
                self._shape = pixels.shape
                self._free.clear()
        lent = [pixels]
        return lambda: self.give_back(lent.pop()) if lent else None

    def give_back(self, pixels: Pixels) -> None:
        """Return a buffer that was taken and not lent on."""
        with self._lock:
            # A source may return a view of its own; only whole, owned arrays can be lent again.
            whole = pixels.base is None and pixels.flags.c_contiguous and pixels.flags.writeable
            if whole and pixels.shape == self._shape and len(self._free) < self._size:
                self._free.append(pixels)
