"""Cameras, detect and interpret, joined by mailboxes: everything between a lens and a message."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from queue import SimpleQueue
from typing import TypeAlias

import cv2

from spotterd.builder.harvest import Harvest, harvest_folder
from spotterd.camera.base import CameraStatus, Vitals
from spotterd.camera.reader import CONNECT_LIMIT_S, CameraReader
from spotterd.config.schema import Config
from spotterd.data import Frame
from spotterd.errors import BadInputError
from spotterd.events.settings import Settings
from spotterd.health.cooling import Thinning
from spotterd.health.meters import Meters
from spotterd.inference.detector import Detector
from spotterd.service.bare import Bare
from spotterd.service.detect import Detect, Inferred
from spotterd.service.engine import thresholds
from spotterd.service.interpret import Interpret
from spotterd.service.mailbox import Mailbox
from spotterd.service.report import Report
from spotterd.service.stage import Stage
from spotterd.service.view import View
from spotterd.service.watchdog import Progress

CAMERA_STOP_S = 0.5  # then its hung read is left behind
DRAIN_S = 1.0  # for frames under way, when somebody waits for the stop
LAST_FRAMES_S = 30.0  # the same at the end of a recording, of which every frame counts
STUCK_S = 10.0  # a stage without progress for so long does not come back
CAMERA_MARGIN_S = 3.0  # see CameraReader.progress_ns


@dataclass(frozen=True, slots=True)
class CameraTold:
    """A camera's status changed."""

    name: str
    status: CameraStatus


@dataclass(frozen=True, slots=True)
class FirstFrame:
    """A camera's first frame went the whole way."""

    camera: str


@dataclass(frozen=True, slots=True)
class StageEnded:
    """A stage is over; with an error, if it gave up."""

    name: str
    error: Exception | None


News: TypeAlias = CameraTold | FirstFrame | StageEnded


class Pipeline:
    """One configuration at work.

    Args:
        config: cameras, thresholds, what to publish.
        detector: taken over: `stop` closes its backend.
        report: where messages go.
        meters: fed by every stage.
        post: takes news, from any thread; must not block.

    Attributes:
        thinning: how many frames of live cameras are worked on.
    """

    def __init__(
        self,
        config: Config,
        detector: Detector,
        report: Report,
        meters: Meters,
        post: Callable[[News], None],
    ) -> None:
        self._meters = meters
        self._post = post
        self.thinning = Thinning()
        self._frames = Mailbox[Frame](self._drop)
        self._results = Mailbox[Inferred](Inferred.release)
        max_age_ns = {name: cam.max_age_ms * 1_000_000 for name, cam in config.cameras.items()}
        self._detect = Detect(detector, self._frames, self._results, max_age_ns, meters)
        harvest = Harvest(config.engines.harvest, harvest_folder())
        self._views = {
            name: View(name, config, detector.labels, report, harvest) for name in config.cameras
        }
        self._interpret = Interpret(
            self._results, self._views, meters, lambda cam: post(FirstFrame(cam))
        )
        self._stages = [
            Stage("detect", self._detect.turn, self._ended, meters),
            Stage("interpret", self._interpret.turn, self._ended, meters),
        ]
        self._readers = {
            name: CameraReader(name, camera, self._deliver, self._told(name))
            for name, camera in config.cameras.items()
        }
        self._limits_s = {
            name: max(camera.stall_timeout_s, CONNECT_LIMIT_S) + CAMERA_MARGIN_S
            for name, camera in config.cameras.items()
        }
        meters.watch_queue("frames", self._frames.__len__)
        meters.watch_queue("results", self._results.__len__)

    @property
    def detector(self) -> Detector:
        """What detects now."""
        return self._detect.detector

    @property
    def over(self) -> bool:
        """All cameras were recordings, and all are read to their ends (or cannot be read)."""
        return all(reader.ended.is_set() for reader in self._readers.values())

    @property
    def errors(self) -> dict[str, BadInputError]:
        """Cameras that will never work, and why."""
        return {name: r.error for name, r in self._readers.items() if r.error is not None}

    @property
    def cameras(self) -> dict[str, Vitals]:
        """How each camera does."""
        return {name: reader.vitals() for name, reader in self._readers.items()}

    def start(self) -> None:
        """Start all threads."""
        # OpenCV's own would spin after every job, beside those that infer: 0.6 ms a frame.
        cv2.setNumThreads(1)
        for stage in self._stages:
            stage.start()
        for reader in self._readers.values():
            reader.start()

    def swap(self, detector: Detector) -> None:
        """Detect with another detector from the next frame on."""
        self._detect.swap(detector)

    def ask_picture(self, camera: str | None, reply: SimpleQueue[str]) -> None:
        """Publish a camera's next frame (none: the first camera's); `reply` gets "" or why not."""
        name = camera or next(iter(self._views))
        if name in self._views:
            self._views[name].ask_picture(reply)
        else:
            reply.put(f"There is no camera '{name}'; there are {', '.join(self._views)}.")

    def ask_bench(self, seconds: float, reply: Callable[[Bare], None]) -> None:
        """Measure the backend alone for so long, between two frames."""
        self._detect.ask_bench(seconds, reply)

    def adopt(self, config: Config) -> None:
        """Go by another configuration from the next frame on, without losing one.

        Args:
            config: differs from the one at work in nothing that cameras or model depend on.

        Raises:
            BadInputError: it names a class that the model does not know; nothing is changed.
        """
        for camera in config.cameras:
            Settings.of(config.events, camera, self.detector.labels)
        self.detector.thresholds = thresholds(config)
        self._interpret.adopt(config)

    def progress(self) -> list[Progress]:
        """Signs of life of every stage and camera, for the watchdog."""
        stages = [Progress(stage.name, stage.progress_ns, STUCK_S) for stage in self._stages]
        # A camera's own recovery replaces what hangs; a restart of the daemon would not do more.
        cameras = [
            Progress(f"camera {name}", reader.progress_ns, self._limits_s[name], required=False)
            for name, reader in self._readers.items()
            if not reader.ended.is_set()
        ]
        return stages + cameras

    def stop(self) -> list[str]:
        """Finish the frames under way and end every thread.

        Within about 1.5 s, but when all recordings are `over`.

        Returns:
            names of the threads that would not end.
        """
        drain_s = LAST_FRAMES_S if self.over else DRAIN_S
        # Closed first: a recording's reader may be waiting for room in it.
        self._frames.close()
        deadline_s = time.monotonic() + CAMERA_STOP_S
        for reader in self._readers.values():
            reader.stop(max(0.0, deadline_s - time.monotonic()))
        deadline_s = time.monotonic() + drain_s
        still = [
            stage.name
            for stage in self._stages
            if not stage.join(max(0.0, deadline_s - time.monotonic()))
        ]
        if not still:
            self.detector.backend.close()
        hung = [f"camera {name}" for name, reader in self._readers.items() if reader.hung]
        return still + hung

    def _deliver(self, frame: Frame, live: bool) -> None:  # noqa: FBT001 (CameraReader's contract)
        self._meters.captured(frame.camera)
        if live and not self.thinning.takes(frame.camera):
            self._drop(frame)
        elif live:
            self._frames.put_newest(frame.camera, frame)
        else:
            self._frames.put_in_order(frame.camera, frame)

    def _drop(self, frame: Frame) -> None:
        self._meters.dropped(frame.camera)
        frame.release()

    def _told(self, name: str) -> Callable[[CameraStatus], None]:
        return lambda status: self._post(CameraTold(name, status))

    def _ended(self, name: str, error: Exception | None) -> None:
        if error is not None:
            self._results.close()  # the other stage has nothing to wait for, either
            self._post(StageEnded(name, error))
