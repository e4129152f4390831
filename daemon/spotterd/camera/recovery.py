"""The life of a camera as a state machine: pure, time and chance are arguments."""

from dataclasses import dataclass, replace
from enum import Enum

from typing_extensions import Self

FIRST_PAUSE_S = 0.25
STEADY_NS = 10_000_000_000  # pictures for this long: the trouble before is forgotten
LONGEST_PAUSE_S = 2.0  # a camera that is plugged in again is back within 5 s


class State(Enum):
    """Where a camera is in its life."""

    CONNECTING = "connecting"  # being opened, no picture yet
    STREAMING = "streaming"  # pictures come
    STALLED = "stalled"  # open, but silent for too long; being given up
    BACKING_OFF = "backing off"  # waiting before the next attempt


class IllegalTransitionError(RuntimeError):
    """A bug: this cannot happen in this state."""


def pause_s(failures: int, jitter: float) -> float:
    """Wait before the next attempt: doubles with each failure, bounded, then 50-100 % of that.

    Args:
        failures: attempts that failed in a row, from 1.
        jitter: 0..1, so that cameras on one switch do not come back in step.
    """
    longest = min(LONGEST_PAUSE_S, FIRST_PAUSE_S * 2.0 ** min(failures - 1, 16))
    return longest * (0.5 + 0.5 * jitter)


@dataclass(frozen=True, slots=True)
class Recovery:
    """One camera's state; every transition returns the next one.

    Attributes:
        state: where it is.
        since_ns: when it got there, CLOCK_MONOTONIC.
        reason: why, as a sentence for people; empty while all is well.
        failures: attempts that failed in a row; one that gave pictures for less than `STEADY_NS`
            counts as failed, so that a flapping camera is left alone for longer and longer.
        retry_ns: when to try again (backing off only).
    """

    state: State
    since_ns: int
    reason: str = ""
    failures: int = 0
    retry_ns: int = 0

    @classmethod
    def start(cls, now_ns: int) -> Self:
        """A camera that is being opened for the first time."""
        return cls(State.CONNECTING, now_ns)

    def picture(self, now_ns: int) -> "Recovery":
        """A picture came; a stalled camera may find its voice while it is being given up."""
        self._only("picture", State.CONNECTING, State.STREAMING, State.STALLED)
        if self.state is State.STREAMING:
            return self
        return Recovery(State.STREAMING, now_ns, failures=self.failures)

    def silent(self, now_ns: int, reason: str) -> "Recovery":
        """No picture for too long."""
        self._only("silent", State.CONNECTING, State.STREAMING)
        return replace(self, state=State.STALLED, since_ns=now_ns, reason=reason)

    def lost(self, now_ns: int, reason: str, jitter: float) -> "Recovery":
        """The source is closed (or given up); wait, longer after each failure."""
        self._only("lost", State.CONNECTING, State.STREAMING, State.STALLED)
        steady = self.state is State.STREAMING and now_ns - self.since_ns >= STEADY_NS
        failures = 1 if steady else self.failures + 1
        retry_ns = now_ns + int(pause_s(failures, jitter) * 1e9)
        return Recovery(State.BACKING_OFF, now_ns, reason, failures, retry_ns)

    def retry(self, now_ns: int) -> "Recovery":
        """The wait is over."""
        self._only("retry", State.BACKING_OFF)
        return Recovery(State.CONNECTING, now_ns, self.reason, self.failures)

    def _only(self, what: str, *states: State) -> None:
        if self.state not in states:
            raise IllegalTransitionError(f"'{what}' cannot happen while {self.state.value}")
