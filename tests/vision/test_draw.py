"""Boxes drawn on pictures of any size."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spotterd.data import Detections
from spotterd.vision.draw import COLOURS, draw

LABELS = ("airplane", "helicopter", "drone", "bird")


def one(xyxy, label=0) -> Detections:
    return Detections(np.float32([xyxy]), np.float32([0.9]), np.array([label]))


@pytest.mark.parametrize("sky", [0, 114, 255])
def test_box_and_tag_stand_out_and_leave_the_object_alone(sky) -> None:
    bgr = np.full((512, 640, 3), sky, np.uint8)
    draw(bgr, one((300, 250, 312, 256), 2), LABELS)
    assert (bgr[250:256, 300:312] == sky).all()
    around = bgr[200:270, 280:420].reshape(-1, 3)
    assert (around == COLOURS[2]).all(axis=1).sum() > 200
    assert (around == 0).all(axis=1).sum() > 20


@pytest.mark.parametrize("xyxy", [(0, 0, 30, 30), (600, 480, 640, 512), (0, 0, 640, 512)])
def test_the_tag_stays_in_the_picture(xyxy) -> None:
    bgr = np.full((512, 640, 3), 255, np.uint8)
    draw(bgr, one(xyxy), LABELS)
    tag = cv2.inRange(bgr, np.array(COLOURS[0]), np.array(COLOURS[0]))
    assert tag.any()
    # The letters: dark pixels with the tag's colour on both sides.
    assert (bgr.max(axis=2) < 60).sum() > 30


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 300), st.integers(1, 300), st.integers(0, 9))
def test_no_picture_is_too_small(width, height, label) -> None:
    bgr = np.zeros((height, width, 3), np.uint8)
    names = tuple(f"class {n} of many" for n in range(10))
    draw(bgr, one((0, 0, width, height), label), names)


def test_lines_grow_with_the_picture() -> None:
    painted = []
    for side in (500, 4000):
        bgr = np.zeros((side, side, 3), np.uint8)
        draw(bgr, one((side / 4, side / 4, side / 2, side / 2)), LABELS)
        painted.append((bgr > 0).any(axis=2).mean())
    assert painted[1] == pytest.approx(painted[0], rel=0.3)
