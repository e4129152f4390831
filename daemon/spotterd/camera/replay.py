"""Recordings: a video file, a picture, or a folder of pictures. Every frame, in order."""

import logging
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from spotterd.camera.base import Shot, Source
from spotterd.camera.opencv import open_ffmpeg
from spotterd.data import Image, Pixels
from spotterd.errors import BadInputError

log = logging.getLogger(__name__)

PICTURES_PER_S = 25.0  # pictures carry no time: as if taken at this rate
FALLBACK_FPS = 25.0  # of a video that does not tell its own


def open_recording(path: Path, fps: float = 0.0) -> "Video | Pictures":
    """Open a video, a picture or a folder of pictures.

    Args:
        path: what to read; any characters that the file system allows.
        fps: rate of pictures, which carry none; 0: `PICTURES_PER_S`.

    Raises:
        BadInputError: nothing there can be read.
    """
    try:
        if path.is_dir():
            files = [file for file in path.iterdir() if file.is_file()]
            return Pictures(path, sorted(files, key=natural), fps)
        size = path.stat().st_size
        with path.open("rb"):
            pass
    except OSError as error:
        raise BadInputError(
            f"Cannot read '{path}': {error.strerror}. Check the path and its permissions."
        ) from error
    if size == 0:
        raise BadInputError(f"'{path}' is empty (0 bytes). Copy or record it again.")
    if cv2.haveImageReader(str(path)):
        return Pictures(path, [path], fps)
    return Video(path)


def natural(path: Path) -> list[tuple[int, int | str]]:
    """Sorting key that puts `frame9.png` before `frame10.png`."""
    parts = re.split(r"([0-9]+)", path.name)
    return [(0, int(part)) if part.isdecimal() else (1, part.casefold()) for part in parts]


def read_picture(path: Path) -> Image | None:
    """Decode a picture as BGR; None if it is none."""
    try:
        data = np.fromfile(path, np.uint8)
        decoded: Image | None = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    except (OSError, cv2.error):  # not readable; larger than OpenCV's limits
        return None
    return decoded


class Video:
    """A video file, decoded by FFmpeg."""

    live = False

    def __init__(self, path: Path) -> None:
        self._path = path
        self._capture = open_ffmpeg(str(path))
        if not self._capture.isOpened():
            raise BadInputError(
                f"'{path}' is not a video that can be read: it is damaged, cut off, or of an "
                "unknown kind. Try to play it, or convert it to MP4 (H.264)."
            )
        told = self._capture.get(cv2.CAP_PROP_FPS)
        self.fps = told if 0 < told < 1000 else FALLBACK_FPS  # noqa: PLR2004 (no camera is faster)
        self._count = 0
        self._stream_ns = -1

    def read(self, into: Pixels | None) -> Shot | None:
        """Decode the next frame; None at the end."""
        ok, bgr = self._capture.read(into)
        if not ok:
            self._check_end()
            return None
        # Broken files repeat a position or jump back; motion needs a clock that goes on.
        position_ns = int(self._capture.get(cv2.CAP_PROP_POS_MSEC) * 1e6)
        if position_ns <= self._stream_ns:
            position_ns = self._stream_ns + int(1e9 / self.fps)
        self._stream_ns = position_ns
        self._count += 1
        return Shot(bgr, time.monotonic_ns(), position_ns, time.time_ns())

    def _check_end(self) -> None:
        if self._count == 0:
            raise BadInputError(
                f"'{self._path}' has no picture that can be decoded. Try to play it."
            )
        expected = int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT))
        if self._count < 0.9 * expected:
            log.warning(
                "'%s' ended after %d of %d frames: it is damaged or cut off.",
                *(self._path, self._count, expected),
            )

    def abort(self) -> None:
        """Nothing to do: a file does not keep anybody waiting."""

    def close(self) -> None:
        """Close the file."""
        self._capture.release()


class Pictures:
    """Pictures in the order given; what is no picture is skipped, with one warning."""

    live = False

    def __init__(self, where: Path, files: Sequence[Path], fps: float) -> None:
        pictures = [file for file in files if cv2.haveImageReader(str(file))]
        if not pictures:
            raise BadInputError(
                f"The folder '{where}' holds no picture. Give a folder of JPEG or PNG files."
            )
        self.fps = fps or PICTURES_PER_S
        self._where = where
        self._files = iter(pictures)
        self._count = 0
        self._skipped = 0
        known = set(pictures)
        for file in files:
            if file not in known:
                self._skip(file)

    def read(self, into: Pixels | None) -> Shot | None:  # noqa: ARG002 (decoders allocate)
        """Decode the next picture; None after the last one."""
        for file in self._files:
            bgr = read_picture(file)
            if bgr is None:
                self._skip(file)
                continue
            stream_ns = int(self._count * 1e9 / self.fps)
            self._count += 1
            return Shot(bgr, time.monotonic_ns(), stream_ns, time.time_ns())
        if self._count == 0:
            raise BadInputError(f"No picture in '{self._where}' can be decoded: they are damaged.")
        return None

    def _skip(self, file: Path) -> None:
        if file == self._where:  # named by itself: the error that follows says it
            return
        level = logging.DEBUG if self._skipped else logging.WARNING
        log.log(level, "Skipped '%s' (and others like it): it is not a picture.", file)
        self._skipped += 1

    def abort(self) -> None:
        """Nothing to do: a file does not keep anybody waiting."""

    def close(self) -> None:
        """Nothing is kept open."""


class Looped:
    """A recording that starts again at its end; its clock goes on.

    Args:
        open_again: opens the recording.
    """

    live = False

    def __init__(self, open_again: Callable[[], Source]) -> None:
        self._open_again = open_again
        self._source = open_again()
        self.fps = self._source.fps
        self._base_ns = 0
        self._stream_ns = 0

    def read(self, into: Pixels | None) -> Shot | None:
        """The next frame, the first one after the last."""
        shot = self._source.read(into)
        if shot is None:
            self._source.close()
            self._source = self._open_again()
            self._base_ns = self._stream_ns + int(1e9 / (self.fps or FALLBACK_FPS))
            shot = self._source.read(into)
        if shot is None:
            return None
        self._stream_ns = self._base_ns + shot.stream_ns
        return replace(shot, stream_ns=self._stream_ns)

    def abort(self) -> None:
        """As the recording's."""
        self._source.abort()

    def close(self) -> None:
        """Close the recording."""
        self._source.close()
