"""Does a new model do as well as the one before? Pure: counts and times in, a verdict out."""

from collections import deque
from dataclasses import dataclass, field

from spotterd.remote.model import Before

LEAST_FRAMES = 100  # fewer say nothing about the number of objects in a frame
LEAST_OBJECTS = 0.05  # objects a frame; a model that saw fewer watched an empty sky
SLACK_MS = 20.0  # latencies are never so steady that less would mean something
SLACK_OBJECTS = 0.5  # objects a frame that a new model may always see more


@dataclass(frozen=True, slots=True)
class Sight:
    """What was seen until a moment of the monotonic clock, since the daemon's start."""

    at_s: float
    frames: int
    objects: int


@dataclass(slots=True)
class Sights:
    """The last while of it.

    Args:
        span_s: how much is remembered.
    """

    span_s: float
    _kept: deque[Sight] = field(default_factory=deque)

    def add(self, sight: Sight) -> None:
        """Called about once a second."""
        self._kept.append(sight)
        while sight.at_s - self._kept[0].at_s > self.span_s:
            self._kept.popleft()

    @property
    def objects(self) -> float | None:
        """Mean number of objects in a frame; None where there were too few frames."""
        return mean_objects(self._kept[0], self._kept[-1]) if self._kept else None


def mean_objects(first: Sight, last: Sight) -> float | None:
    """Objects in a frame between two moments; None where there were too few frames."""
    frames = last.frames - first.frames
    return (last.objects - first.objects) / frames if frames >= LEAST_FRAMES else None


@dataclass(frozen=True, slots=True)
class Canary:
    """The trial of a model.

    Attributes:
        begun: where it began.
        ends_s: on the monotonic clock.
        before: how the other model did.
        slower: the median latency may grow by this factor.
        busier: as many times more objects may be seen, or fewer.
    """

    begun: Sight
    ends_s: float
    before: Before
    slower: float
    busier: float

    def fraction(self, now_s: float) -> float:
        """How much of it is over, 0..1."""
        return min(1.0, (now_s - self.begun.at_s) / max(self.ends_s - self.begun.at_s, 1e-3))

    def failed(self, now: Sight, latency_ms: float | None) -> str:
        """Why the model must go, or nothing.

        A flood of detections is told at once, the rest at the end: a latency is high for a moment
        after the change, and an empty sky for a minute says nothing.
        """
        objects = mean_objects(self.begun, now)
        if (flood := self._flood(objects)) or now.at_s < self.ends_s:
            return flood
        return self._blind(objects) or self._slow(latency_ms)

    def _flood(self, objects: float | None) -> str:
        if objects is None or self.before.objects is None:
            return ""
        most = self.before.objects * self.busier + SLACK_OBJECTS
        if objects <= most:
            return ""
        return f"It sees {objects:.2f} objects a frame; before it were {self.before.objects:.2f}."

    def _blind(self, objects: float | None) -> str:
        before = self.before.objects
        if objects is None or before is None or before < LEAST_OBJECTS:
            return ""
        if objects >= before / self.busier:
            return ""
        return f"It sees only {objects:.2f} objects a frame; before it were {before:.2f}."

    def _slow(self, latency_ms: float | None) -> str:
        before = self.before.latency_ms
        if latency_ms is None or before is None:
            return ""
        if latency_ms <= before * self.slower + SLACK_MS:
            return ""
        return f"Frames take {latency_ms:.0f} ms to the broker; before it were {before:.0f} ms."
