"""What interpret does with a frame, each part timed right after an inference: with cold caches.

usage: PYTHONPATH=daemon python tests/service/cold.py [--source CLIP] [--frames 200]

In a loop of its own such code takes a fifth to a tenth of what it takes in the daemon, where an
inference of 30 ms has thrown everything out of the caches. Here it is one thread, so other work on
the machine disturbs little; medians of the thread's CPU time.
"""

import argparse
import functools
import statistics
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import cv2

from spotterd.builder.harvest import Harvest
from spotterd.camera.open import open_source
from spotterd.config.load import load
from spotterd.config.schema import Config
from spotterd.data import Frame
from spotterd.events.pictures import Album
from spotterd.events.rules import Rules
from spotterd.health.window import Window
from spotterd.inference.detector import Detector
from spotterd.publish.base import Message
from spotterd.publish.build import Origin
from spotterd.publish.topics import Topics
from spotterd.service.detect import Inferred
from spotterd.service.engine import EngineKeeper
from spotterd.service.report import Report
from spotterd.service.view import View
from spotterd.tracking.tracker import Tracker

WARM_UP = 20  # frames: until tracks are confirmed
PARTS = (
    (Detector, "decode"),
    (Tracker, "step"),
    (Report, "detections"),
    (Rules, "step"),
    (Album, "look"),
    (Harvest, "offer"),
    (View, "step"),
)


class NoLink:
    """Takes messages and forgets them."""

    def send(self, _message: Message) -> None:
        """As `MqttLink.send`."""


def timed(took_us: dict[str, list[float]], owner: Any, name: str) -> None:
    """Time every call of a method from now on."""
    call = getattr(owner, name)

    @functools.wraps(call)
    def timing(*args: Any, **named: Any) -> Any:
        began_ns = time.thread_time_ns()
        try:
            return call(*args, **named)
        finally:
            took_us[f"{owner.__name__}.{name}"].append((time.thread_time_ns() - began_ns) / 1e3)

    setattr(owner, name, timing)


def view_of(config: Config, detector: Detector, state: Path) -> View:
    """Of the camera `main`, with nobody who listens."""
    window = Window(lambda: None, config.cameras)
    report = Report(Origin("cold", "0"), Topics(config.root), NoLink(), window, lambda *_: None)
    harvest = Harvest(config.engines.harvest, state)
    return View("main", config, detector.labels, report, harvest)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--source", default="sim:?live=0")
    options.add_argument("--frames", type=int, default=200)
    told = options.parse_args()
    camera = {"source": told.source, "loop": True}
    config = load(None, {"cameras": {"main": camera}, "engines": {"precision": "fp32"}})
    cv2.setNumThreads(1)  # as the daemon does
    detector = EngineKeeper(config, lambda _news: None).open().detector
    backend, source = detector.backend, open_source(config.cameras["main"])
    took_us: dict[str, list[float]] = defaultdict(list)
    for part in PARTS:
        timed(took_us, *part)
    with tempfile.TemporaryDirectory() as state:
        view = view_of(config, detector, Path(state))
        for seq in range(told.frames):
            shot = source.read(None)
            if shot is None:  # the end of a clip
                break
            frame = Frame("main", seq, shot.captured_ns, shot.stream_ns, shot.wall_ns, shot.pixels)
            slot = backend.acquire()
            letterbox = detector.prepare(frame.pixels, slot)
            backend.submit(slot)
            backend.wait(slot)
            view.step(Inferred(frame, detector, slot, letterbox, 0))
            backend.release(slot)
    for name, each_us in took_us.items():
        print(f"{name:18} {statistics.median(each_us[WARM_UP:]):6.0f} us")


if __name__ == "__main__":
    main()
