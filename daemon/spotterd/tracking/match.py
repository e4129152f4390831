"""Which detection is which track: buffered IoU, and an assignment of least cost.

A far aircraft is 10 to 30 pixels wide and may move further than that between two frames, so that
plain IoU is 0. So both boxes are grown by the same margin first, which makes the measure one of
distance for small boxes and one of overlap for large ones. This is the buffered IoU of Yang et
al., "Hard to Track Objects with Irregular Motions and Similar Appearances? Make It Easier by
Buffering the Matching Space" (WACV 2023), with a margin that knows how unsure the prediction is.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

import lap
import numpy as np

from spotterd.tracking.motion import Box

SAME_OBJECT = 0.6  # part of the smaller of two boxes from which they are one object

# How alike the pairs of a row and a column are that are alike at all.
Likeness: TypeAlias = Mapping[tuple[int, int], float]


def alike(
    rows: Sequence[Box], margins: Sequence[float], columns: Sequence[Box], least: float
) -> Likeness:
    """The pairs whose IoU is `least` (above 0) or more, and their IoU.

    Args:
        rows: boxes.
        margins: pixels by which each of them, and what it is compared with, are grown.
        columns: boxes that they are compared with.
        least: as above.
    """
    pairs = {}
    for row, column, both, area, other in _touching(rows, margins, columns):
        value = both / (area + other - both)
        if value >= least:
            pairs[row, column] = value
    return pairs


def repeats(boxes: Sequence[Box]) -> set[int]:
    """Places of boxes, best first, that show the same object as a better one.

    NMS keeps boxes of different classes, and boxes that differ much in size: one object may be
    there as an airplane and, in a larger box around it, as a drone. So what counts is the shared
    part of the smaller box.
    """
    return {
        place
        for better, place, both, area, other in _touching(boxes, [0.0] * len(boxes), boxes)
        if better < place and both > SAME_OBJECT * min(area, other)
    }


def _touching(
    rows: Sequence[Box], margins: Sequence[float], columns: Sequence[Box]
) -> Iterator[tuple[int, int, float, float, float]]:
    """Row, column, shared area and the two areas of grown boxes that share something."""
    for row, ((x, y, width, height), margin) in enumerate(zip(rows, margins, strict=True)):
        grow = 2.0 * margin
        wide, tall = width + grow, height + grow
        for column, (other_x, other_y, other_width, other_height) in enumerate(columns):
            # Written out, not called: where there are many objects, this is where the time goes.
            other_wide = other_width + grow
            common_x = (wide + other_wide) / 2.0 - abs(x - other_x)
            if common_x <= 0.0:
                continue
            other_tall = other_height + grow
            common_y = (tall + other_tall) / 2.0 - abs(y - other_y)
            if common_y <= 0.0:
                continue
            both = min(wide, other_wide, common_x) * min(tall, other_tall, common_y)
            yield row, column, both, wide * tall, other_wide * other_tall


def assign(likeness: Likeness, least: float) -> list[tuple[int, int]]:
    """The pairs that make the sum of likeness largest; a row or column is in at most one.

    Args:
        likeness: of the pairs that may be made, `least` or more.
        least: what leaving a row and a column without each other is worth.
    """
    rows = {row: at for at, row in enumerate(dict.fromkeys(row for row, _ in likeness))}
    columns = {column: at for at, column in enumerate(dict.fromkeys(c for _, c in likeness))}
    if len(rows) == len(columns) == len(likeness):
        return list(likeness)  # nobody wants what another one wants, as nearly always
    cost = np.ones((len(rows), len(columns)))
    for (row, column), value in likeness.items():
        cost[rows[row], columns[column]] = 1.0 - value
    column_of, _ = lap.lapjv(cost, extend_cost=True, cost_limit=1.0 - least, return_cost=False)
    numbers = list(columns)
    return [(row, numbers[at]) for row, at in zip(rows, column_of.tolist(), strict=True) if at >= 0]


def common_shift(
    off: Sequence[tuple[float, float]], tolerance: float
) -> tuple[float, float] | None:
    """How far the camera moved, x and y in pixels, if pairs moved off their predictions alike.

    Args:
        off: where each matched object is, minus where it was expected.
        tolerance: pixels by which a move is too small to matter.

    Returns:
        The median move; None where fewer than two pairs, no move, or no agreement: pairs must
        typically differ from the median by less than half of the move.
    """
    if len(off) < 2:  # noqa: PLR2004 (one object that moves is an object that moves)
        return None
    middle = len(off) // 2
    x, y = (sorted(along)[middle] for along in zip(*off, strict=True))
    length = math.hypot(x, y)
    if length <= tolerance:
        return None
    spread = sorted(math.hypot(off_x - x, off_y - y) for off_x, off_y in off)[middle]
    return (x, y) if spread < length / 2.0 else None
