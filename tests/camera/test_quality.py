"""Pictures that look wrong are told after a while, and healthy skies never are."""

import cv2
import numpy as np
import pytest

from helpers import nv12
from spotterd.camera.quality import (
    FROZEN_NS,
    IS_BLACK,
    IS_BLURRED,
    IS_COVERED,
    IS_FROZEN,
    Quality,
)
from spotterd.camera.sim import open_sim

S = 1_000_000_000


def scene(seconds: int, seed: int = 0) -> np.ndarray:
    """A sky with a tree line, and the noise of a sensor."""
    dice = np.random.default_rng(7)
    frame = np.full((480, 640, 3), 170, np.uint8)
    for x in range(0, 640, 8):
        top = int(380 + dice.integers(-30, 30))
        cv2.rectangle(frame, (x, top), (x + 7, 479), (40, 60, 50), -1)
        cv2.line(frame, (x, 479), (x + 5, top - 20), (30, 40, 30), 2)
    return frame + np.random.default_rng(seconds).integers(0, 6, frame.shape, np.uint8)


def watch(
    change: object, seconds: int = 30, healthy: int = 20, form: object = np.asarray
) -> list[tuple[str, ...]]:
    """A picture a second: healthy ones, then changed ones; the warnings after each."""
    quality, told = Quality(), []
    for n in range(1, healthy + seconds):
        frame = scene(n)
        quality.step(form(change(frame, n) if n >= healthy else frame), n * S)
        if n >= healthy:
            told.append(quality.warnings(n * S))
        else:
            assert quality.warnings(n * S) == ()
    return told


def cover(frame: np.ndarray, n: int) -> np.ndarray:
    frame[:, :320] = np.random.default_rng(n).integers(8, 14, (480, 320, 3), np.uint8)
    return frame


@pytest.mark.parametrize(
    ("change", "warning"),
    [
        (lambda frame, n: frame // 16, IS_BLACK),
        (cover, IS_COVERED),
        (lambda frame, n: cv2.GaussianBlur(frame, (0, 0), 8), IS_BLURRED),
        (lambda frame, n: scene(0), IS_FROZEN),
    ],
)
@pytest.mark.parametrize("form", [np.asarray, nv12])
def test_what_stays_wrong_is_told_after_ten_seconds(
    change: object, warning: str, form: object
) -> None:
    told = watch(change, form=form)
    assert not any(told[:9])
    assert told[-1] == (warning,)


def test_a_moment_is_not_told() -> None:
    assert not any(watch(lambda frame, n: frame // 16 if n % 7 else frame))


def test_dusk_is_not_told_before_it_is_black() -> None:
    told = watch(
        lambda frame, n: np.clip(frame * 0.99 ** (2 * n - 40), 0, 255).astype(np.uint8), 75
    )
    assert not any(told)


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("form", [np.asarray, nv12])
def test_an_empty_or_busy_sky_is_healthy(seed: int, form: object) -> None:
    for craft in (0, 4):
        sim, quality = open_sim(f"sim:?live=0&fps=2&seed={seed}&craft={craft}"), Quality()
        for n in range(60):
            quality.step(form(sim.render(n)), n * S // 2)
            assert quality.warnings(n * S // 2) == ()


def test_frozen_counts_from_the_last_change() -> None:
    quality, frame = Quality(), scene(1)
    assert not quality.frozen(99 * S)
    quality.step(frame, S)
    quality.step(frame, 5 * S)
    assert not quality.frozen(S + FROZEN_NS - 1)
    assert quality.frozen(S + FROZEN_NS)
    assert [quality.stuck(15 * S), quality.stuck(16 * S)] == [True, False]
    quality.step(scene(2), 20 * S)
    assert not quality.frozen(20 * S)
    quality.step(scene(2), 40 * S)
    assert quality.stuck(40 * S)


@pytest.mark.parametrize("size", [(1, 1), (4, 4), (2, 900), (4320, 7680)])
def test_any_size_can_be_judged(size: tuple[int, int]) -> None:
    quality = Quality()
    for n in range(3):
        quality.step(np.full((*size, 3), 90, np.uint8), n * S)
