"""What cameras this board has, and a test picture of one: for `spotterd doctor --camera`."""

import os
import threading
from dataclasses import dataclass
from pathlib import Path

import cv2

from spotterd.camera import v4l2
from spotterd.camera.base import CameraStatus
from spotterd.camera.reader import CONNECTING, CameraReader
from spotterd.camera.usb import Device, devices
from spotterd.camera.v4l2 import Control, Mode
from spotterd.config.schema import Camera
from spotterd.data import Frame
from spotterd.errors import BadInputError, RetryError
from spotterd.files import write_whole
from spotterd.vision.pixels import as_bgr

SETTLE_FRAMES = 10  # exposure and white balance find themselves
PATIENCE_S = 20.0
STOP_S = 3.0


@dataclass(frozen=True, slots=True)
class Found:
    """One camera of this board.

    Attributes:
        device: node, name, and USB identity.
        source: what to write in the configuration, the name that stays if there is one.
        allowed: this user may open it; without that nothing more is known.
        modes, controls: what it can do.
    """

    device: Device
    source: str
    allowed: bool
    modes: tuple[Mode, ...] = ()
    controls: tuple[Control, ...] = ()

    def __str__(self) -> str:
        largest = {}
        for mode in sorted(self.modes, key=lambda mode: (mode.width * mode.height, mode.fps)):
            largest[mode.format] = mode
        parts = [self.device.name, ", ".join(f"{mode} at most" for mode in largest.values())]
        if self.controls:
            parts.append("controls: " + ", ".join(str(control) for control in self.controls))
        return "; ".join(part for part in parts if part)


@dataclass(frozen=True, slots=True)
class Taken:
    """A test picture, and how the camera did; `fps` is 0 for recordings."""

    path: Path
    size_wh: tuple[int, int]
    fps: float
    warnings: tuple[str, ...]


def survey() -> list[Found]:
    """Every camera; nodes that give no pictures (metadata, encoders) are left out."""
    found, sensors = [], 0
    for device in devices():
        if device.name.startswith("vi-output"):  # a CSI sensor of a Jetson: libargus counts them
            found.append(Found(device, f"csi:{sensors}", allowed=True))
            sensors += 1
            continue
        source = f"usb:{device.usb}" if device.usb else str(device.node)
        if not os.access(device.node, os.R_OK | os.W_OK):
            found.append(Found(device, source, allowed=False))
            continue
        with v4l2.opened(device.node) as fd:
            if v4l2.captures(fd):
                can = (tuple(v4l2.modes(fd)), tuple(v4l2.controls(fd)))
                found.append(Found(device, source, True, *can))
    return found


def take_picture(name: str, camera: Camera, folder: Path) -> Taken:
    """Read a camera for a moment and keep a PNG, `<folder>/<name>.png`.

    Raises:
        BadInputError: it can never work, or the folder cannot be written.
        RetryError: no picture came; the reason is the camera's last.
    """
    shot = _Shot()
    reader = CameraReader(name, camera, shot.take, shot.told)
    reader.start()
    shot.enough.wait(PATIENCE_S)
    reader.stop(STOP_S)
    if reader.error is not None:
        raise reader.error
    if shot.png is None:
        raise RetryError(shot.reason)
    path = folder / f"{name}.png"
    try:
        write_whole(path, shot.png)
    except OSError as error:
        raise BadInputError(
            f"The test picture cannot be written to {folder}: {error.strerror}."
        ) from error
    return Taken(path, shot.size_wh, shot.fps, shot.warnings)


class _Shot:
    """Keeps the last of the first few frames."""

    def __init__(self) -> None:
        self.enough = threading.Event()
        self.png: bytes | None = None
        self.size_wh = (0, 0)
        self.fps = 0.0
        self._first_ns = 0
        self.reason = ""
        self.warnings: tuple[str, ...] = ()

    def take(self, frame: Frame, live: bool) -> None:  # noqa: FBT001 (CameraReader's contract)
        wanted = SETTLE_FRAMES if live else 0
        self._first_ns = self._first_ns or frame.captured_ns
        if frame.seq >= wanted and not self.enough.is_set():
            self.size_wh = frame.size_wh
            self.fps = frame.seq * 1e9 / max(1, frame.captured_ns - self._first_ns)
            self.png = cv2.imencode(".png", as_bgr(frame.pixels))[1].tobytes()
            self.enough.set()
        frame.release()

    def told(self, status: CameraStatus) -> None:
        self.warnings = status.warnings
        if status.reason:
            self.reason = status.reason
        if status.state == "offline" and status.reason != CONNECTING:
            self.enough.set()  # the first failure is what a doctor wants to know
