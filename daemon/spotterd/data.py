"""What travels between rooms: one frozen, columnar type a stage.

`Frame -> Detections -> Tracks -> Event`. Arrays are parallel; `detections[mask]` selects rows.
Nothing here is mutable except the pixels of a frame, which are lent (see `Frame.release`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import ClassVar, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from typing_extensions import Self

Image: TypeAlias = NDArray[np.uint8]  # (h, w, 3) BGR
# As a camera gives it: (h, w, 3) BGR, or NV12, (h * 3 / 2, w): h rows of Y, then of U, V pairs for
# 2x2 pixels. `vision.pixels` is where the difference is known.
Pixels: TypeAlias = NDArray[np.uint8]
Floats: TypeAlias = NDArray[np.float32]
Doubles: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]
Bools: TypeAlias = NDArray[np.bool_]


def is_nv12(pixels: Pixels) -> bool:
    """Whether a picture is NV12; else it is BGR."""
    return pixels.ndim == 2  # noqa: PLR2004 (rows and columns, no channels)


def size_of(pixels: Pixels) -> tuple[int, int]:
    """Width and height of a picture."""
    rows, columns = pixels.shape[:2]
    return columns, rows * 2 // 3 if is_nv12(pixels) else rows


def _keep() -> None:
    """Release of a frame whose pixels nobody waits for."""


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One picture of one camera.

    Attributes:
        camera: name of the camera in the configuration.
        seq: count of frames read from this source, from 0; gaps are frames that were dropped.
        captured_ns: CLOCK_MONOTONIC when the picture was taken (driver's stamp if it has one).
        stream_ns: time to use for motion: equals `captured_ns` for live sources, position in the
            recording for files.
        wall_ns: CLOCK_REALTIME at capture, nanoseconds since 1970.
        pixels: BGR or NV12, lent by the camera until `release` is called.
        release: gives the pixels back; call exactly once, then do not touch them.
    """

    camera: str
    seq: int
    captured_ns: int
    stream_ns: int
    wall_ns: int
    pixels: Pixels
    release: Callable[[], None] = _keep

    @property
    def size_wh(self) -> tuple[int, int]:
        """Width and height in pixels."""
        return size_of(self.pixels)

    @property
    def live(self) -> bool:
        """Taken by a camera now (not read from a recording): it may grow too old."""
        return self.stream_ns == self.captured_ns


class Columns:
    """Parallel arrays of equal length; `[mask]`, `[indices]` or `[slice]` cut every one.

    A subclass is a dataclass with slots, so that its `__slots__` are its columns.
    """

    __slots__: ClassVar[tuple[str, ...]] = ()

    def __len__(self) -> int:
        return len(getattr(self, self.__slots__[0]))

    def __getitem__(self, rows: Bools | Ints | slice) -> Self:
        return type(self)(*[getattr(self, name)[rows] for name in self.__slots__])

    def joined(self, other: Self) -> Self:
        """These rows, then the other's."""
        return type(self)(
            *[np.concatenate((getattr(self, n), getattr(other, n))) for n in self.__slots__]
        )


@dataclass(frozen=True, slots=True, eq=False)
class Detections(Columns):
    """What the detector saw in one frame, best first.

    Attributes:
        xyxy: (n, 4) float32, corners in pixels of the frame, clipped to it.
        score: (n,) float32 in 0..1.
        label: (n,) int64 index into the model's label list.
    """

    xyxy: Floats
    score: Floats
    label: Ints

    @classmethod
    @cache
    def empty(cls) -> "Detections":
        """No detections; made once."""
        return cls(np.empty((0, 4), np.float32), np.empty(0, np.float32), np.empty(0, np.int64))


@dataclass(frozen=True, slots=True, eq=False)
class Tracks(Columns):
    """The tracks of one camera after one frame.

    Attributes:
        id: (n,) int64, unique within one run of one camera, from 1.
        xyxy: (n, 4) float32, smoothed corners in pixels.
        score: (n,) float32, score of the matched detection (last one while lost).
        label: (n,) int64, class by vote with hysteresis.
        confirmed: (n,) bool, seen often and well enough to tell people about.
        seen: (n,) bool, matched by a detection in this very frame.
        velocity: (n, 2) float32, pixels per second.
        first_ns: (n,) int64, stream time of the first sighting.
    """

    id: Ints
    xyxy: Floats
    score: Floats
    label: Ints
    confirmed: Bools
    seen: Bools
    velocity: Floats
    first_ns: Ints

    @property
    def sighted(self) -> "Tracks":
        """Those seen in this very frame: nearly always all of them, and cutting takes longer."""
        return self if all(self.seen.tolist()) else self[self.seen]

    @classmethod
    @cache
    def empty(cls) -> "Tracks":
        """No tracks; made once."""
        return cls(
            np.empty(0, np.int64),
            np.empty((0, 4), np.float32),
            np.empty(0, np.float32),
            np.empty(0, np.int64),
            np.empty(0, np.bool_),
            np.empty(0, np.bool_),
            np.empty((0, 2), np.float32),
            np.empty(0, np.int64),
        )


@dataclass(frozen=True, slots=True)
class Event:
    """Something in the life of a track that people are told about.

    Times are `stream_ns` of the camera; the publisher turns them into UTC.

    Attributes:
        kind: `start` once, any number of `update`, `end` once.
        camera: name of the camera in the configuration.
        track: id of the track, unique within one run of one camera.
        label: class now (it may change by vote; that is an `update`).
        score: of the last sighting.
        top_score: best of all sightings.
        box_xywhn: where it was last seen: centre x, centre y, width, height in 0..1 of the frame.
        at_ns: when this was decided.
        start_ns: first sighting, before the track was confirmed.
        end_ns: last sighting; None until `end`.
        zones: names of the zones it is in; for `end` those it was last seen in.
        reason: of `start`: confirmed; of `update`: zone, line, label and view, joined by commas;
            of `end`: lost, left (over the edge of the picture), class (voted or configured to one
            that does not alert), or what `Rules.close` was told.
        lines: names of the lines crossed since the event before.
    """

    kind: Literal["start", "update", "end"]
    camera: str
    track: int
    label: str
    score: float
    top_score: float
    box_xywhn: tuple[float, float, float, float]
    at_ns: int
    start_ns: int
    end_ns: int | None = None
    zones: tuple[str, ...] = ()
    reason: str = ""
    lines: tuple[str, ...] = ()
