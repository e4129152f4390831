"""How well an object can be seen."""

import math
from collections.abc import Sequence
from typing import TypeAlias

CUT = 0.5  # what a view is worth when the edge of the frame cuts it
EDGE_PX = 2.0  # boxes nearer than this to the edge are cut by it

# Left, top, right, bottom in pixels. Plain numbers: a picture shows a few objects, for which NumPy
# takes several times as long (docs/speed.md).
Corners: TypeAlias = Sequence[float]


def worth(xyxy: Corners, score: float, frame_wh: tuple[int, int]) -> float:
    """Worth of the view that a track offers: score times size in pixels, halved if cut."""
    left, top, right, bottom = xyxy
    value = score * math.sqrt((right - left) * (bottom - top))
    return CUT * value if is_cut(xyxy, frame_wh) else value


def is_cut(xyxy: Corners, frame_wh: tuple[int, int]) -> bool:
    """Whether a box touches the edge of the frame."""
    left, top, right, bottom = xyxy
    width, height = frame_wh
    return min(left, top, width - right, height - bottom) <= EDGE_PX
