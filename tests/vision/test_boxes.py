"""Overlap and NMS, against the obvious way to write them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spotterd.data import Detections
from spotterd.vision.boxes import area, best, corners, iou, nms


def overlap(a, b) -> float:
    width = max(min(a[2], b[2]) - max(a[0], b[0]), 0)
    height = max(min(a[3], b[3]) - max(a[1], b[1]), 0)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - width * height
    return width * height / union if width * height else 0.0


def slow_nms(found: Detections, iou_above: float, at_most: int) -> list[int]:
    kept: list[int] = []
    for at in sorted(range(len(found)), key=lambda at: -found.score[at]):
        box = found.xyxy[at]
        if box[2] <= box[0] or box[3] <= box[1]:
            continue
        rivals = [k for k in kept if found.label[k] == found.label[at]]
        if all(overlap(found.xyxy[k], box) <= iou_above for k in rivals):
            kept.append(at)
    return kept[:at_most]


@st.composite
def detections(draw) -> Detections:
    # Whole pixels, so that no overlap lies within rounding of the threshold.
    row = st.tuples(
        *[st.integers(0, 12)] * 2, *[st.integers(0, 8)] * 2, st.integers(1, 1000), st.integers(0, 2)
    )
    rows = np.array(draw(st.lists(row, max_size=25)), np.float32).reshape(-1, 6)
    xyxy = np.concatenate([rows[:, :2], rows[:, :2] + rows[:, 2:4]], axis=1)
    return Detections(xyxy, rows[:, 4] / 1000, rows[:, 5].astype(np.int64))


@given(detections(), st.sampled_from([0.0, 0.301, 0.601, 1.0]), st.integers(1, 30))
def test_nms_keeps_what_the_obvious_loop_keeps(found, iou_above, at_most) -> None:
    expected = found[np.array(slow_nms(found, iou_above, at_most), np.int64)]
    kept = nms(found, iou_above, at_most)
    np.testing.assert_array_equal(kept.xyxy, expected.xyxy)
    np.testing.assert_array_equal(kept.score, expected.score)
    np.testing.assert_array_equal(kept.label, expected.label)


@given(detections(), detections())
def test_iou_of_all_pairs(a, b) -> None:
    expected = [[overlap(x, y) for y in b.xyxy] for x in a.xyxy]
    np.testing.assert_allclose(
        iou(a.xyxy, b.xyxy), np.reshape(expected, (len(a), len(b))), atol=1e-6
    )


def test_no_boxes() -> None:
    none = Detections.empty()
    assert iou(none.xyxy, none.xyxy).shape == (0, 0)
    assert len(nms(none, 0.5, 10)) == 0
    assert len(best(none, 10)) == 0


def test_one_place_may_hold_two_classes() -> None:
    twice = Detections(np.float32([[0, 0, 9, 9]] * 2), np.float32([0.5, 0.9]), np.array([0, 1]))
    assert nms(twice, 0.5, 10).label.tolist() == [1, 0]


def test_a_network_that_sees_ghosts_everywhere_costs_bounded_time() -> None:
    rng = np.random.default_rng(0)
    corner = rng.uniform(0, 600, (34000, 2)).astype(np.float32)
    many = Detections(
        np.concatenate([corner, corner + 20], axis=1),
        rng.random(34000, np.float32),
        rng.integers(0, 4, 34000),
    )
    kept = nms(many, 0.6, 100)
    assert len(kept) == 100
    assert (np.diff(kept.score) <= 0).all()


@pytest.mark.parametrize(
    ("cxcywh", "xyxy", "size"), [((5, 5, 2, 4), (4, 3, 6, 7), 8), ((5, 5, -2, 4), (6, 3, 4, 7), 0)]
)
def test_corners_and_area(cxcywh, xyxy, size) -> None:
    made = corners(np.float32([cxcywh]))
    np.testing.assert_array_equal(made, np.float32([xyxy]))
    assert area(made).tolist() == [size]


def test_best_are_sorted_and_cut_and_have_an_area() -> None:
    boxes = np.float32([[0, 0, 1, 1], [0, 0, 1, 1], [0, 0, 1, 1], [3, 0, 3, 9]])
    four = Detections(boxes, np.float32([0.2, 0.9, 0.5, 1.0]), np.arange(4))
    assert best(four, 2).label.tolist() == [1, 2]
