"""What the journal is told of one camera: the first failure and the return, no repeats."""

import logging

log = logging.getLogger(__name__)


class Chronicle:
    """Keeps the story of one camera's trouble; times are CLOCK_MONOTONIC."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._lost_ns: int | None = None
        self._told = False  # about the trouble that is going on

    def lost(self, reason: str, now_ns: int, *, fresh: bool) -> None:
        """The camera is away; `fresh` if it had been well for a while."""
        self._lost_ns = self._lost_ns or now_ns
        self._told |= fresh
        self._log(logging.WARNING if fresh else logging.DEBUG, reason, "camera_lost")

    def picture(self, now_ns: int) -> bool:
        """Pictures come; whether it had been away."""
        lost_ns, self._lost_ns = self._lost_ns, None
        if lost_ns is None:
            return False
        level = logging.INFO if self._told else logging.DEBUG
        self._told = False
        self._log(level, f"back after {(now_ns - lost_ns) / 1e9:.1f} s.", "camera_back")
        return True

    def hung(self) -> None:
        """A read was left behind."""
        self._log(logging.WARNING, "a read hangs in its driver; left behind.", "camera_hung")

    def failed(self, reason: str) -> None:
        """It will never work as configured."""
        self._log(logging.ERROR, reason, "camera_failed")

    def _log(self, level: int, said: str, event: str) -> None:
        """A line, and fields to search the journal by."""
        fields = {"SPOTTER_EVENT": event, "CAMERA": self._name}
        log.log(level, "Camera %s: %s", self._name, said, extra=fields)
