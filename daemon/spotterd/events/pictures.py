"""Pictures of events: the best view of each track, the whole frame with boxes, JPEG of a size."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from spotterd.data import Detections, Image, Pixels, Tracks, size_of
from spotterd.events.views import Corners, worth
from spotterd.vision.draw import draw
from spotterd.vision.pixels import cut, scaled

MARGIN = 0.5  # object sizes around the box of a crop, so that one sees where it flies
LEAST_SIDE_PX = 64  # crops of far craft are at least so wide and high
LOOK_EVERY_S = 0.2  # a second frame of the same moment shows nothing new
BETTER = 1.1  # a view must be so many times better to be worth a copy
QUALITIES = (90, 80, 65, 50)  # of JPEG, tried in turn before the picture is made smaller
SMALLER = 0.7
SEES_EVERY_PIXEL = 0.4  # scale down to which bilinear, of two pixels a side, skips hardly any
SMALLEST_PX = 16


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """The best crop of a track so far, and when it was last looked at."""

    crop: Image
    value: float
    looked_s: float


class Album:
    """Keeps the best view of every confirmed track of one camera: near, sure, whole and sharp."""

    def __init__(self) -> None:
        self._views: dict[int, View] = {}
        self._followed: set[int] = set()
        self._time_ns: int | None = None
        self._now_s = 0.0

    def look(self, tracks: Tracks, pixels: Pixels, time_ns: int) -> None:
        """Copy the crops of this frame that are better than what there is.

        The view of a track that is gone stays for one more look: until its `end` is told.

        Args:
            tracks: all that the tracker follows.
            pixels: the frame they were seen in; not kept.
            time_ns: `stream_ns` of the frame.
        """
        if self._time_ns is not None:
            self._now_s += max(0, time_ns - self._time_ns) / 1e9
        self._time_ns = time_ns
        self._views = {
            track: view for track, view in self._views.items() if track in self._followed
        }
        ids, frame_wh = tracks.id.tolist(), size_of(pixels)
        self._followed = set(ids)
        columns = zip(
            ids,
            tracks.xyxy.tolist(),
            tracks.score.tolist(),
            tracks.confirmed.tolist(),
            tracks.seen.tolist(),
            strict=True,
        )
        for track, xyxy, score, confirmed, seen in columns:
            if confirmed and seen and self._is_due(track):
                value = worth(xyxy, score, frame_wh)
                self._views[track] = self._better(
                    self._views.get(track), around(pixels, xyxy), value
                )

    def best(self, track: int) -> Image | None:
        """The best crop of a track; None if it was never seen confirmed."""
        view = self._views.get(track)
        return None if view is None else view.crop

    def _is_due(self, track: int) -> bool:
        view = self._views.get(track)
        return view is None or self._now_s - view.looked_s >= LOOK_EVERY_S

    def _better(self, best: View | None, crop: Image, value: float) -> View:
        value *= sharpness(crop)
        if best and value < BETTER * best.value:
            return View(best.crop, best.value, self._now_s)
        return View(crop.copy(), value, self._now_s)


def around(pixels: Pixels, xyxy: Corners) -> Image:
    """The part of a frame that shows a box with a margin; see `cut`."""
    width, height = size_of(pixels)
    left, top, right, bottom = xyxy
    half = max((right - left, bottom - top, LEAST_SIDE_PX / (1 + 2 * MARGIN))) * (0.5 + MARGIN)
    x, y = (left + right) / 2, (top + bottom) / 2
    rows = slice(max(0, int(y - half)), min(height, int(y + half) + 1))
    columns = slice(max(0, int(x - half)), min(width, int(x + half) + 1))
    return cut(pixels, rows, columns)


def sharpness(bgr: Image) -> float:
    """Edges for the contrast there is: about 0 for a blur, above 1 for a crisp object."""
    gray = cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY)
    edges = cv2.Laplacian(gray, cv2.CV_16S)
    # A craft that fills a full HD picture: 3.5 ms; with NumPy's `std` 11.
    return _spread(edges) / (_spread(gray) + 1.0)


def _spread(values: NDArray[np.int16] | Image) -> float:
    _, spread = cv2.meanStdDev(values)
    return float(spread[0, 0])


def whole(pixels: Pixels, tracks: Tracks, labels: tuple[str, ...], max_width: int) -> Image:
    """A copy of the frame, at most so many pixels wide, with the confirmed tracks in it drawn."""
    width, height = size_of(pixels)
    scale = min(1.0, max_width / width)
    size = (round(width * scale), max(1, round(height * scale)))
    copy = scaled(pixels, size, _kernel(scale))
    shown = tracks[tracks.confirmed & tracks.seen]
    best_first = shown[np.argsort(-shown.score)]
    boxes = (best_first.xyxy * scale).astype(np.float32)
    draw(copy, Detections(boxes, best_first.score, best_first.label), labels)
    return copy


def jpeg(bgr: Image, max_bytes: int) -> bytes:
    """A picture as JPEG of at most so many bytes: less quality first, then fewer pixels.

    A picture of `SMALLEST_PX` is given as it is, however large.
    """
    while True:
        for quality in QUALITIES:
            encoded = bytes(cv2.imencode(".jpg", bgr, (cv2.IMWRITE_JPEG_QUALITY, quality))[1])
            if len(encoded) <= max_bytes:
                return encoded
        if min(bgr.shape[:2]) * SMALLER < SMALLEST_PX:
            return encoded
        bgr = cv2.resize(bgr, None, fx=SMALLER, fy=SMALLER, interpolation=_kernel(SMALLER))


def _kernel(scale: float) -> int:
    """OpenCV's interpolation; the exact one takes 14 ms for a full HD picture, bilinear 3."""
    return cv2.INTER_LINEAR if scale >= SEES_EVERY_PIXEL else cv2.INTER_AREA
