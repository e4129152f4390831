"""AP, F1, false alarms and the rest, on detections whose figures are known by hand."""

from pathlib import Path

import numpy as np
import pytest

from spotterd.builder.score import Score, score
from spotterd.builder.truth import Labelled
from spotterd.data import Detections

LABELS = ("airplane", "drone", "bird")


def seen(*rows: tuple[float, float, float, float, float, int]) -> Detections:
    """Detections of (left, top, right, bottom, score, label)."""
    table = np.asarray(rows, np.float32).reshape(-1, 6)
    return Detections(table[:, :4], table[:, 4], table[:, 5].astype(np.int64))


def judged(*pictures: tuple[Detections, Detections]) -> Score:
    truth = [Labelled(Path("x.jpg"), wanted) for wanted, _ in pictures]
    return score(truth, [found for _, found in pictures], LABELS, 0.5, 1.0)


def test_a_perfect_detector_scores_one_everywhere() -> None:
    plane = seen((10, 10, 50, 40, 1, 0))
    bird = seen((5, 5, 15, 15, 1, 2))
    result = judged((plane, plane), (bird, bird), (seen(), seen()))
    assert (result.AP50, result.AP, result.F1, result.craft_AP50) == (1, 1, 1, 1)
    assert result.centre_recall == 1
    assert result.false_alarms_per_100_empty == 0
    assert result.per_class["drone"].AP50 is None, "no drone to find: nothing to say"
    assert result.by_size["small"].objects == 1
    assert result.by_size["medium"].AP50 == 1
    assert result.by_size["large"].AP50 is None


def test_nothing_found_scores_zero() -> None:
    result = judged((seen((10, 10, 50, 40, 1, 0)), seen()))
    assert (result.AP50, result.F1, result.centre_recall) == (0, 0, 0)


def test_the_threshold_counts_for_f1_and_not_for_ap() -> None:
    plane = seen((10, 10, 50, 40, 1, 0))
    weak = seen((10, 10, 50, 40, 0.4, 0))
    result = judged((plane, weak))
    assert (result.AP50, result.F1) == (1, 0)


def test_a_plane_taken_for_a_drone_is_craft_all_the_same() -> None:
    result = judged((seen((10, 10, 50, 40, 1, 0)), seen((10, 10, 50, 40, 0.9, 1))))
    assert (result.AP50, result.craft_AP50) == (0, 1)


def test_false_alarms_are_aircraft_in_pictures_without_any() -> None:
    bird = seen((5, 5, 15, 15, 1, 2))
    result = judged(
        (seen(), seen((0, 0, 9, 9, 0.9, 0), (20, 20, 30, 30, 0.9, 2))),  # one alarm, one bird
        (bird, seen((5, 5, 15, 15, 0.6, 1), (40, 40, 50, 50, 0.4, 0))),  # one alarm, one too weak
        (seen((0, 0, 9, 9, 1, 0)), seen((50, 50, 60, 60, 0.9, 0))),  # not empty
    )
    assert result.false_alarms_per_100_empty == 100


def test_a_tight_box_in_a_loose_label_is_recalled_by_its_centre() -> None:
    result = judged((seen((0, 0, 60, 60, 1, 0)), seen((20, 20, 40, 40, 0.9, 0))))
    assert (result.AP50, result.centre_recall) == (0, 1)


def test_f1_counts_a_second_box_on_one_object_as_wrong() -> None:
    plane = seen((10, 10, 50, 40, 1, 0))
    twice = seen((10, 10, 50, 40, 0.9, 0), (11, 10, 51, 40, 0.8, 0))
    assert pytest.approx(2 / 3, abs=1e-4) == judged((plane, twice)).F1
