"""Scores on made-up skies, and on the real motion of the labelled clips; floors, with some slack.

`tests/tracking/clips.py` prints the scores with the real detector.
"""

import json
from dataclasses import replace

import numpy as np
import pytest

from helpers import shared
from spotterd.camera.sim import Sim, SimOptions
from spotterd.data import Detections
from spotterd.tracking.params import Params
from spotterd.tracking.tracker import Tracker
from tracking import mot
from tracking.skies import Sky, frames

SKIES = {
    "plain": (Sky(), 0.82, 2),
    "clean": (Sky(miss=0, weak=0, false=0), 0.93, 0),
    "ten objects": (Sky(objects=10, seconds=10), 0.78, 10),
    "tiny and fast": (Sky(size=(8, 12), speed=(50, 200)), 0.82, 2),
    "5 frames a second": (Sky(fps=5, seconds=60), 0.80, 4),
    "every second frame dropped": (Sky(dropped=0.5), 0.80, 3),
    "hidden for a second": (Sky(hidden=(8, 9)), 0.78, 3),
    "sharp turns": (Sky(turn=2.0, speed=(50, 200)), 0.82, 3),
    "three false alarms a frame": (Sky(false=3), 0.75, 12),
    "a shaking mast": (Sky(shake=5), 0.80, 12),
}


@pytest.mark.parametrize("name", SKIES)
def test_made_up_skies(name: str) -> None:
    sky, least_idf1, most_switches = SKIES[name]
    scores = [mot.score(followed(replace(sky, seed=seed))) for seed in (1, 2)]
    print(name, *scores, sep="\n  ")
    assert np.mean([score.idf1 for score in scores]) >= least_idf1
    assert sum(score.switches for score in scores) <= most_switches


def followed(sky: Sky):
    tracker = Tracker(Params())
    for frame in frames(sky):
        tracks = tracker.step(frame.detections, frame.time_ns, sky.wh)
        tracks = tracks[tracks.confirmed & tracks.seen]
        yield frame.ids, frame.truth, tracks.id, tracks.xyxy


@pytest.mark.parametrize(
    ("clip", "every"),
    [
        ("V_AIRPLANE_017", 1),
        ("V_AIRPLANE_017", 3),
        (
            "V_AIRPLANE_020",
            1,
        ),  # the camera turns by 30 pixels a frame; by 90 is too far (every 3rd)
        ("V_HELICOPTER_012", 1),
        ("V_HELICOPTER_012", 3),
        ("V_DRONE_044", 1),
        ("V_DRONE_044", 3),
        ("V_BIRD_025", 1),
        ("V_BIRD_025", 3),
    ],
)
def test_the_motion_of_real_clips(clip: str, every: int) -> None:
    """The labelled boxes as a poor detector sees them, so that no inference is needed."""
    entries = json.loads(shared("data/clips/clips.json").read_text())
    entry = next(one for one in entries if one["file"] == f"{clip}.mp4")
    score = mot.score(labels_followed(entry, every), mot.centre_inside, 0.05)
    print(clip, every, score)
    assert score.idf1 >= 0.85
    assert score.switches == 0


def test_the_truth_of_the_made_up_camera() -> None:
    """Flights come and go over the edges, and cross."""
    options = SimOptions(seconds=60, fps=15, live=False, craft=5)
    camera, tracker, rng = Sim(options), Tracker(Params()), np.random.default_rng(1)
    rows = []
    for n in range(60 * 15):
        truth = camera.truth(n)
        seen = poorly(truth.xyxy.astype(float), options.size_wh, rng)
        tracks = tracker.step(seen, n * 10**9 // 15, options.size_wh)
        tracks = tracks[tracks.confirmed & tracks.seen]
        rows.append((truth.id, truth.xyxy, tracks.id, tracks.xyxy))
    score = mot.score(rows)
    print("sim:", score)
    assert score.idf1 >= 0.8
    assert score.switches <= 3


def labels_followed(entry: dict, every: int):
    rng = np.random.default_rng(5)
    tracker, wh = Tracker(Params()), (entry["width"], entry["height"])
    for n, box in list(enumerate(entry["boxes"]))[::every]:
        truth = np.array([] if box is None else [box], float).reshape(-1, 4)
        truth[:, 2:] += truth[:, :2]
        tracks = tracker.step(poorly(truth, wh, rng), int(n / entry["fps"] * 1e9), wh)
        tracks = tracks[tracks.confirmed & tracks.seen]
        yield np.zeros(len(truth), int), truth, tracks.id, tracks.xyxy


def poorly(truth: np.ndarray, wh: tuple[int, int], rng: np.random.Generator) -> Detections:
    """One in ten missed, one in five weak, all off by a tenth; a false alarm every tenth frame."""
    kept = truth[rng.random(len(truth)) > 0.1]
    kept = kept + rng.normal(0, 0.1, kept.shape) * (kept[:, 2:3] - kept[:, :1])
    weak = rng.random(len(kept)) < 0.2
    false = rng.uniform(0, 0.9, (rng.poisson(0.1), 2)) * wh
    xyxy = np.vstack((kept, np.hstack((false, false + 25))))
    score = np.concatenate((np.where(weak, 0.2, 0.7), rng.uniform(0.1, 0.6, len(false))))
    label = np.concatenate((np.zeros(len(kept), np.int64), rng.integers(0, 4, len(false))))
    best = np.argsort(-score)
    return Detections(xyxy[best].astype(np.float32), score[best].astype(np.float32), label[best])
