"""The latest picture of a camera, for people who are looking at it right now."""

import threading
import time
from dataclasses import dataclass

import cv2
import numpy as np

from spotterd.data import Frame, Image, Tracks
from spotterd.vision.pixels import scaled

WIDEST = 960  # pixels; enough for a phone and for a window on a desk
INTERVAL_NS = 200_000_000  # five pictures a second are enough to aim a camera
WATCHED_NS = 3_000_000_000  # a viewer that has not asked for so long is gone
JPEG_QUALITY = 80


@dataclass(frozen=True, slots=True)
class Box:
    """One object in a picture: corners in 0..1, label, score, and its track."""

    xyxyn: tuple[float, float, float, float]
    label: str
    score: float
    track: int


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A small copy of one frame with what was seen in it; `seq` is the frame's."""

    seq: int
    bgr: Image
    boxes: tuple[Box, ...]


class LivePicture:
    """Keeps one small copy of a camera's frame, only while somebody looks.

    The pipeline's thread pays one comparison a frame while nobody looks, and a downscaling (about a
    millisecond) five times a second while somebody does. JPEGs are made in the viewer's thread.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._encoding = threading.Lock()
        self._picture: Picture | None = None
        self._jpeg: tuple[int, bytes] | None = None
        self._asked_ns = -WATCHED_NS
        self._taken_ns = -INTERVAL_NS

    def offer(self, frame: Frame, seen: Tracks, labels: tuple[str, ...]) -> None:
        """Called by the pipeline with every finished frame, before its pixels are given back."""
        now_ns = time.monotonic_ns()
        if now_ns - self._asked_ns > WATCHED_NS or now_ns - self._taken_ns < INTERVAL_NS:
            return
        self._taken_ns = now_ns
        # A new small array each time: viewers may still be reading the one before.
        picture = Picture(frame.seq, _small(frame), _boxes(frame, seen, labels))
        with self._changed:
            self._picture = picture
            self._changed.notify_all()

    def newest(self, after_seq: int, timeout_s: float) -> tuple[Picture, bytes] | None:
        """The newest picture and its JPEG; waits for one other than `after_seq`.

        None after `timeout_s`: the camera gives no pictures.
        """
        self._asked_ns = time.monotonic_ns()
        with self._changed:
            self._changed.wait_for(lambda: self._newer(after_seq), timeout_s)
            picture = self._picture
        if picture is None or picture.seq == after_seq:
            return None
        return picture, self._encoded(picture)

    def _newer(self, seq: int) -> bool:
        return self._picture is not None and self._picture.seq != seq

    def _encoded(self, picture: Picture) -> bytes:
        """Two viewers share one encoding (about 4 ms); the pipeline never waits for this lock."""
        with self._encoding:
            if self._jpeg is None or self._jpeg[0] != picture.seq:
                self._jpeg = picture.seq, _encode(picture.bgr)
            return self._jpeg[1]


def _small(frame: Frame) -> Image:
    width, height = frame.size_wh
    narrow = min(width, WIDEST)
    return scaled(frame.pixels, (narrow, max(1, height * narrow // width)))


def _encode(bgr: Image) -> bytes:
    _, jpeg = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
    return bytes(jpeg.tobytes())


def _boxes(frame: Frame, seen: Tracks, labels: tuple[str, ...]) -> tuple[Box, ...]:
    width, height = frame.size_wh
    scale = np.array([width, height, width, height], np.float32)
    return tuple(
        Box((x1, y1, x2, y2), labels[label], round(float(score), 3), track)
        for (x1, y1, x2, y2), label, score, track in zip(
            (seen.xyxy / scale).astype(float).round(4).tolist(),
            seen.label.tolist(),
            seen.score,
            seen.id.tolist(),
            strict=True,
        )
    )
