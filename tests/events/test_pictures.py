"""The best view is near, sure, whole and sharp; JPEGs keep to their size."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from events.test_rules import LABELS, SECOND, track
from helpers import nv12
from spotterd.data import Tracks
from spotterd.events.pictures import LEAST_SIDE_PX, Album, around, jpeg, sharpness, whole
from spotterd.events.views import worth
from spotterd.vision.pixels import as_bgr

WH = (320, 240)


def sky(seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.integers(190, 210, (WH[1], WH[0], 3), np.uint8)


def craft(at: tuple[int, int], size: int) -> np.ndarray:
    """A sky with a striped object at its centre."""
    frame, (x, y), half = sky(), at, size // 2
    frame[y - half : y + half, x - half : x + half] = 0
    frame[y - half : y + half : 4, x - half : x + half] = 255
    return frame


def look(album: Album, now_s: float, frame: np.ndarray, tracks: Tracks) -> None:
    album.look(tracks, frame, int(now_s * SECOND))


def shown(at: tuple[int, int] = (160, 120), size: int = 40, **how) -> Tracks:
    return track(at=at, size=size, **how)


@pytest.mark.parametrize(
    ("xyxy", "value"),
    [
        ((140, 100, 180, 140), 20),
        ((120, 80, 200, 160), 40),
        ((0, 100, 40, 140), 10),
        ((140, 1.5, 180, 41.5), 10),
        ((279, 100, 319, 140), 10),
        ((140, 199, 180, 239), 10),
    ],
)
def test_the_worth_of_a_view_is_its_score_times_its_size_halved_at_the_edge(
    xyxy: tuple[float, ...], value: float
) -> None:
    assert worth(xyxy, 0.5, WH) == pytest.approx(value)


@pytest.mark.parametrize("form", [np.asarray, nv12])
def test_the_album_keeps_the_nearest_and_drops_the_blurred(form) -> None:
    album = Album()
    look(album, 0, form(craft((160, 120), 20)), shown(size=20))
    near = form(craft((160, 120), 40))
    look(album, 1, near, shown(size=40))
    look(album, 2, form(cv2.GaussianBlur(craft((160, 120), 44), (15, 15), 5)), shown(size=44))
    look(album, 3, form(craft((160, 120), 20)), shown(size=20))
    best = album.best(1)
    assert best is not None
    assert np.array_equal(best, around(near, shown(size=40).xyxy[0].tolist()))


def test_the_album_does_not_hold_on_to_frames() -> None:
    album, frame = Album(), craft((160, 120), 40)
    look(album, 0, frame, shown())
    before = album.best(1).copy()
    frame[:] = 0
    assert np.array_equal(album.best(1), before)


def test_only_confirmed_tracks_have_pictures_until_their_end_was_told() -> None:
    album = Album()
    look(album, 0, craft((160, 120), 40), shown(confirmed=False))
    assert album.best(1) is None
    look(album, 1, craft((160, 120), 40), shown())
    look(album, 2, sky(), Tracks.empty())
    assert album.best(1) is not None
    look(album, 3, sky(), Tracks.empty())
    assert album.best(1) is None


@given(
    st.floats(0, 320), st.floats(0, 240), st.floats(0, 400, width=32), st.floats(0, 400, width=32)
)
def test_crops_are_in_the_frame_and_show_the_box(x: float, y: float, w: float, h: float) -> None:
    box = np.array([x, y, min(x + w, 320), min(y + h, 240)], np.float32)
    crop = around(sky(), box)
    assert 0 < crop.shape[0] <= 240
    assert 0 < crop.shape[1] <= 320
    assert crop.shape[1] >= min(box[2] - box[0], 320)


def test_crops_of_far_craft_show_where_they_are() -> None:
    tiny = around(sky(), np.array([150, 110, 160, 120], np.float32))
    assert min(tiny.shape[:2]) >= LEAST_SIDE_PX


def test_a_blur_is_less_sharp() -> None:
    crisp = craft((160, 120), 40)
    assert sharpness(crisp) > 2 * sharpness(cv2.GaussianBlur(crisp, (9, 9), 3))


def test_the_whole_picture_is_scaled_drawn_and_a_copy() -> None:
    frame = craft((160, 120), 40)
    before = frame.copy()
    both = shown().joined(track(2, at=(20, 20), confirmed=False))
    small = whole(frame, both, LABELS, max_width=160)
    assert np.array_equal(frame, before)
    assert small.shape == (120, 160, 3)
    plain = cv2.resize(frame, (160, 120), interpolation=cv2.INTER_AREA)
    changed = np.argwhere((small != plain).any(axis=2))
    assert changed.min(0)[1] > 40  # around the confirmed track only
    assert whole(frame, both, LABELS, max_width=640).shape == frame.shape
    planes = nv12(frame)
    same = [whole(form, both, LABELS, max_width=160) for form in (planes, as_bgr(planes))]
    assert np.abs(same[0].astype(int) - same[1]).mean() < 4  # noise of single pixels: the worst


@given(st.integers(2_000, 200_000), st.booleans())
@settings(max_examples=15, deadline=None)
def test_a_jpeg_keeps_to_its_size_whatever_it_shows(max_bytes: int, noisy: bool) -> None:
    rng = np.random.default_rng(max_bytes)
    frame = rng.integers(0, 255, (240, 320, 3), np.uint8) if noisy else sky()
    encoded = jpeg(frame, max_bytes)
    assert len(encoded) <= max_bytes
    back = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR)
    assert back.shape[1] / back.shape[0] == pytest.approx(4 / 3, rel=0.1)


def test_a_jpeg_that_fits_keeps_its_pixels() -> None:
    encoded = jpeg(sky(), 100_000)
    assert cv2.imdecode(np.frombuffer(encoded, np.uint8), 1).shape == (240, 320, 3)
