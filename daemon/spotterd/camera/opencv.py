"""Live pictures through OpenCV: USB cameras (V4L2) and network streams (FFmpeg)."""

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2

from spotterd.camera import v4l2
from spotterd.camera.base import Shot
from spotterd.camera.stamps import live_shot
from spotterd.camera.uri import mask_url
from spotterd.camera.usb import COST, UsbOptions, choose_mode
from spotterd.camera.v4l2 import Mode
from spotterd.data import Pixels
from spotterd.errors import BadInputError, RetryError

log = logging.getLogger(__name__)

CONNECT_TIMEOUT_S = 10.0
NV12 = cv2.VideoWriter.fourcc(*"NV12")
SILENT = 0  # OpenCV's LOG_LEVEL_SILENT


class Capture:
    """A live `cv2.VideoCapture`."""

    live = True

    def __init__(self, capture: Any, gone: str, *, stamped: bool) -> None:
        """Wrap an open capture.

        Args:
            capture: the `cv2.VideoCapture`.
            gone: the sentence to raise when no more pictures come.
            stamped: the backend passes the driver's CLOCK_MONOTONIC on (V4L2).
        """
        self._capture = capture
        self._gone = gone
        self._stamped = stamped
        self.fps = max(0.0, float(capture.get(cv2.CAP_PROP_FPS)))

    def read(self, into: Pixels | None) -> Shot:
        """Wait for the next picture."""
        ok, pixels = self._capture.read(into)
        if not ok:
            raise RetryError(self._gone)
        stamp_ns = int(self._capture.get(cv2.CAP_PROP_POS_MSEC) * 1e6) if self._stamped else 0
        return live_shot(pixels, stamp_ns)

    def abort(self) -> None:
        """OpenCV cannot be interrupted; its own time-outs end the read."""

    def close(self) -> None:
        """Free the device or connection."""
        self._capture.release()


def _hush() -> None:
    """Keep the libraries off stderr: our own sentences say it once, and without passwords."""
    # FFmpeg prints whole addresses. OpenCV reads the variable when it first opens something.
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")
    # OpenCV 4 has it at the top, OpenCV 5 does not.
    set_level = cv2.setLogLevel if hasattr(cv2, "setLogLevel") else cv2.utils.logging.setLogLevel
    set_level(SILENT)


def open_ffmpeg(what: str, options: Sequence[int] = ()) -> Any:
    """A `cv2.VideoCapture` of a file or address through FFmpeg; ask it whether it `isOpened`."""
    _hush()
    # By default it decodes on as many threads as there are cores, and each keeps a frame back: a
    # stream is late by so many, and on two cores they take time and caches from the inference.
    threads = max(1, len(os.sched_getaffinity(0)) // 2)
    return cv2.VideoCapture(what, cv2.CAP_FFMPEG, [*options, cv2.CAP_PROP_N_THREADS, threads])


def open_v4l2(node: Path, options: UsbOptions, controls: Mapping[str, int]) -> Capture:
    """Open a V4L2 device such as `/dev/video0`.

    Raises:
        BadInputError: a control that it does not have.
        RetryError: it is not there, not allowed, not a camera, or in use.
    """
    if not node.exists():
        raise RetryError(f"No such camera: {node} is not there. Plug it in, or name another one.")
    if not os.access(node, os.R_OK | os.W_OK):
        raise RetryError(
            f"No permission on {node}. Add the user to the group of the device: "
            f"sudo usermod -aG video {os.environ.get('USER', '<user>')}."
        )
    with v4l2.opened(node) as fd:
        if not v4l2.captures(fd):
            raise RetryError(f"{node} is not a camera. `v4l2-ctl --list-devices` shows them.")
        mode = choose_mode(v4l2.modes(fd, COST), options)
        _set_controls(fd, node, controls)
    _hush()
    capture = cv2.VideoCapture(str(node), cv2.CAP_V4L2, _asked(mode))
    if not capture.isOpened():
        raise RetryError(f"{node} gives no pictures: another program may be using it.")
    if capture.get(cv2.CAP_PROP_FOURCC) == NV12:
        capture.set(cv2.CAP_PROP_CONVERT_RGB, 0)
    return Capture(capture, f"The camera {node} is gone or silent. Check its cable.", stamped=True)


def _asked(mode: Mode | None) -> list[int]:
    """The mode as OpenCV's parameters; the driver's own where it lists none."""
    if mode is None:
        return []
    return [
        *(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*mode.format)),
        *(cv2.CAP_PROP_FRAME_WIDTH, mode.width, cv2.CAP_PROP_FRAME_HEIGHT, mode.height),
        *(cv2.CAP_PROP_FPS, round(mode.fps)),
    ]


def _set_controls(fd: int, node: Path, wanted: Mapping[str, int]) -> None:
    known = {one.name: one for one in v4l2.controls(fd)} if wanted else {}
    for name, value in wanted.items():
        one = known.get(name)
        if one is None:
            raise BadInputError(f"{node} has no control '{name}'. It has: {', '.join(known)}.")
        if not one.least <= value <= one.most:
            raise BadInputError(
                f"The control '{name}' of {node} goes from {one.least} to {one.most}, not {value}."
            )
        try:
            v4l2.set_control(fd, one, value)
        except OSError as error:  # some only obey while another one is off
            log.warning("%s does not take %s=%d: %s.", node, name, value, error.strerror)


def open_stream(url: str, stall_timeout_s: float) -> Capture:
    """Open an `rtsp://` (over TCP, or UDP where that is refused) or `http://` stream.

    Args:
        url: with user and password, if it wants them.
        stall_timeout_s: a read that lasts longer fails.

    Raises:
        RetryError: nobody answers there, or not with video.
    """
    shown = mask_url(url)
    timeouts = [
        *(cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, int(CONNECT_TIMEOUT_S * 1000)),
        # A little longer than the reader waits, which then knows that it was silence.
        *(cv2.CAP_PROP_READ_TIMEOUT_MSEC, int(stall_timeout_s * 1000) + 500),
    ]
    capture = open_ffmpeg(url, timeouts)
    if not capture.isOpened():
        raise RetryError(
            f"No video from {shown}: the host is away, or the path or password is wrong."
        )
    return Capture(capture, f"The stream {shown} broke off.", stamped=False)
