"""The protocol every source of pictures speaks."""

from dataclasses import dataclass
from typing import Literal, Protocol

from spotterd.data import Pixels


@dataclass(frozen=True, slots=True, eq=False)
class Shot:
    """One picture as a source gives it.

    Attributes:
        pixels: the array lent to `Source.read` where it fitted, else a new one; NV12 from cameras
            whose driver gives that, else BGR (always from recordings).
        captured_ns: CLOCK_MONOTONIC when it was taken.
        stream_ns: equals `captured_ns` for live sources, position in the recording for files.
        wall_ns: CLOCK_REALTIME when it was taken.
    """

    pixels: Pixels
    captured_ns: int
    stream_ns: int
    wall_ns: int


class Source(Protocol):
    """An open camera, stream, file or folder. Used by one thread, except `abort`."""

    live: bool  # True: the newest frame wins; False: every frame, in order
    fps: float  # nominal; 0.0 where unknown

    def read(self, into: Pixels | None) -> Shot | None:
        """Wait for the next picture; None at the end of a recording.

        Args:
            into: array to fill if its shape fits, so that no frame-sized memory is allocated.

        Raises:
            RetryError: the camera or stream is gone or silent; open it again later.
            BadInputError: what is there can never be read (not a video, not a picture).
        """

    def abort(self) -> None:
        """Make a `read` that waits in another thread return or raise soon."""

    def close(self) -> None:
        """Free the device; safe to call twice."""


@dataclass(frozen=True, slots=True)
class Vitals:
    """How a camera does.

    Attributes:
        fps: pictures a second that it gives now, before `max_fps`.
        age_ns: of its newest picture; None before the first.
        reconnects: times it came back after having been lost.
        hung: reads that hang in its driver now, in threads left behind.
    """

    fps: float
    age_ns: int | None
    reconnects: int
    hung: int


@dataclass(frozen=True, slots=True)
class CameraStatus:
    """What people are told about a camera.

    Attributes:
        state: online: pictures come; stalled: open but silent; offline: being opened, or waiting
            before the next attempt, or ended.
        reason: a sentence; empty while online.
        since_ns: when it got there, CLOCK_MONOTONIC.
        warnings: what looks wrong in the picture: frozen, black, covered, blurred.
    """

    state: Literal["online", "stalled", "offline"]
    reason: str
    since_ns: int
    warnings: tuple[str, ...] = ()
