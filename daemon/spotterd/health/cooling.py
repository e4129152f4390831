"""Go slower before the board does: fewer frames, all of them on time. Pure.

A board that reaches its trip point halves its clocks at once, and frames come late. Asking for
fewer frames earlier keeps latency where it was.
"""

from collections.abc import Iterable

from spotterd.health.thermal import ThermalZone

STEPS = (1.0, 0.75, 0.5, 0.35, 0.25)  # parts of the frame rate
HYSTERESIS_CELSIUS = 5.0


def margin_celsius(zones: Iterable[ThermalZone]) -> float | None:
    """How far the nearest zone is from its passive trip point; None where no zone has one."""
    return min((z.throttles_at - z.celsius for z in zones if z.throttles_at), default=None)


def next_part(part: float, margin: float | None, slow_below: float) -> float:
    """The part of the frame rate to run at until the next look, some seconds later.

    Args:
        part: the one in force, of `STEPS`.
        margin: of `margin_celsius`.
        slow_below: margin under which a step down is due; 5 degrees above it a step up is.
    """
    if margin is None:
        return STEPS[0]
    step = STEPS.index(part)
    if margin < slow_below:
        step = min(step + 1, len(STEPS) - 1)
    elif margin > slow_below + HYSTERESIS_CELSIUS:
        step = max(step - 1, 0)
    return STEPS[step]
