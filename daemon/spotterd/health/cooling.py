"""Go slower before the board does: fewer frames, all of them on time. Pure.

A board that reaches its trip point halves its clocks at once, and frames come late. Asking for
fewer frames earlier keeps latency where it was.
"""

from collections.abc import Iterable

from spotterd.health.thermal import ThermalZone

STEPS = (1.0, 0.75, 0.5, 0.35, 0.25)  # parts of the frame rate
HYSTERESIS_CELSIUS = 5.0


def hottest(zones: Iterable[ThermalZone]) -> ThermalZone | None:
    """The zone nearest to its passive trip point; None where no zone has one."""
    return min(
        (zone for zone in zones if zone.margin is not None),
        key=lambda zone: zone.margin or 0.0,
        default=None,
    )


def next_part(part: float, margin: float | None, slow_below: float) -> float:
    """The part of the frame rate to run at until the next look, some seconds later.

    Args:
        part: the one in force, of `STEPS`.
        margin: degrees left until the hottest zone slows the board down; None: not known.
        slow_below: margin under which a step down is due; 5 degrees above it a step up is. 0: off.
    """
    if margin is None or not slow_below:
        return STEPS[0]
    step = STEPS.index(part)
    if margin < slow_below:
        step = min(step + 1, len(STEPS) - 1)
    elif margin > slow_below + HYSTERESIS_CELSIUS:
        step = max(step - 1, 0)
    return STEPS[step]


class Thinning:
    """Takes a part of the frames, evenly. One thread a camera asks; another one sets `part`."""

    def __init__(self) -> None:
        self.part = STEPS[0]
        self._owed: dict[str, float] = {}

    def takes(self, camera: str) -> bool:
        """Whether the next frame of this camera is worked on."""
        owed = self._owed.get(camera, 0.0) + self.part
        taken = owed >= 1.0
        self._owed[camera] = owed - 1.0 if taken else owed
        return taken
