"""Prints how well the detector and the tracker together keep to the labelled clips and to `sim:`.

    PYTHONPATH=daemon:tests python tests/tracking/clips.py [SCORE [EVERY]]

SCORE stands for detector.score (default: that of the configuration); EVERY takes every so-many-th
frame, as a slow board would. A label is matched when the centre of a
track is inside it, because the clips' boxes are loose. Minutes on a CPU: not a test.
"""

import json
import sys
from collections.abc import Iterator

import cv2
import numpy as np

from helpers import shared
from spotterd.camera.sim import Sim, SimOptions
from spotterd.config import schema
from spotterd.data import Detections, Image
from spotterd.inference.detector import Detector
from spotterd.inference.open import open_detector
from spotterd.tracking.params import Params
from spotterd.tracking.tracker import Tracker
from tracking import mot

LEAST = 0.05  # a centre may lie nearly on the border of a loose box
SIM = SimOptions(seconds=20, fps=15, live=False)


def pictures(clip: str) -> Iterator[Image]:
    """The frames of a clip."""
    capture = cv2.VideoCapture(str(shared(f"data/clips/{clip}")))
    while (frame := capture.read()[1]) is not None:
        yield frame


def scored(frames: Iterator[Image], truths, fps: float, detector: Detector, params: Params) -> str:
    """Follow what the detector sees; truths are pairs of ids and corners, one a frame."""
    tracker, rows, ids = Tracker(params), [], set()
    for n, (frame, (truth_id, truth)) in enumerate(zip(frames, truths, strict=False)):
        seen: Detections = detector.run_once(frame)
        tracks = tracker.step(seen, int(n / fps * 1e9), (frame.shape[1], frame.shape[0]))
        tracks = tracks[tracks.confirmed & tracks.seen]
        ids |= set(tracks.id.tolist())
        rows.append((truth_id, truth, tracks.id, tracks.xyxy))
    return f"{mot.score(rows, mot.centre_inside, LEAST)}  tracks {len(ids)}"


def labelled(boxes: list[list[float] | None]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Ids and corners of every frame of a clip."""
    for box in boxes:
        corners = np.array([] if box is None else [box], float).reshape(-1, 4)
        corners[:, 2:] += corners[:, :2]
        yield np.zeros(len(corners), int), corners


def main(score: float | None, every: int) -> None:
    """Print one line a clip, and one for the made-up sky."""
    options = schema.Detector() if score is None else schema.Detector(score=score)
    params = Params.of(schema.Tracking(), options)
    low = options.model_copy(update={"score": params.low_score})
    detector = open_detector(low, schema.Engines())
    for entry in json.loads(shared("data/clips/clips.json").read_text()):
        if entry["boxes"] is None:
            continue
        frames, truths = list(pictures(entry["file"])), list(labelled(entry["boxes"]))
        fps = entry["fps"] / every
        result = scored(iter(frames[::every]), truths[::every], fps, detector, params)
        print(f"{entry['file']:22} {result}", flush=True)
    sim = Sim(SIM)
    count = range(0, int(SIM.seconds * SIM.fps), every)
    truths = ((truth.id, truth.xyxy) for truth in map(sim.truth, count))
    result = scored(map(sim.render, count), truths, SIM.fps / every, detector, params)
    print(f"{'sim:':22} {result}")


if __name__ == "__main__":
    main(
        float(sys.argv[1]) if len(sys.argv) > 1 else None,
        int(sys.argv[2]) if len(sys.argv) > 2 else 1,
    )
