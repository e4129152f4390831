"""Boxes as corner arrays: overlap, and one box for each object."""

import cv2
import numpy as np

from spotterd.data import Detections, Floats

CANDIDATES = 3000  # the best ones that NMS looks at: bounds its time when a network sees ghosts


def corners(cxcywh: Floats) -> Floats:
    """(n, 4) centre x, centre y, width, height -> (n, 4) left, top, right, bottom."""
    half = cxcywh[:, 2:] / 2
    return np.concatenate([cxcywh[:, :2] - half, cxcywh[:, :2] + half], axis=1)


def area(xyxy: Floats) -> Floats:
    """(n, 4) corners -> (n,) areas; 0 where a box is turned inside out."""
    sides = np.maximum(xyxy[..., 2:] - xyxy[..., :2], 0)
    inside: Floats = sides[..., 0] * sides[..., 1]
    return inside


def iou(a: Floats, b: Floats) -> Floats:
    """Intersection over union of every box of `a` with every box of `b`.

    Args:
        a: (n, 4) corners.
        b: (m, 4) corners.

    Returns:
        (n, m) in 0..1; boxes without area overlap nothing.
    """
    left_top = np.maximum(a[:, None, :2], b[None, :, :2])
    right_bottom = np.minimum(a[:, None, 2:], b[None, :, 2:])
    both = area(np.concatenate([left_top, right_bottom], axis=2))
    union = area(a)[:, None] + area(b)[None] - both
    overlap: Floats = np.divide(both, union, out=np.zeros_like(both), where=both > 0)
    return overlap


def nms(detections: Detections, iou_above: float, at_most: int) -> Detections:
    """Keep the best box of each object: greedy, class by class.

    Args:
        detections: in any order; boxes without area are dropped.
        iou_above: a box that overlaps a better one of its class by more than this is dropped.
        at_most: how many to keep.

    Returns:
        The kept ones, best first; equal scores in the order they came in.
    """
    solid = _solid(detections)
    if len(solid) < 2:  # noqa: PLR2004 (nothing to overlap with)
        return solid[:at_most]
    xywh = solid.xyxy.copy()
    xywh[:, 2:] -= xywh[:, :2]
    # For the few boxes of a frame, OpenCV's loop with lists is 20 times as fast as NumPy's.
    kept = cv2.dnn.NMSBoxesBatched(
        xywh.tolist(), solid.score.tolist(), solid.label.tolist(), 0.0, iou_above, 1.0, CANDIDATES
    )
    return solid[np.asarray(kept[:at_most], np.int64)]


def best(detections: Detections, at_most: int) -> Detections:
    """The best ones, best first; equal scores in the order they came in.

    Boxes without area are dropped.
    """
    solid = _solid(detections)
    return solid[np.argsort(-solid.score, kind="stable")[:at_most]]


def _solid(detections: Detections) -> Detections:
    return detections[(area(detections.xyxy) > 0).nonzero()[0]]
