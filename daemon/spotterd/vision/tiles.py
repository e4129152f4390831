"""Small craft in large frames: overlapping crops at native scale beside the whole frame.

A network with an input of 640x640 sees a 1080p frame at a third of its size, so that a craft of 15
pixels becomes one of 5. Crops keep it at 15; the whole frame keeps what is larger than a crop.
"""

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from spotterd.data import Bools, Detections, Floats
from spotterd.vision.boxes import area, nms, shared_area

Crop: TypeAlias = tuple[int, int, int, int]  # left, top, right, bottom in pixels of the frame

EDGE = 2.0  # pixels: a box this near to an inner edge of its crop was probably cut there
MOST_INSIDE = 0.5  # a cut box with more of it inside a better one of its class is a part of that


def crops(frame_wh: tuple[int, int], crop_wh: tuple[int, int], overlap: float) -> list[Crop]:
    """Crops of one size, evenly spread, that cover the frame; none where it is no larger.

    Args:
        frame_wh: width and height of the frames.
        crop_wh: largest width and height of a crop.
        overlap: least part of a crop that neighbours share, 0 to 0.9; objects up to that size lie
            wholly in one of them.
    """
    size = tuple(min(pair) for pair in zip(frame_wh, crop_wh, strict=True))
    if size == frame_wh:
        return []
    lefts, tops = (
        _starts(whole, part, overlap) for whole, part in zip(frame_wh, size, strict=True)
    )
    return [(x, y, x + size[0], y + size[1]) for y in tops for x in lefts]


def _starts(whole: int, part: int, overlap: float) -> list[int]:
    step = max(int(part * (1 - overlap)), 1)
    count = -(-(whole - part) // step) + 1
    return [int(start) for start in np.linspace(0, whole - part, count)]


def merge(
    frame_wh: tuple[int, int],
    parts: Sequence[tuple[Crop, Detections]],
    iou_above: float,
    at_most: int,
) -> Detections:
    """One list from what was seen in each crop and in the whole frame.

    Boxes cut by a crop's edge give way to whole ones that cover them; then NMS as usual.

    Args:
        frame_wh: width and height of the frame.
        parts: each crop, the whole frame being one, too, with what was seen in its pixels.
        iou_above: as for `nms`, as is the next.
        at_most: how many to keep.

    Returns:
        Detections in pixels of the frame, best first.
    """
    found = _joined([_moved(crop, seen) for crop, seen in parts])
    cut = np.concatenate(
        [np.empty(0, np.bool_), *(_cut(frame_wh, crop, seen) for crop, seen in parts)]
    )
    whole = nms(found[~cut], iou_above, at_most)
    parts_left = found[cut]
    stray = parts_left[_share_inside(parts_left, whole) <= MOST_INSIDE]
    return nms(_joined([whole, stray]), iou_above, at_most)


def _moved(crop: Crop, seen: Detections) -> Detections:
    offset = np.array(crop[:2] * 2, np.float32)
    return Detections(seen.xyxy + offset, seen.score, seen.label)


def _joined(parts: Sequence[Detections]) -> Detections:
    parts = [Detections.empty(), *parts]
    return Detections(
        np.concatenate([part.xyxy for part in parts]),
        np.concatenate([part.score for part in parts]),
        np.concatenate([part.label for part in parts]),
    )


def _cut(frame_wh: tuple[int, int], crop: Crop, seen: Detections) -> Bools:
    """Which boxes touch an edge of their crop that is not one of the frame's."""
    left, top, right, bottom = crop
    inner = np.array([left > 0, top > 0, right < frame_wh[0], bottom < frame_wh[1]])
    to_edge = np.abs(seen.xyxy - np.array([0, 0, right - left, bottom - top], np.float32))
    touches: Bools = ((to_edge <= EDGE) & inner).any(axis=1)
    return touches


def _share_inside(boxes: Detections, others: Detections) -> Floats:
    """(n,) largest part of each box that lies inside one of the others of its class."""
    same = boxes.label[:, None] == others.label[None]
    shared = np.where(same, shared_area(boxes.xyxy, others.xyxy), 0.0)
    share: Floats = shared.max(axis=1, initial=0.0) / np.maximum(area(boxes.xyxy), 1e-6)
    return share
