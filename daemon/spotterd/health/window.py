"""A window into the daemon: what the local page and Prometheus show.

The daemon puts in what it knows, from its own threads and without waiting; the web server's threads
look through it. Nothing goes the other way.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from spotterd.data import Frame, Tracks
from spotterd.health.board import BoardFigures
from spotterd.health.host import HostFigures
from spotterd.health.live import LivePicture
from spotterd.health.meters import Figures

MOST_SAMPLES = 360  # an hour at the default interval of 10 s
MOST_EVENTS = 50  # with a picture of some 30 KiB each


@dataclass(frozen=True, slots=True)
class Sample:
    """The health figures of one interval; `at_s` is UTC in seconds since 1970."""

    at_s: float
    figures: Figures
    host: HostFigures
    board: BoardFigures


@dataclass(frozen=True, slots=True)
class CameraState:
    """As in its status message: online, stalled or offline, and why."""

    name: str
    state: str
    reason: str


@dataclass(frozen=True, slots=True)
class ShownEvent:
    """What the page tells of one track: one entry, renewed from start to end."""

    id: str
    camera: str
    label: str
    top_score: float
    started_s: float
    duration_s: float
    over: bool
    zones: tuple[str, ...]
    jpeg: bytes | None = None


class Window:
    """The latest of everything.

    Args:
        figures: the meters now; callable from any thread.
        cameras: names, in order.
    """

    def __init__(self, figures: Callable[[], Figures], cameras: Iterable[str]) -> None:
        self.figures = figures
        self._lock = threading.Lock()
        self._state = ("starting", "")
        self.put_cameras(cameras)
        self._samples: deque[Sample] = deque(maxlen=MOST_SAMPLES)
        self._events: dict[str, ShownEvent] = {}

    # The daemon's side.

    def put_cameras(self, cameras: Iterable[str]) -> None:
        """These are the cameras from now on."""
        live = {name: LivePicture() for name in cameras}
        with self._lock:
            self._live = live
            self._cameras = {name: CameraState(name, "offline", "Not open yet.") for name in live}

    def put_state(self, state: str, reason: str) -> None:
        """The state as published."""
        with self._lock:
            self._state = (state, reason)

    def put_camera(self, name: str, state: str, reason: str) -> None:
        """A camera's status as published."""
        with self._lock:
            self._cameras[name] = CameraState(name, state, reason)

    def put_sample(self, figures: Figures, host: HostFigures, board: BoardFigures) -> None:
        """The figures of one health interval."""
        with self._lock:
            self._samples.append(Sample(time.time(), figures, host, board))

    def put_event(self, event: ShownEvent) -> None:
        """A track's start, or news of it; a picture once given stays until a better one comes."""
        with self._lock:
            before = self._events.pop(event.id, None)
            if before is not None and event.jpeg is None:
                event = replace(event, jpeg=before.jpeg)
            self._events[event.id] = event
            if len(self._events) > MOST_EVENTS:
                self._events.pop(next(iter(self._events)))

    def put_frame(self, frame: Frame, seen: Tracks, labels: tuple[str, ...]) -> None:
        """A finished frame, before its pixels are given back."""
        self._live[frame.camera].offer(frame, seen, labels)

    # The viewers' side.

    @property
    def state(self) -> tuple[str, str]:
        """State and reason."""
        return self._state

    @property
    def cameras(self) -> tuple[CameraState, ...]:
        """In the order of the configuration."""
        with self._lock:
            return tuple(self._cameras.values())

    @property
    def samples(self) -> tuple[Sample, ...]:
        """Oldest first."""
        with self._lock:
            return tuple(self._samples)

    @property
    def events(self) -> tuple[ShownEvent, ...]:
        """Latest news first."""
        with self._lock:
            return tuple(reversed(self._events.values()))

    def event(self, event_id: str) -> ShownEvent | None:
        """One event, if it is still kept."""
        with self._lock:
            return self._events.get(event_id)

    def live(self, camera: str) -> LivePicture | None:
        """A camera's picture; None for a name that is not configured."""
        return self._live.get(camera)
