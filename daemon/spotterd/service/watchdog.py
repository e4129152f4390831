"""Who is late, and may the watchdog be fed? Pure: progress and a time in, a verdict out."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Progress:
    """The latest sign of life of one stage.

    Attributes:
        name: for people: "detect", "camera north".
        at_ns: CLOCK_MONOTONIC of its last step. A step is work done, or a wait that ended as it
            should; a camera that tries to come back makes steps too. It is the thread that is
            judged here; whether a camera gives pictures is told by its status.
        limit_s: it is late when its last step is longer ago.
        required: a restart is the only cure when it is late; else the daemon is degraded.
    """

    name: str
    at_ns: int
    limit_s: float
    required: bool = True


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to do about it.

    Attributes:
        feed: send WATCHDOG=1 now. False leads to a restart by systemd.
        late: stages without a step in their limit, the longest silent first.
        reason: one sentence for the state and the journal; empty where nobody is late.
    """

    feed: bool
    late: tuple[Progress, ...]
    reason: str


def judge(stages: Iterable[Progress], now_ns: int) -> Verdict:
    """Feed only while every required stage makes progress."""
    late = sorted((s for s in stages if now_ns - s.at_ns > s.limit_s * 1e9), key=lambda s: s.at_ns)
    said = [
        f"{stage.name} made no progress for {(now_ns - stage.at_ns) / 1e9:.0f} s" for stage in late
    ]
    return Verdict(
        feed=not any(stage.required for stage in late),
        late=tuple(late),
        reason="; ".join(said),
    )
