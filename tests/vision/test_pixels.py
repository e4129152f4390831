"""NV12 is looked at as BGR without making all of it: same colours, nearly the same pixels."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers import nv12, real_pictures
from spotterd.data import is_nv12, size_of
from spotterd.vision.pixels import as_bgr, cut, scaled

EVEN = st.integers(1, 60).map(lambda n: 2 * n)
ANY = st.tuples(st.integers(1, 90), st.integers(1, 90))
HOWS = pytest.mark.parametrize("how", [cv2.INTER_LINEAR, cv2.INTER_AREA, cv2.INTER_NEAREST])


def noise(width: int, height: int, seed: int = 0) -> np.ndarray:
    """NV12 with all the values that bytes have, also those no camera gives."""
    return np.random.default_rng(seed).integers(0, 256, (height * 3 // 2, width), np.uint8)


@given(EVEN, EVEN)
def test_sizes_and_formats(width: int, height: int) -> None:
    bgr = np.zeros((height, width, 3), np.uint8)
    assert [size_of(bgr), size_of(nv12(bgr))] == [(width, height)] * 2
    assert [is_nv12(bgr), is_nv12(nv12(bgr))] == [False, True]


@given(EVEN, EVEN)
def test_the_whole_is_opencvs_conversion_and_bgr_is_left_alone(width: int, height: int) -> None:
    pixels = noise(width, height)
    bgr = as_bgr(pixels)
    assert np.array_equal(bgr, cv2.cvtColor(pixels, cv2.COLOR_YUV2BGR_NV12))
    assert as_bgr(bgr) is bgr


@given(EVEN, EVEN, st.data())
def test_a_part_is_that_part_of_the_whole(width: int, height: int, data: st.DataObject) -> None:
    pixels = noise(width, height)
    rows, columns = (
        slice(
            *sorted(data.draw(st.lists(st.integers(0, side), min_size=2, max_size=2, unique=True)))
        )
        for side in (height, width)
    )
    wanted = as_bgr(pixels)[rows, columns]
    assert np.array_equal(cut(pixels, rows, columns), wanted)
    assert np.array_equal(cut(as_bgr(pixels), rows, columns), wanted)


@HOWS
@settings(max_examples=60)
@given(
    wh=st.tuples(EVEN, EVEN),
    to=ANY,
    colour=st.tuples(st.integers(16, 255), *[st.integers(0, 255)] * 2),
)
def test_no_geometry_changes_a_plain_colour(how: int, wh, to, colour) -> None:
    pixels = np.empty((wh[1] * 3 // 2, wh[0]), np.uint8)
    pixels[: wh[1]] = colour[0]
    pixels[wh[1] :, ::2], pixels[wh[1] :, 1::2] = colour[1:]
    small = scaled(pixels, to, how)
    assert small.shape == (to[1], to[0], 3)
    assert np.abs(small - as_bgr(pixels)[0, 0].astype(int)).max() <= 1


@HOWS
@pytest.mark.parametrize("to", [(640, 360), (960, 540), (107, 60), (333, 187), (2400, 1351)])
def test_scaled_planes_look_as_the_scaled_picture(how: int, to) -> None:
    for picture in real_pictures((1920, 1080), most=3):
        pixels = nv12(picture)
        wanted = cv2.resize(as_bgr(pixels), to, interpolation=how).astype(int)
        off = np.abs(scaled(pixels, to, how) - wanted)
        assert off.mean() < 0.5
        assert np.percentile(off, 99.9) <= 3


@given(wh=st.tuples(EVEN, EVEN), to=ANY)
def test_scaled_bgr_is_opencvs_and_always_a_copy(wh, to) -> None:
    bgr = as_bgr(noise(*wh))
    assert np.array_equal(scaled(bgr, to), cv2.resize(bgr, to))
    for pixels in (bgr, noise(*wh)):
        same = scaled(pixels, wh)
        assert np.array_equal(same, bgr)
        assert not np.shares_memory(same, pixels)
