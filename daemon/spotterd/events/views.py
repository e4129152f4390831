"""How well an object can be seen."""

import numpy as np

from spotterd.data import Bools, Doubles, Floats, Tracks

CUT = 0.5  # what a view is worth when the edge of the frame cuts it
EDGE_PX = 2.0  # boxes nearer than this to the edge are cut by it


def worth(tracks: Tracks, frame_wh: tuple[int, int]) -> Doubles:
    """Worth (n,) of the views that tracks offer: score times size in pixels, halved if cut."""
    wh = (tracks.xyxy[:, 2:] - tracks.xyxy[:, :2]).astype(np.float64)
    value: Doubles = tracks.score.astype(np.float64) * np.sqrt(wh[:, 0] * wh[:, 1])
    return np.where(is_cut(tracks.xyxy, frame_wh), CUT * value, value)


def is_cut(xyxy: Floats, frame_wh: tuple[int, int]) -> Bools:
    """Which boxes (n, 4) touch the edge of the frame."""
    touches = (xyxy[:, :2] <= EDGE_PX) | (xyxy[:, 2:] >= np.subtract(frame_wh, EDGE_PX))
    cut: Bools = touches[:, 0] | touches[:, 1]
    return cut
