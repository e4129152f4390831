"""A real clip from sightings to events, pictures and files: the airplane of V_AIRPLANE_020."""

import json
from pathlib import Path

import cv2
import numpy as np

from helpers import shared
from spotterd.config import schema
from spotterd.data import Detections, Event
from spotterd.events.pictures import Album, jpeg, whole
from spotterd.events.rules import Rules
from spotterd.events.settings import Settings
from spotterd.publish.pictures import PictureRing
from spotterd.tracking.params import Params
from spotterd.tracking.tracker import Tracker

LABELS = ("airplane", "helicopter", "drone", "bird")
SECONDS = 5  # then the cameraman swings round, and it comes by again
EVENTS = schema.Events.model_validate(
    {
        "zones": {"middle": {"polygon": [[0.3, 0], [0.5, 0], [0.5, 1], [0.3, 1]]}},
        "lines": {"gate": {"start": [0.65, 0], "end": [0.65, 1], "towards": "left"}},
        "pictures": {"max_kb": 20},
    }
)


def test_an_airplane_flies_by_and_everything_is_told_once(tmp_path: Path) -> None:
    clip = shared("data/clips/V_AIRPLANE_020.mp4")
    entries = json.loads(shared("data/clips/clips.json").read_text())
    entry = next(one for one in entries if one["file"] == clip.name)
    wh, fps = (entry["width"], entry["height"]), entry["fps"]
    tracker, album = Tracker(Params()), Album()
    rules = Rules("north", Settings.of(EVENTS, "north", LABELS))
    ring = PictureRing(tmp_path, EVENTS.pictures.keep, EVENTS.pictures.keep_mb * 1_000_000)
    capture, told, pictures = cv2.VideoCapture(str(clip)), [], []
    for n, box in enumerate(entry["boxes"][: int(SECONDS * fps)]):
        frame = capture.read()[1]
        corners = np.array([[box[0], box[1], box[0] + box[2], box[1] + box[3]]], np.float32)
        seen = Detections(corners, np.array([0.8], np.float32), np.array([0]))
        tracks = tracker.step(seen, int(n / fps * 1e9), wh)
        album.look(tracks, frame, int(n / fps * 1e9))
        for event in rules.step(tracks, int(n / fps * 1e9), wh):
            told.append(event)
            crop = album.best(event.track)
            assert crop is not None
            shown = whole(frame, tracks, LABELS, EVENTS.pictures.max_width)
            pictures += [
                ring.add(f"north-{event.track}-{part}", jpeg(bgr, EVENTS.pictures.max_kb * 1000))
                for part, bgr in (("crop", crop), ("whole", shown))
            ]
    told += rules.close("stopped", int(SECONDS * 1e9))
    assert [what(event) for event in told] == [
        "start confirmed",
        "update zone middle",
        "update zone",
        "update line gate:left",
        "end stopped",
    ]
    assert len({event.track for event in told}) == 1
    assert len(ring) == len(pictures) == 8
    for path in pictures:
        assert path.stat().st_size <= 20_000
        assert cv2.imread(str(path)) is not None


def what(event: Event) -> str:
    return " ".join((event.kind, event.reason, *event.zones, *event.lines))
