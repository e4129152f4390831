"""Tiles cover the frame, and what they saw becomes one list."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spotterd.data import Detections
from spotterd.vision.tiles import crops, merge

SIDES = st.integers(1, 4000)
HD = (1920, 1080)


def seen(*rows) -> Detections:
    """Rows of left, top, right, bottom, score, label."""
    table = np.array(rows, np.float32).reshape(-1, 6)
    return Detections(table[:, :4], table[:, 4], table[:, 5].astype(np.int64))


def see(frame_wh, crop, objects) -> Detections:
    """What a perfect detector sees of objects in a crop: cut boxes where they are cut."""
    left, top, right, bottom = crop
    boxes = np.float32(objects).reshape(-1, 4)
    clipped = np.clip(boxes, [left, top] * 2, [right, bottom] * 2) - np.float32([left, top] * 2)
    inside = (clipped[:, 2:] - clipped[:, :2] > 1).all(axis=1)
    return seen(*[(*box, 0.9, 0) for box in clipped[inside]])


@given(st.tuples(SIDES, SIDES), st.tuples(st.integers(32, 1280), st.integers(32, 1280)))
def test_crops_cover_the_frame_with_the_overlap_asked_for(frame_wh, crop_wh) -> None:
    tiles = crops(frame_wh, crop_wh, 0.2)
    if not tiles:
        assert frame_wh[0] <= crop_wh[0]
        assert frame_wh[1] <= crop_wh[1]
        return
    assert len({(right - left, bottom - top) for left, top, right, bottom in tiles}) == 1
    for axis in (0, 1):
        spans = sorted({(tile[axis], tile[axis + 2]) for tile in tiles})
        assert spans[0][0] == 0
        assert spans[-1][1] == frame_wh[axis]
        size = spans[0][1]
        for (_, end), (start, _) in pairwise(spans):
            assert end - start >= int(0.2 * size)


def test_a_frame_that_fits_needs_no_crops() -> None:
    assert crops((640, 512), (640, 640), 0.2) == []


@pytest.mark.parametrize(("frame_wh", "count"), [(HD, 8), ((1280, 720), 6), ((3840, 2160), 32)])
def test_how_many_crops_common_frames_cost(frame_wh, count) -> None:
    assert len(crops(frame_wh, (640, 640), 0.2)) == count


@given(
    st.lists(
        st.tuples(st.integers(0, 19), st.integers(0, 10), st.integers(4, 60), st.integers(4, 60)),
        max_size=12,
        unique_by=lambda row: row[:2],
    )
)
def test_each_object_is_told_once_and_whole(rows) -> None:
    # One object a cell of 96 pixels, so that they do not overlap; 60 pixels are less than a seam.
    objects = [(96 * i + 1, 96 * j + 1, 96 * i + 1 + w, 96 * j + 1 + h) for i, j, w, h in rows]
    parts = [(crop, see(HD, crop, objects)) for crop in crops(HD, (640, 640), 0.2)]
    merged = merge(HD, parts, 0.6, 100)
    expected = np.clip(np.float32(objects).reshape(-1, 4), 0, np.float32(HD * 2))
    assert sorted(merged.xyxy.tolist()) == sorted(expected.tolist())


def test_a_craft_larger_than_a_crop_is_the_whole_frames() -> None:
    large = [(100, 100, 1700, 900)]
    whole = (0, 0, *HD)
    parts = [(crop, see(HD, crop, large)) for crop in [*crops(HD, (640, 640), 0.2), whole]]
    assert merge(HD, parts, 0.6, 100).xyxy.tolist() == [[100, 100, 1700, 900]]


def test_a_cut_box_that_nothing_covers_is_kept() -> None:
    parts = [((0, 0, 640, 640), seen((600, 100, 640, 140, 0.5, 0))), ((512, 0, 1152, 640), seen())]
    assert merge(HD, parts, 0.6, 100).xyxy.tolist() == [[600, 100, 640, 140]]


def test_a_cut_box_of_another_class_is_not_a_part() -> None:
    parts = [
        ((0, 0, 640, 640), seen((600, 100, 640, 140, 0.5, 1))),
        ((512, 0, 1152, 640), seen((88, 100, 200, 140, 0.6, 0))),
    ]
    assert merge(HD, parts, 0.6, 100).label.tolist() == [0, 1]


def test_nothing_seen_anywhere() -> None:
    assert len(merge(HD, [], 0.6, 100)) == 0
    assert len(merge(HD, [((0, 0, *HD), Detections.empty())], 0.6, 100)) == 0
