"""The first look of a newcomer, `spotterd demo`: the made-up craft are called what they are."""

from collections import Counter

import pytest

from spotterd.camera.sim import LABELS, open_sim
from spotterd.config.schema import Detector, Engines
from spotterd.inference.open import open_detector
from tracking import mot

FRAMES, LEAST = 24, 0.85


@pytest.fixture(scope="module")
def sky():
    detector = open_detector(Detector(), Engines(precision="fp32", threads=1))
    yield detector
    detector.backend.close()


def test_made_up_craft_are_called_what_they_are(sky) -> None:
    """By the best detection that lies on each, with the shipped model; a minute, all kinds."""
    sim = open_sim("sim:?live=0&fps=0.4")
    flown, right, elsewhere = Counter(), Counter(), 0
    for seq in range(FRAMES):
        truth, found = sim.truth(seq), sky.run_once(sim.render(seq))
        on = mot.centre_inside(truth.xyxy, found.xyxy) > 0
        for label, hits in zip(truth.label, on, strict=True):
            flown[label] += 1
            right[label] += bool(hits.any()) and sky.labels[found.label[hits.argmax()]] == label
        elsewhere += int((~on.any(axis=0)).sum())
    print(flown, right, elsewhere)
    assert min(flown[label] for label in LABELS) >= 8
    assert all(right[label] >= LEAST * flown[label] for label in LABELS)
    assert elsewhere <= 3
