"""What the stages tell about themselves: counts, rates and latencies, read as one frozen value."""

import threading
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil

MOST_SAMPLES = 4096  # a meter; 64 KiB of integers, more than a minute at 60 frames/s
NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Durations in milliseconds that 50, 95 and 99 of 100 samples do not exceed."""

    p50_ms: float
    p95_ms: float
    p99_ms: float


@dataclass(frozen=True, slots=True)
class CameraFigures:
    """One camera since the start; `fps` is the rate of finished frames in the window."""

    name: str
    captured: int
    dropped: int
    done: int
    fps: float


@dataclass(frozen=True, slots=True)
class StageFigures:
    """How long one stage took in the window, and how often it ran per second."""

    name: str
    per_s: float
    took: Percentiles


@dataclass(frozen=True, slots=True)
class QueueFigures:
    """How many items waited at the moment of the snapshot."""

    name: str
    depth: int


@dataclass(frozen=True, slots=True)
class Figures:
    """All meters at one moment.

    Attributes:
        uptime_s: since the meters were made.
        fps: finished frames per second, all cameras together, over the window.
        latency: capture to publish; None where no frame was finished in the window.
        cameras, stages, queues: by name, in order of name.
        cpu_s: CPU seconds that stages have told of since the start, by name.
        errors: exceptions that reached the outermost loop of a thread.
    """

    uptime_s: float
    fps: float
    latency: Percentiles | None
    cameras: tuple[CameraFigures, ...]
    stages: tuple[StageFigures, ...]
    cpu_s: dict[str, float]
    queues: tuple[QueueFigures, ...]
    errors: int


def percentiles(durations_ns: Sequence[int]) -> Percentiles:
    """Nearest-rank percentiles of at least one duration."""
    ordered = sorted(durations_ns)
    p50, p95, p99 = (ordered[ceil(q * len(ordered)) - 1] / 1e6 for q in (0.50, 0.95, 0.99))
    return Percentiles(p50, p95, p99)


class _Samples:
    """The latest durations of one kind: few enough to keep, young enough to tell about now."""

    def __init__(self) -> None:
        self._kept: deque[tuple[int, int]] = deque(maxlen=MOST_SAMPLES)

    def add(self, at_ns: int, took_ns: int) -> None:
        self._kept.append((at_ns, took_ns))

    def young(self, since_ns: int) -> list[int]:
        return [took for at, took in self._kept if at > since_ns]

    def per_s(self, since_ns: int, now_ns: int) -> float:
        """Rate since `since_ns`, or since the oldest one kept where younger ones pushed out."""
        times = [at for at, _ in self._kept if at > since_ns]
        if len(times) == MOST_SAMPLES:
            since_ns = times[0]
        return len(times) * NS / max(now_ns - since_ns, 1)


class Meters:
    """Counters and sliding windows, fed by every stage from its own thread.

    Feeding costs about a microsecond and never waits for anything but another feeder. All times
    are CLOCK_MONOTONIC in nanoseconds and are given by the caller.

    Args:
        started_ns: when the daemon started.
        span_s: rates and percentiles tell about this many last seconds.
    """

    def __init__(self, started_ns: int, span_s: float = 30.0) -> None:
        self._started_ns = started_ns
        self._span_ns = int(span_s * NS)
        self._lock = threading.Lock()
        self._captured: Counter[str] = Counter()
        self._dropped: Counter[str] = Counter()
        self._done: Counter[str] = Counter()
        self._latencies: defaultdict[str, _Samples] = defaultdict(_Samples)
        self._stages: defaultdict[str, _Samples] = defaultdict(_Samples)
        self._cpu_ns: Counter[str] = Counter()
        self._queues: dict[str, Callable[[], int]] = {}
        self._errors = 0

    def captured(self, camera: str) -> None:
        """A camera gave a frame."""
        with self._lock:
            self._captured[camera] += 1

    def dropped(self, camera: str) -> None:
        """A frame was given back unused: a newer one replaced it, or it was too old."""
        with self._lock:
            self._dropped[camera] += 1

    def done(self, camera: str, captured_ns: int, now_ns: int) -> None:
        """What was seen in a frame is published."""
        with self._lock:
            self._done[camera] += 1
            self._latencies[camera].add(now_ns, now_ns - captured_ns)

    def took(self, stage: str, began_ns: int, now_ns: int) -> None:
        """A stage worked on one frame from `began_ns` until now."""
        with self._lock:
            self._stages[stage].add(now_ns, now_ns - began_ns)

    def spent(self, stage: str, cpu_ns: int) -> None:
        """A stage had its thread on a CPU for so long."""
        with self._lock:
            self._cpu_ns[stage] += cpu_ns

    def error(self) -> None:
        """An exception reached the outermost loop of a thread."""
        with self._lock:
            self._errors += 1

    def watch_queue(self, name: str, depth: Callable[[], int]) -> None:
        """Ask `depth` at every snapshot; it must be safe to call from any thread."""
        with self._lock:
            self._queues[name] = depth

    def snapshot(self, now_ns: int) -> Figures:
        """Everything as it is now."""
        with self._lock:
            queues = sorted(self._queues.items())
        # Asked without the lock: a queue has its own, and its owner may be feeding a meter.
        depths = tuple(QueueFigures(name, depth()) for name, depth in queues)
        since_ns = max(now_ns - self._span_ns, self._started_ns)
        with self._lock:
            cameras = tuple(self._camera(name, since_ns, now_ns) for name in self._camera_names())
            latencies = [ns for kept in self._latencies.values() for ns in kept.young(since_ns)]
            stages = tuple(
                StageFigures(name, kept.per_s(since_ns, now_ns), percentiles(young))
                for name, kept in sorted(self._stages.items())
                if (young := kept.young(since_ns))
            )
            cpu_s = {name: spent_ns / NS for name, spent_ns in self._cpu_ns.items()}
            errors = self._errors
        return Figures(
            uptime_s=(now_ns - self._started_ns) / NS,
            fps=sum(camera.fps for camera in cameras),
            latency=percentiles(latencies) if latencies else None,
            cameras=cameras,
            stages=stages,
            cpu_s=cpu_s,
            queues=depths,
            errors=errors,
        )

    def _camera_names(self) -> list[str]:
        return sorted({*self._captured, *self._dropped, *self._done})

    def _camera(self, name: str, since_ns: int, now_ns: int) -> CameraFigures:
        latencies = self._latencies.get(name, _Samples())
        return CameraFigures(
            name=name,
            captured=self._captured[name],
            dropped=self._dropped[name],
            done=self._done[name],
            fps=latencies.per_s(since_ns, now_ns),
        )
