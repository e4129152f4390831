"""GStreamer through PyGObject: the only file that imports `gi`, and only when it is needed.

pip's OpenCV has no GStreamer, and its reads cannot be interrupted; those of an appsink can.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from spotterd.camera.base import Shot
from spotterd.camera.planes import Layout, copied
from spotterd.camera.stamps import live_shot
from spotterd.camera.uri import mask_url
from spotterd.data import Pixels
from spotterd.errors import BadInputError, RetryError

SLICE_NS = 200_000_000  # a read that waits looks this often for errors and `abort`
LOOK_NS = 1_000_000_000  # one that need not wait, for errors: a look takes 0.06 ms

NEEDED = (
    "sudo apt-get install python3-gst-1.0 gstreamer1.0-plugins-good; "
    "the environment must be made with: python3 -m venv --system-site-packages"
)


@lru_cache(maxsize=1)
def _bindings() -> Any:
    """`gi.repository` with GStreamer initialised.

    Raises:
        BadInputError: it is not installed, or not visible from this environment.
    """
    try:
        import gi  # noqa: PLC0415 (not on every machine, and slow)

        for namespace in ("Gst", "GstApp", "GstVideo"):
            gi.require_version(namespace, "1.0")
        from gi.repository import Gst, GstApp, GstVideo  # noqa: F401, PLC0415
    except (ImportError, ValueError) as error:
        raise BadInputError(f"GStreamer is not usable here ({error}). Type: {NEEDED}") from error
    Gst.init(None)
    return gi.repository


def has_element(name: str) -> bool:
    """Whether GStreamer is here and has this element (`nvv4l2decoder`: we are on a Jetson)."""
    try:
        return _bindings().Gst.ElementFactory.find(name) is not None
    except BadInputError:
        return False


class Pipeline:
    """A running pipeline that ends in an appsink named `frames`.

    Args:
        description: as for `gst-launch-1.0`; see `pipelines.py`.
        label: what people call it, without secrets.
    """

    live = True

    def __init__(self, description: str, label: str) -> None:
        self.fps = 0.0
        self._gst = _bindings().Gst
        self._video = _bindings().GstVideo
        self._label = label
        self._aborted = threading.Event()
        self._looked_ns = 0
        self._caps: Any = None
        self._info: Any = None
        try:
            self._pipeline = self._gst.parse_launch(description)
        except _bindings().GLib.Error as error:
            raise BadInputError(f"{label} is no pipeline: {mask_url(error.message)}.") from error
        self._sink = self._pipeline.get_by_name("frames")
        self._bus = self._pipeline.get_bus()
        if self._pipeline.set_state(self._gst.State.PLAYING) == self._gst.StateChangeReturn.FAILURE:
            try:
                self._check_bus()
                raise RetryError(f"{label} cannot be started.")
            finally:
                self.close()

    def read(self, into: Pixels | None) -> Shot:
        """Wait for the next picture, until there is one, an error, or `abort`."""
        while True:
            sample = self._sink.try_pull_sample(SLICE_NS)
            if sample is None or time.monotonic_ns() - self._looked_ns >= LOOK_NS:
                self._check_bus()
            if sample is not None:
                return self._shot(sample, into)
            if self._aborted.is_set():
                raise RetryError(f"{self._label} is silent.")
            if self._sink.get_property("eos"):
                raise RetryError(f"{self._label} ended its stream.")

    def _check_bus(self) -> None:
        """Raise what an element complained of; all else is dropped, so that nothing piles up."""
        self._looked_ns = time.monotonic_ns()
        message = self._bus.pop_filtered(self._gst.MessageType.ERROR)
        if message is not None:
            error, _detail = message.parse_error()
            said = mask_url(error.message.rstrip("."))
            raise RetryError(f"{self._label} failed: {said} ({message.src.get_name()}).")

    def _shot(self, sample: Any, into: Pixels | None) -> Shot:
        buffer = sample.get_buffer()
        info = self._video_info(sample.get_caps())
        # A pipeline's clock is CLOCK_MONOTONIC unless an element brings its own.
        taken_ns = self._pipeline.get_base_time() + buffer.pts
        with _mapped(buffer, self._gst) as data:
            pixels = copied(data, self._layout(buffer, info), into)
        return live_shot(pixels, taken_ns)

    def _video_info(self, caps: Any) -> Any:
        if self._caps is None or not caps.is_equal(self._caps):
            self._caps, self._info = caps, self._video.VideoInfo.new_from_caps(caps)
            if self._info.fps_d:
                self.fps = self._info.fps_n / self._info.fps_d
        return self._info

    def _layout(self, buffer: Any, info: Any) -> Layout:
        # Buffers of drivers tell their own strides; else those of the format apply.
        meta = self._video.buffer_get_video_meta(buffer)
        planes = meta or info
        return Layout(
            info.finfo.name, info.width, info.height, tuple(planes.stride), tuple(planes.offset)
        )

    def abort(self) -> None:
        """End a `read` within a fifth of a second."""
        self._aborted.set()

    def close(self) -> None:
        """Stop everything; may hang if the camera's driver does."""
        self._pipeline.set_state(self._gst.State.NULL)


@contextmanager
def _mapped(buffer: Any, gst: Any) -> Iterator[memoryview]:
    ok, mapping = buffer.map(gst.MapFlags.READ)
    if not ok:
        raise RetryError("A picture's memory could not be mapped.")
    try:
        # The memory itself with python3-gst-1.0; without, PyGObject copies it (2 ms at 1080p).
        yield mapping.data
    finally:
        buffer.unmap(mapping)
