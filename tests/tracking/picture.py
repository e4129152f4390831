"""Draws docs/tracking.png: a track with its zone, line and events on a clip (CC0 1.0).

    PYTHONPATH=daemon:tests python tests/tracking/picture.py docs/tracking.png

The clip's labels stand in for the detector, seen poorly: misses, weak sightings, false alarms.
"""

import json
import sys

import cv2
import numpy as np

from helpers import shared
from spotterd.config import schema
from spotterd.data import Detections, Event
from spotterd.events.rules import Rules
from spotterd.events.settings import Settings
from spotterd.tracking.params import Params
from spotterd.tracking.tracker import Tracker
from spotterd.vision.draw import draw
from tracking.clips import labelled, pictures
from tracking.test_skies import poorly

CLIP, SHOWN, SCALE = "V_AIRPLANE_020.mp4", 148, 2
LABELS = ("airplane", "helicopter", "drone", "bird")
ZONE, LINE = (80, 230, 80), (90, 90, 255)
SEEN, COASTED, LOW, GHOST = (255, 255, 255), (0, 140, 255), (0, 255, 255), (120, 120, 120)
EVENTS = schema.Events.model_validate(
    {
        "zones": {"approach": {"polygon": [[0.38, 0.18], [0.62, 0.14], [0.66, 0.48], [0.42, 0.5]]}},
        "lines": {"gate": {"start": [0.72, 0.1], "end": [0.66, 0.6]}},
    }
)


def main(out: str) -> None:
    """Follow the clip up to the frame that is shown, and draw what happened."""
    entry = next(
        one
        for one in json.loads(shared("data/clips/clips.json").read_text())
        if one["file"] == CLIP
    )
    wh = (entry["width"], entry["height"])
    rules = Rules("north", Settings.of(EVENTS, "north", LABELS))
    tracker, rng = Tracker(Params()), np.random.default_rng(4)
    trail, ghosts, told = [], [], []
    for n, (frame, (_, truth)) in enumerate(  # noqa: B007 (drawn on below)
        zip(pictures(CLIP), labelled(entry["boxes"]), strict=False)
    ):
        detections, time_ns = poorly(truth, wh, rng), int(n / entry["fps"] * 1e9)
        tracks = tracker.step(detections, time_ns, wh)
        told += [(n, event) for event in rules.step(tracks, time_ns, wh)]
        ghosts += _false(detections, truth)
        confirmed = tracks[tracks.confirmed]
        for xyxy, seen, score in zip(confirmed.xyxy, confirmed.seen, confirmed.score, strict=True):
            colour = COASTED if not seen else LOW if score < Params().high_score else SEEN
            trail.append(((xyxy[:2] + xyxy[2:]) / 2, colour))
        if n == SHOWN:
            break
    big = cv2.resize(frame, None, fx=SCALE, fy=SCALE, interpolation=cv2.INTER_CUBIC)
    _places(big)
    for centre, colour in [*((at, GHOST) for at in ghosts), *trail]:
        cv2.circle(big, _px(centre), 3, (0, 0, 0), cv2.FILLED, cv2.LINE_AA)
        cv2.circle(big, _px(centre), 2, colour, cv2.FILLED, cv2.LINE_AA)
    draw(big, Detections(confirmed.xyxy * SCALE, confirmed.score, confirmed.label), LABELS)
    cv2.imwrite(out, np.vstack((big[: 360 * SCALE], _legend(big.shape[1], told, entry["fps"]))))


def _false(detections: Detections, truth: np.ndarray) -> list[np.ndarray]:
    centres = (detections.xyxy[:, :2] + detections.xyxy[:, 2:]) / 2
    inside = (centres > truth[0, :2] - 20) & (centres < truth[0, 2:] + 20)
    return list(centres[~inside.all(axis=1)])


def _px(point: np.ndarray) -> tuple[int, int]:
    x, y = (np.asarray(point) * SCALE).round().astype(int).tolist()
    return x, y


def _places(big: np.ndarray) -> None:
    wh = np.array([big.shape[1], big.shape[0]])
    polygon = (np.array(EVENTS.zones["approach"].polygon) * wh).astype(np.int32)
    filled = cv2.fillPoly(big.copy(), [polygon], ZONE)
    cv2.addWeighted(filled, 0.2, big, 0.8, 0, dst=big)
    cv2.polylines(big, [polygon], isClosed=True, color=ZONE, thickness=2, lineType=cv2.LINE_AA)
    gate = EVENTS.lines["gate"]
    start, end = ((np.array(point) * wh).astype(int).tolist() for point in (gate.start, gate.end))
    cv2.arrowedLine(big, start, end, LINE, 2, cv2.LINE_AA, tipLength=0.05)
    _text(big, "zone approach", tuple(polygon[3] + (8, -12)), ZONE)
    _text(big, "line gate", (end[0] + 10, end[1]), LINE)


def _legend(width: int, told: list[tuple[int, Event]], fps: float) -> np.ndarray:
    panel = np.full((40 + 26 * max(len(told), 4), width, 3), 30, np.uint8)
    keys = (("seen", SEEN), ("seen weakly", LOW), ("coasted", COASTED), ("false alarm", GHOST))
    for row, (text, colour) in enumerate(keys):
        cv2.circle(panel, (width - 190, 34 + 26 * row), 4, colour, cv2.FILLED, cv2.LINE_AA)
        _text(panel, text, (width - 176, 40 + 26 * row), (220, 220, 220))
    for row, (n, event) in enumerate(told):
        places = "".join(f"  {key} {','.join(names) or '-'}" for key, names in _where(event))
        line = f"{n / fps:5.2f} s  track {event.track} {event.label}  {event.kind}: {event.reason}"
        _text(panel, line + places, (16, 40 + 26 * row), (220, 220, 220))
    return panel


def _where(event: Event) -> list[tuple[str, tuple[str, ...]]]:
    found = [("zones", event.zones)] if "zone" in event.reason else []
    return found + ([("lines", event.lines)] if event.lines else [])


def _text(picture: np.ndarray, text: str, at: tuple[int, int], colour: tuple[int, ...]) -> None:
    cv2.putText(picture, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.6, colour, 1, cv2.LINE_AA)


if __name__ == "__main__":
    main(sys.argv[1])
