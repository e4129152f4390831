"""A limit on how often something happens."""

from dataclasses import dataclass


@dataclass(slots=True)
class Bucket:
    """Allows `per_s` on average, and `burst` at once. Pure: the caller brings the time."""

    per_s: float
    burst: float
    _level: float = 0.0
    _at_s: float = 0.0

    def takes(self, now_s: float) -> bool:
        """Whether one more is allowed at this time of the monotonic clock."""
        self._level = max(0.0, self._level - (now_s - self._at_s) * self.per_s)
        self._at_s = now_s
        if self._level + 1 > self.burst:
            return False
        self._level += 1
        return True
