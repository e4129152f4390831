"""Watches how the model in use does, and whether one on trial does as well as the one before."""

from dataclasses import dataclass

from spotterd.config.schema import Config
from spotterd.health.meters import Figures
from spotterd.remote.canary import Canary, Sight, Sights
from spotterd.remote.model import Before
from spotterd.remote.probation import Probation

TELL_S = 10.0  # between two words about a trial


@dataclass(frozen=True, slots=True)
class Moment:
    """How the daemon does at a moment of the monotonic clock; `objects` are counted like frames."""

    now_s: float
    figures: Figures
    objects: int

    @property
    def done(self) -> dict[str, int]:
        """Finished frames by camera."""
        return {camera.name: camera.done for camera in self.figures.cameras}

    @property
    def sight(self) -> Sight:
        """Frames of all cameras, and objects."""
        return Sight(self.now_s, sum(self.done.values()), self.objects)

    @property
    def latency_ms(self) -> float | None:
        """Median from capture to publishing."""
        return self.figures.latency.p50_ms if self.figures.latency else None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a look has shown.

    Attributes:
        failed: why the model must go; empty: it need not.
        passed: it has proved itself.
        fraction: of the trial that is over, where it is time to tell.
    """

    failed: str = ""
    passed: bool = False
    fraction: float | None = None


class Trial:
    """One model after another is watched; some are on trial. Used by the main thread.

    Args:
        span_s: how long a model is remembered for the comparison with the next one.
    """

    def __init__(self, span_s: float) -> None:
        self._sights = Sights(span_s)
        self._latency_ms: float | None = None
        self._canary: Canary | None = None
        self._probation: Probation | None = None
        self._least_frames = 0
        self._told_s = 0.0

    @property
    def before(self) -> Before:
        """How the model in use does, to compare another one with."""
        return Before(latency_ms=self._latency_ms, objects=self._sights.objects)

    def begin(self, moment: Moment, before: Before, config: Config) -> None:
        """A model on trial runs from now on."""
        remote, now_s = config.remote, moment.now_s
        self._canary = Canary(
            moment.sight,
            now_s + remote.models.canary_s,
            before,
            remote.models.canary_latency,
            remote.models.canary_objects,
        )
        # A camera that gave nothing before says nothing about the model.
        frames = {
            camera.name: camera.done + remote.probation_frames
            for camera in moment.figures.cameras
            if camera.fps > 0 and camera.name in config.cameras
        }
        self._probation = Probation(now_s + remote.probation_s, frames, needs_broker=False)
        self._least_frames = remote.probation_frames

    def end(self) -> None:
        """The model is no longer on trial."""
        self._canary = self._probation = None

    def look(self, moment: Moment) -> Verdict:
        """See how the model does; called about once a second."""
        if self._canary is None or self._probation is None:
            self._sights.add(moment.sight)
            self._latency_ms = moment.latency_ms
            return Verdict()
        canary, done, now_s = self._canary, moment.done, moment.now_s
        if why := canary.failed(moment.sight, moment.latency_ms):
            return Verdict(failed=why)
        if not self._probation.passed(done, connected=True):
            return Verdict(failed=self._probation.failed(now_s, done, {}))
        seen = moment.sight.frames - canary.begun.frames
        if now_s >= canary.ends_s and seen >= self._least_frames:
            return Verdict(passed=True)
        if now_s - self._told_s < TELL_S:
            return Verdict()
        self._told_s = now_s
        return Verdict(fraction=canary.fraction(now_s))
