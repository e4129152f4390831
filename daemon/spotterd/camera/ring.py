"""The last seconds of a camera as JPEGs, within a bound of time and memory. Pure."""

from collections import deque
from dataclasses import dataclass

import cv2

from spotterd.data import Image, Pixels, size_of
from spotterd.vision.pixels import Scaler

QUALITY = 80


@dataclass(frozen=True, slots=True)
class Still:
    """One remembered picture."""

    at_ns: int
    jpeg: bytes
    size_wh: tuple[int, int]


class Ring:
    """Remembers pictures, thinned out and made small.

    Args:
        seconds: how far back it reaches.
        fps: pictures a second that are kept.
        width: wider ones are scaled down to this.
        most_bytes: memory; where it does not suffice, the oldest go first.
    """

    def __init__(self, seconds: float, fps: float, width: int, most_bytes: int) -> None:
        self._reach_ns = int(seconds * 1e9)
        self._period_ns = int(1e9 / fps)
        self._width = width
        self._most_bytes = most_bytes
        self._stills: deque[Still] = deque()
        self._bytes = 0
        self._due_ns = 0

    def add(self, pixels: Pixels, at_ns: int) -> bool:
        """Remember a picture; False where it is not due yet (nothing was done then)."""
        if at_ns < self._due_ns and self._stills and at_ns >= self._stills[-1].at_ns:
            return False
        self._due_ns = at_ns + self._period_ns * 9 // 10  # cameras are not that regular
        small = self._small(pixels)
        _, jpeg = cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
        self._stills.append(Still(at_ns, jpeg.tobytes(), (small.shape[1], small.shape[0])))
        self._bytes += len(self._stills[-1].jpeg)
        self._forget(at_ns)
        return True

    def between(self, from_ns: int, until_ns: int) -> list[Still]:
        """What is remembered of that span, oldest first, of the newest picture's size."""
        found = [still for still in self._stills if from_ns <= still.at_ns <= until_ns]
        return [still for still in found if still.size_wh == found[-1].size_wh]

    @property
    def bytes(self) -> int:
        """Memory taken by the pictures."""
        return self._bytes

    def _small(self, pixels: Pixels) -> Image:
        width, height = size_of(pixels)
        narrow = min(width, self._width)
        size_wh = (narrow, max(1, round(height * narrow / width)))
        return Scaler(size_wh, cv2.INTER_AREA)(pixels)  # encoded at once: no copy is needed

    def _forget(self, now_ns: int) -> None:
        oldest_ns = now_ns - self._reach_ns
        stills = self._stills
        while stills and (stills[0].at_ns < oldest_ns or self._bytes > self._most_bytes):
            self._bytes -= len(stills.popleft().jpeg)
