"""The letterbox: aspect kept, padding even, boxes mapped back, no memory for each frame."""

import tracemalloc

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers import nv12, real_pictures
from spotterd.vision.letterbox import PAD, YOLOX, Letterbox
from spotterd.vision.pixels import as_bgr

FRAMES = st.tuples(st.integers(1, 7680), st.integers(1, 4320))
INPUTS = st.tuples(*[st.integers(1, 40).map(lambda n: 32 * n)] * 2)
GREY = np.float32(1 / 255) * np.float32(PAD)


def picture(width: int, height: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


def blank(rows: int = 640, columns: int = 640) -> np.ndarray:
    return np.full((1, 3, rows, columns), np.nan, np.float32)


@given(FRAMES, INPUTS)
def test_aspect_is_kept_and_padding_is_even(frame_wh, input_hw) -> None:
    box = Letterbox(frame_wh, input_hw)
    (width, height), (x, y) = box.size_wh, box.offset_xy
    right, below = input_hw[1] - x - width, input_hw[0] - y - height
    assert 0 <= right - x <= 1
    assert 0 <= below - y <= 1
    assert 0 in {x + right, y + below}
    scale = min(input_hw[1] / frame_wh[0], input_hw[0] / frame_wh[1])
    assert abs(width - frame_wh[0] * scale) <= 0.5 or width == 1
    assert abs(height - frame_wh[1] * scale) <= 0.5 or height == 1


@given(FRAMES, INPUTS)
def test_the_tight_input_shows_the_same_at_the_same_scale(frame_wh, input_hw) -> None:
    box = Letterbox(frame_wh, input_hw)
    tight = Letterbox(frame_wh, box.tight_hw)
    assert tight.tight_hw == box.tight_hw
    assert all(a <= b for a, b in zip(box.tight_hw, input_hw, strict=True))
    off = 0.5 / min(box.size_wh)  # by which rounding to whole pixels changes the scale, at most
    for there, here in zip(tight.size_wh, box.size_wh, strict=True):
        assert there >= here * (1 - off) - 1


@given(FRAMES, INPUTS, st.lists(st.floats(0, 1), min_size=4, max_size=4))
def test_boxes_come_back_within_a_pixel(frame_wh, input_hw, where) -> None:
    box = Letterbox(frame_wh, input_hw)
    there = np.float32([where]) * np.tile(frame_wh, 2)
    factor = np.tile(box.size_wh, 2) / np.tile(frame_wh, 2)
    inside = (there * factor + np.tile(box.offset_xy, 2)).astype(np.float32)
    back = box.to_frame(inside)
    assert back.dtype == np.float32
    # float32 resolves 1/8000 of a pixel at 1000; a tiny picture in a large input scales that up.
    assert np.abs(back - there).max() < 1


@given(FRAMES, st.lists(st.floats(-1e4, 1e4, width=32), min_size=4, max_size=4))
def test_boxes_are_clipped_to_the_frame(frame_wh, xyxy) -> None:
    back = Letterbox(frame_wh, (640, 640)).to_frame(np.float32([xyxy]))
    assert (back >= 0).all()
    assert (back <= np.tile(frame_wh, 2)).all()


@pytest.mark.parametrize("wh", [(1, 1), (640, 512), (1920, 1080), (512, 640), (7680, 4320), (9, 2)])
def test_pixels_are_rgb_0_to_1_where_they_belong_and_grey_elsewhere(wh) -> None:
    bgr, out, box = picture(*wh), blank(), Letterbox(wh, (640, 640))
    box.fill(bgr, out)
    (x, y), (width, height) = box.offset_xy, box.size_wh
    scaled = cv2.resize(bgr, (width, height), interpolation=cv2.INTER_LINEAR)
    expected = np.full((640, 640, 3), PAD, np.uint8)
    expected[y : y + height, x : x + width] = scaled[:, :, ::-1]
    np.testing.assert_allclose(out[0].transpose(1, 2, 0), expected / 255, atol=1e-7)


# Grey levels by which the tensor may differ, mean and at the 99.9th percentile: NV12 is scaled
# before it is converted. A camera's noise and a JPEG's blocks are several times that.
@pytest.mark.parametrize(
    ("wh", "mean", "most"), [((1920, 1080), 0.1, 2), ((1280, 720), 0.1, 2), ((640, 512), 0, 0)]
)
def test_the_tensor_of_nv12_is_that_of_its_bgr(wh, mean: float, most: float) -> None:
    box, levels = Letterbox(wh, (512, 640)), []
    for picture in real_pictures(wh):
        pixels, direct, converted = nv12(picture), blank(512, 640), blank(512, 640)
        box.fill(pixels, direct)
        box.fill(as_bgr(pixels), converted)
        levels.append(np.abs(direct - converted).ravel() * 255)
    off = np.concatenate(levels)
    assert off.mean() <= mean
    assert np.percentile(off, 99.9) <= most


@settings(max_examples=60, deadline=None)
@given(st.tuples(st.integers(1, 150), st.integers(1, 150)), INPUTS, st.integers(0, 255))
def test_every_geometry_of_nv12_fills_the_whole_input(half_wh, input_hw, luma: int) -> None:
    width, height = (2 * side for side in half_wh)
    pixels = np.full((height * 3 // 2, width), 128, np.uint8)
    pixels[:height] = luma
    out, wanted = blank(*input_hw), blank(*input_hw)
    box = Letterbox((width, height), input_hw)
    box.fill(pixels, out)
    box.fill(as_bgr(pixels), wanted)
    assert np.abs(out - wanted).max() * 255 < 1.01


def test_yolox_wants_bgr_0_to_255_in_the_upper_left() -> None:
    bgr, out = picture(640, 512), blank()
    Letterbox((640, 512), (640, 640), YOLOX).fill(bgr, out)
    np.testing.assert_array_equal(out[0, :, :512].transpose(1, 2, 0), bgr)
    assert (out[0, :, 512:] == PAD).all()


@settings(max_examples=20, deadline=None)
@given(st.lists(st.sampled_from([(64, 48), (48, 64), (10, 90), (64, 64)]), min_size=2, max_size=6))
def test_what_was_in_the_input_before_does_not_matter(sizes) -> None:
    used = blank(64, 64)
    boxes = {wh: Letterbox(wh, (64, 64)) for wh in sizes}
    before = None
    for seed, wh in enumerate(sizes):
        boxes[wh].fill(picture(*wh, seed), used, padded=before == wh)
        before = wh
        fresh = blank(64, 64)
        Letterbox(wh, (64, 64)).fill(picture(*wh, seed), fresh)
        assert (used == fresh).all()


def test_a_frame_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="shape"):
        Letterbox((640, 512), (640, 640)).fill(picture(512, 640), blank())


@pytest.mark.parametrize("wh", [(640, 512), (1280, 720), (1920, 1080)])
@pytest.mark.parametrize("form", [np.asarray, nv12])
def test_nothing_frame_sized_is_allocated_after_the_first_frame(wh, form) -> None:
    pixels, out, box = form(picture(*wh)), blank(), Letterbox(wh, (640, 640))
    box.fill(pixels, out)
    tracemalloc.start()
    box.fill(pixels, out)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 50_000
