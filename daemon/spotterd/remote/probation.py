"""Does a changed configuration work? Pure: counts and times in, a verdict out."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Probation:
    """What a change must show, and until when.

    Attributes:
        ends_s: on the monotonic clock.
        frames: how many frames each camera must have given in all.
        needs_broker: the broker must be reached at the end; it was when the change began.
    """

    ends_s: float
    frames: Mapping[str, int]
    needs_broker: bool

    def passed(self, done: Mapping[str, int], *, connected: bool) -> bool:
        """Enough frames of every camera, and the broker reached."""
        return not self._missing(done) and (connected or not self.needs_broker)

    def failed(self, now_s: float, done: Mapping[str, int], trouble: Mapping[str, str]) -> str:
        """Why the change did not work, or nothing while there is hope.

        Args:
            now_s: on the monotonic clock.
            done: frames so far, by camera.
            trouble: what is known to be wrong, by camera.
        """
        if now_s < self.ends_s:
            return ""
        missing = self._missing(done)
        if missing:
            known = [f"camera {name}: {trouble.get(name) or 'too few frames'}" for name in missing]
            return f"Too few frames in time: {'; '.join(known)}"
        return "The broker was not reached in time."

    def _missing(self, done: Mapping[str, int]) -> list[str]:
        return [name for name, least in self.frames.items() if done.get(name, 0) < least]
