"""Boxes with labels on a picture, readable on any sky and at any size."""

import cv2
import numpy as np

from spotterd.data import Detections, Image

# Blue, green, red; told apart by the colour-blind, too (Okabe and Ito).
COLOURS = ((0, 159, 230), (233, 180, 86), (115, 158, 0), (66, 228, 240), (167, 121, 204))
BLACK, FONT = (0, 0, 0), cv2.FONT_HERSHEY_SIMPLEX
SIDE_PER_LINE = 250  # a line is a pixel thick for each so many pixels of the shorter side
LEAST_THICK = 2
LETTERS = 0.25  # OpenCV's font scale, for each pixel of thickness


def draw(bgr: Image, detections: Detections, labels: tuple[str, ...]) -> None:
    """Draw every detection into a picture, the best one on top.

    Args:
        bgr: (h, w, 3) uint8, changed in place.
        detections: in pixels of the picture.
        labels: class names by index.
    """
    thick = max(round(min(bgr.shape[:2]) / SIDE_PER_LINE), LEAST_THICK)
    away = thick + 2
    for at in reversed(range(len(detections))):
        label = int(detections.label[at])
        colour = COLOURS[label % len(COLOURS)]
        text = f"{labels[label]} {detections.score[at]:.2f}"
        # Around the object, not on it: far craft are a few pixels large.
        left, top, right, bottom = np.rint(detections.xyxy[at]).astype(int).tolist()
        corner, opposite = (left - away, top - away), (right + away, bottom + away)
        cv2.rectangle(bgr, corner, opposite, BLACK, thick + 2)
        cv2.rectangle(bgr, corner, opposite, colour, thick)
        _tag(bgr, text, (corner[0], corner[1], opposite[1]), colour, thick)


def _tag(
    bgr: Image, text: str, place: tuple[int, int, int], colour: tuple[int, int, int], thick: int
) -> None:
    """Black letters on the colour: above the box, below where there is no room, in the picture."""
    left, top, bottom = place
    scale, stroke = LETTERS * thick, max(thick // 2, 1)
    (width, height), drop = cv2.getTextSize(text, FONT, scale, stroke)
    tall = height + drop + 2 * thick
    left = max(min(left, bgr.shape[1] - width - 2 * thick), 0)
    upper = top - tall if top >= tall else min(bottom, bgr.shape[0] - tall)
    cv2.rectangle(bgr, (left, upper), (left + width + 2 * thick, upper + tall), colour, cv2.FILLED)
    base = (left + thick, upper + thick + height)
    cv2.putText(bgr, text, base, FONT, scale, BLACK, stroke, cv2.LINE_AA)
