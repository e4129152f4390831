"""Rates: the one that is asked for (`max_fps`), and the one there is. Pure."""


class Pace:
    """At most `max_fps` frames a second; 0 lets everything pass."""

    def __init__(self, max_fps: float) -> None:
        self._period_ns = int(1e9 / max_fps) if max_fps else 0
        self._due_ns = 0

    def passes(self, captured_ns: int) -> bool:
        """Whether a live frame is let through; a quarter period of jitter is forgiven."""
        if captured_ns + self._period_ns // 4 < self._due_ns:
            return False
        if captured_ns - self._due_ns > self._period_ns:
            self._due_ns = captured_ns  # the first frame, or one after a gap: nothing to catch up
        self._due_ns += self._period_ns
        return True

    def wait_ns(self, now_ns: int) -> int:
        """How long a recording's frame is held back; the next one is then due a period later."""
        wait_ns = max(0, self._due_ns - now_ns)
        self._due_ns = max(self._due_ns, now_ns) + self._period_ns
        return wait_ns


class Rate:
    """Pictures a second, smoothed over the last ten or so."""

    def __init__(self) -> None:
        self._period_ns = 0.0
        self._last_ns = 0

    def step(self, captured_ns: int) -> None:
        """A picture was taken."""
        period_ns = captured_ns - self._last_ns if self._last_ns else 0
        known = self._period_ns
        self._period_ns = known + 0.1 * (period_ns - known) if known else period_ns
        self._last_ns = captured_ns

    def age_ns(self, now_ns: int) -> int | None:
        """Of the newest picture; None before the first."""
        return now_ns - self._last_ns if self._last_ns else None

    def fps(self, now_ns: int) -> float:
        """0 until there were two; falls by itself while no more come."""
        period_ns = max(self._period_ns, now_ns - self._last_ns - self._period_ns)
        return 1e9 / period_ns if self._period_ns else 0.0
