"""Which detection is which track: buffered IoU, and an assignment of least cost.

A far aircraft is 10 to 30 pixels wide and may move further than that between two frames, so that
plain IoU is 0. So both boxes are grown by the same margin first, which makes the measure one of
distance for small boxes and one of overlap for large ones. This is the buffered IoU of Yang et
al., "Hard to Track Objects with Irregular Motions and Similar Appearances? Make It Easier by
Buffering the Matching Space" (WACV 2023), with a margin that knows how unsure the prediction is.
"""

import lap
import numpy as np

from spotterd.data import Bools, Doubles, Ints

SAME_OBJECT = 0.6  # part of the smaller of two boxes from which they are one object


def overlap(tracks: Doubles, margin: Doubles, seen: Doubles) -> Doubles:
    """IoU (n, m) of boxes (n, 4) and (m, 4: centre, width, height), all grown on every side.

    Args:
        tracks: boxes of the rows.
        margin: (n,) pixels by which a track's box, and what it is compared with, are grown.
        seen: boxes of the columns.
    """
    grow = 2.0 * margin[:, None, None]
    wh, other_wh = tracks[:, None, 2:] + grow, seen[None, :, 2:] + grow
    both = _shared(tracks[:, None, :2] - seen[None, :, :2], wh, other_wh)
    return both / (_area(wh) + _area(other_wh) - both)


def repeats(boxes: Doubles) -> Bools:
    """Marks (m,) boxes, best first, that show the same object as a better one.

    NMS keeps boxes of different classes, and boxes that differ much in size: one object may be
    there as an airplane and, in a larger box around it, as a drone. So what counts is the shared
    part of the smaller box.
    """
    wh = boxes[:, 2:]
    area = _area(wh)
    both = _shared(boxes[:, None, :2] - boxes[None, :, :2], wh[:, None], wh[None, :])
    same = both > SAME_OBJECT * np.minimum(area[:, None], area[None, :])
    rank = np.arange(len(boxes))
    marks: Bools = np.logical_or.reduce(same & (rank[:, None] < rank), axis=0)
    return marks


def _shared(apart: Doubles, wh: Doubles, other_wh: Doubles) -> Doubles:
    """Area that boxes share, whose centres are `apart` (..., 2)."""
    sides = np.minimum(np.minimum(wh, other_wh), (wh + other_wh) / 2.0 - np.abs(apart))
    return _area(np.maximum(sides, 0.0))


def _area(wh: Doubles) -> Doubles:
    return wh[..., 0] * wh[..., 1]


def assign(likeness: Doubles, least: float) -> tuple[Ints, Ints]:
    """Rows and columns of the pairs that make the sum of likeness (n, m) largest.

    Pairs below `least` are not made; a row or column is in at most one pair.
    """
    if 0 in likeness.shape:
        none = np.empty(0, np.int64)
        return none, none
    column_of, _ = lap.lapjv(
        1.0 - likeness, extend_cost=True, cost_limit=1.0 - least, return_cost=False
    )
    rows = (column_of >= 0).nonzero()[0]
    return rows, column_of[rows].astype(np.int64)


def common_shift(off: Doubles, tolerance: float) -> Doubles | None:
    """How far the camera moved, (2,) pixels, if pairs moved off their predictions alike.

    Args:
        off: (k, 2) where each matched object is, minus where it was expected.
        tolerance: pixels by which a move is too small to matter.

    Returns:
        The median move; None where fewer than two pairs, no move, or no agreement: pairs must
        typically differ from the median by less than half of the move.
    """
    if len(off) < 2:  # noqa: PLR2004 (one object that moves is an object that moves)
        return None
    middle = len(off) // 2
    shift: Doubles = np.sort(off, axis=0)[middle]
    length = float(np.hypot(*shift))
    if length <= tolerance:
        return None
    spread = np.sort(np.hypot(*(off - shift).T))[middle]
    return shift if spread < length / 2.0 else None
