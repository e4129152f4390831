"""The metric itself, on runs whose scores are known by hand."""

import numpy as np
import pytest

from tracking import mot

A, B = [0.0, 0, 10, 10], [50.0, 0, 60, 10]


def frame(truth: dict[int, list[float]], tracks: dict[int, list[float]]):
    def columns(some):
        return np.array(list(some), int), np.array(list(some.values()), float).reshape(-1, 4)

    return (*columns(truth), *columns(tracks))


@pytest.mark.parametrize(
    ("frames", "idf1", "mota", "switches"),
    [
        ([frame({1: A, 2: B}, {7: A, 8: B})] * 4, 1.0, 1.0, 0),
        ([frame({1: A}, {7: A})] * 2 + [frame({1: A}, {8: A})] * 2, 0.5, 0.75, 1),
        ([frame({1: A}, {})] * 4, 0.0, 0.0, 0),
        ([frame({1: A}, {7: B})] * 4, 0.0, -1.0, 0),
        # A track that jumps from one object to the other, and back.
        ([frame({1: A, 2: B}, {7: A}), frame({1: A, 2: B}, {7: B})] * 2, 2 * 2 / 12, 0.5, 0),
    ],
)
def test_scores(frames, idf1: float, mota: float, switches: int) -> None:
    scores = mot.score(frames)
    assert scores.idf1 == pytest.approx(idf1)
    assert scores.mota == pytest.approx(mota)
    assert scores.switches == switches


def test_centre_inside_a_loose_box() -> None:
    loose = np.array([[0.0, 0, 100, 100]])
    tight = np.array([[45.0, 45, 55, 55], [95, 45, 105, 55], [101, 45, 121, 55]])
    assert mot.centre_inside(loose, tight)[0] == pytest.approx([1, 0, 0])
