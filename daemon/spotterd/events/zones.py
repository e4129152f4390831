"""Where an object is: zones with a dwell time, and lines with two sides.

An object is where its centre is, x and y in 0..1 of the picture.
"""

from collections.abc import Iterable
from typing import TypeAlias

import cv2

from spotterd.events.settings import Line, Zone

Point: TypeAlias = tuple[float, float]

LEAVE_S = 0.5  # seconds outside before an object has left: the detector's jitter is no leaving
STEP = 0.5  # object sizes moved before lines are looked at: nor is it a crossing


class Presence:
    """In which zones one object is.

    Attributes:
        zones: names of the zones it is in, in the order of the configuration.
    """

    def __init__(self) -> None:
        self.zones: tuple[str, ...] = ()
        self._since_s: dict[str, float] = {}  # when it was first seen on the other side of a border

    def look(self, zones: Iterable[Zone], centre: Point, label: int, now_s: float) -> bool:
        """Take in where it is now; True if that changes `zones`."""
        before = self.zones
        self.zones = tuple(
            zone.name for zone in zones if self._is_in(zone, contains(zone, centre, label), now_s)
        )
        return self.zones != before

    def _is_in(self, zone: Zone, inside: bool, now_s: float) -> bool:  # noqa: FBT001
        was_in = zone.name in self.zones
        if inside == was_in:
            self._since_s.pop(zone.name, None)
            return was_in
        wait_s = zone.dwell_s if inside else LEAVE_S
        if now_s - self._since_s.setdefault(zone.name, now_s) < wait_s:
            return was_in
        del self._since_s[zone.name]
        return inside


class Path:
    """Which lines one object crosses, in steps of at least half its size."""

    def __init__(self, centre: Point) -> None:
        self._at = centre

    def crossed(
        self, lines: Iterable[Line], centre: Point, size: Point, label: int
    ) -> tuple[str, ...]:
        """Lines crossed by now, each as `name:left` or `name:right`.

        Args:
            lines: of this camera.
            centre: where the object is.
            size: its width and height, 0..1 of the picture.
            label: its class.
        """
        before = self._at
        far = abs(centre[0] - before[0]) >= STEP * size[0] or (
            abs(centre[1] - before[1]) >= STEP * size[1]
        )
        if not far:
            return ()
        self._at = centre
        sides = ((line, crossing(line, before, centre)) for line in lines if label in line.labels)
        return tuple(
            f"{line.name}:{side}" for line, side in sides if side and line.towards in ("both", side)
        )


def contains(zone: Zone, centre: Point, label: int) -> bool:
    """Whether an object of this class counts there; the border is inside."""
    return label in zone.labels and cv2.pointPolygonTest(zone.polygon, centre, False) >= 0


def crossing(line: Line, before: Point, after: Point) -> str:
    """`left` or `right`: the side, looking along the line, that the step leads to; else empty."""
    was_right, is_right = (_right_of(line.start, line.end, point) for point in (before, after))
    # In one order, so that a way right through an end of the line counts alike there and back.
    one, other = sorted((before, after))
    start_right, end_right = (_right_of(one, other, point) for point in (line.start, line.end))
    if was_right == is_right or start_right == end_right:
        return ""
    return "right" if is_right else "left"


def _right_of(start: Point, end: Point, point: Point) -> bool:
    """Whether a point lies right of the way from start to end; y grows downwards."""
    along, off = (end[0] - start[0], end[1] - start[1]), (point[0] - start[0], point[1] - start[1])
    return along[0] * off[1] - along[1] * off[0] > 0
