"""`csi:` cameras, and the daemon of NVIDIA behind them that gets stuck.

`nvargus-daemon` serves every CSI camera of a board. When a client dies at the wrong moment it
stops answering, and only a restart of it helps; systemd/ ships the polkit rule that lets
spotterd do that.
"""

import logging
import re
import shutil
import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from spotterd.camera.base import Shot
from spotterd.camera.gstreamer import Pipeline
from spotterd.camera.pipelines import CsiOptions, csi_pipeline
from spotterd.camera.uri import read_options
from spotterd.data import Pixels
from spotterd.errors import BadInputError, RetryError

log = logging.getLogger(__name__)

UNIT = "nvargus-daemon.service"
FAILURES = 3  # in a row, before the daemon is thought to be stuck
APART_NS = 60_000_000_000  # between two restarts
FIRST_PICTURE_S = 10.0  # libargus takes up to 5 s to start a sensor

# Sentences about the request, not about the daemon: a restart would not help.
_OUR_FAULT = re.compile(r"(?i)invalid camera device|no element|no property|not-negotiated")


@dataclass
class Wedge:
    """Decides when a restart is worth trying; time is an argument, one for all CSI cameras."""

    failures: int = 0
    restarted_ns: int = -APART_NS
    streaming: int = 0  # CSI cameras that give pictures: a restart would break them

    def failed(self, reason: str, now_ns: int) -> bool:
        """A camera gave no first picture; whether to restart the daemon now."""
        if _OUR_FAULT.search(reason):
            return False
        self.failures += 1
        stuck = self.failures >= FAILURES and not self.streaming
        if not stuck or now_ns - self.restarted_ns < APART_NS:
            return False
        self.failures, self.restarted_ns = 0, now_ns
        return True


_wedge = Wedge()
_lock = threading.Lock()


def restart() -> str:
    """Restart the daemon; a sentence about how that went."""
    systemctl = shutil.which("systemctl")
    if systemctl is None:
        return f"{UNIT} seems stuck; restart it"
    command = [systemctl, "--no-ask-password", "restart", UNIT]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)  # noqa: S603 (fixed words)
    except subprocess.TimeoutExpired:
        return f"{UNIT} seems stuck and does not restart; restart the board"
    if done.returncode:
        why = done.stderr.strip().splitlines()[-1:] or ["no reason given"]
        return f"{UNIT} seems stuck and may not be restarted ({why[0]}); see docs/cameras.md"
    return f"{UNIT} seemed stuck and was restarted"


def _after(seconds: float, do: Callable[[], object]) -> threading.Timer:
    timer = threading.Timer(seconds, do)
    timer.daemon = True
    timer.start()
    return timer


class CsiCamera:
    """A camera on the CSI connector."""

    live = True

    def __init__(self, sensor: int, options: CsiOptions) -> None:
        self.fps = float(options.fps)
        self._streaming = False
        self._label = f"csi:{sensor}"
        hangs = RetryError(f"{self._label} hangs while it is started.")
        starting = _after(FIRST_PICTURE_S, lambda: self._failed(hangs))
        try:
            self._pipeline = Pipeline(csi_pipeline(sensor, options), self._label)
        except RetryError as error:
            raise self._failed(error) from error
        finally:
            starting.cancel()
        self._deadline = _after(FIRST_PICTURE_S, self._pipeline.abort)

    def read(self, into: Pixels | None) -> Shot:
        """Wait for the next picture."""
        try:
            shot = self._pipeline.read(into)
        except RetryError as error:
            if self._streaming:
                raise
            raise self._failed(error) from error
        if not self._streaming:
            self._deadline.cancel()
            self._count(1)
        return shot

    def _failed(self, error: RetryError) -> RetryError:
        with _lock:
            stuck = _wedge.failed(str(error), time.monotonic_ns())
        if not stuck:
            return error
        outcome = restart()
        log.warning("%s (after %d failures of %s).", outcome, FAILURES, self._label)
        return RetryError(f"{error} {outcome}.")

    def _count(self, change: int) -> None:
        with _lock:
            self._streaming = change > 0
            _wedge.streaming += change
            _wedge.failures = 0

    def abort(self) -> None:
        """End a `read` that waits."""
        self._pipeline.abort()

    def close(self) -> None:
        """Stop the camera."""
        self._deadline.cancel()
        if self._streaming:
            self._count(-1)
        self._pipeline.close()


def open_csi(source: str) -> CsiCamera:
    """Open `csi:0?width=1920&height=1080&fps=30&flip=180&mode=2&exposure_us=100-5000&gain=1-8`.

    Raises:
        BadInputError: a wrong option, or no GStreamer here.
        RetryError: no such camera now, or it does not start.
    """
    sensor = source.partition(":")[2].partition("?")[0]
    if not sensor.isdecimal():
        raise BadInputError(f"'{source}' is not a camera: write csi:0 for the first one.")
    return CsiCamera(int(sensor), read_options(source, CsiOptions))
