"""Places where events ended lately: a parked aircraft must not start one again and again."""

import math
from dataclasses import dataclass

from spotterd.events.views import Corners

REACH = 1.5  # object sizes around the end of an event that are the same place
LEAST_REACH_PX = 8.0  # for objects of a few pixels


@dataclass(slots=True)
class Place:
    """Where an event ended, in pixels, and when somebody was last there."""

    x: float
    y: float
    reach: float
    last_s: float


class Places:
    """The places of one camera that still cool down."""

    def __init__(self) -> None:
        self._places: list[Place] = []

    def leave(self, xyxy: Corners, now_s: float) -> None:
        """An event ended at this box."""
        x, y, size = _spot(xyxy)
        self._places.append(Place(x, y, max(REACH * size, LEAST_REACH_PX), now_s))

    def holds(self, xyxy: Corners, now_s: float, cool_down_s: float) -> bool:
        """Whether a box is at a place that cools down; being there keeps the place warm."""
        self._places = [p for p in self._places if now_s - p.last_s < cool_down_s]
        x, y, _ = _spot(xyxy)
        held = [p for p in self._places if math.hypot(p.x - x, p.y - y) <= p.reach]
        for place in held:
            place.last_s = now_s
        return bool(held)


def _spot(xyxy: Corners) -> tuple[float, float, float]:
    left, top, right, bottom = xyxy
    return (left + right) / 2, (top + bottom) / 2, math.sqrt((right - left) * (bottom - top))
