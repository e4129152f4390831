"""The frame pool never blocks, never lends a buffer twice, and stops allocating."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from spotterd.camera.pool import FramePool


def frame(side: int = 4) -> np.ndarray:
    return np.zeros((side, side, 3), np.uint8)


def test_buffers_come_back_and_are_lent_again() -> None:
    pool = FramePool(2)
    assert pool.take() is None
    first = frame()
    release = pool.lend(first)
    assert pool.take() is None
    release()
    assert pool.take() is first
    assert pool.misses == 2


def test_a_second_release_does_nothing() -> None:
    pool = FramePool(4)
    release = pool.lend(frame())
    release()
    release()
    assert pool.take() is not None
    assert pool.take() is None


def test_another_resolution_forgets_the_old_buffers() -> None:
    pool = FramePool(4)
    pool.lend(frame(4))()
    late = pool.lend(frame(4))
    pool.lend(frame(6))()
    late()
    assert pool.take().shape == (6, 6, 3)
    assert pool.take() is None


def test_views_of_a_sources_own_memory_are_not_kept() -> None:
    pool = FramePool(4)
    pool.lend(frame(8)[:4, :4])()
    assert pool.take() is None


@given(st.lists(st.booleans(), max_size=60), st.integers(1, 4))
def test_no_buffer_is_in_two_hands(takes: list[bool], size: int) -> None:
    pool, out = FramePool(size), []
    for take in takes:
        if take:
            bgr = pool.take()
            bgr = frame() if bgr is None else bgr
            assert all(bgr is not other for other, _ in out)
            out.append((bgr, pool.lend(bgr)))
        elif out:
            out.pop(0)[1]()
