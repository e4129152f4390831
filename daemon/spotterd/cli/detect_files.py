"""Files that `spotterd detect` reads, and the annotated copies it writes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2

from spotterd.camera.replay import natural
from spotterd.data import Image
from spotterd.errors import BadInputError

VIDEOS = {".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ts", ".webm", ".wmv"}


def is_readable(path: Path) -> bool:
    """Whether a file in a folder is a picture or a video (FFmpeg takes even text for one)."""
    return path.suffix.lower() in VIDEOS or bool(cv2.haveImageReader(str(path)))


def files_of(inputs: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """The files to read, folders by their files in natural order; and what is left out of these.

    Raises:
        BadInputError: an input is not there, or a folder has nothing to read.
    """
    taken: list[Path] = []
    left_out: list[Path] = []
    for path in inputs:
        if path.is_dir():
            inside = sorted((file for file in path.iterdir() if file.is_file()), key=natural)
            good = [file for file in inside if is_readable(file)]
            if not good:
                raise BadInputError(f"The folder '{path}' holds no picture and no video.")
            taken += good
            left_out += [file for file in inside if file not in good]
        elif path.exists():
            taken.append(path)
        else:
            raise BadInputError(f"There is no file or folder '{path}'. Check the path.")
    return taken, left_out


class PictureCopy:
    """The copy of a picture: in the format its name tells."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, bgr: Image) -> None:
        """Save the picture."""
        try:
            self._path.write_bytes(cv2.imencode(self._path.suffix, bgr)[1].tobytes())
        except OSError as error:
            raise BadInputError(f"Cannot write '{self._path}': {error.strerror}.") from error

    def close(self) -> None:
        """Nothing is kept open."""


class VideoCopy:
    """The copy of a video: MP4, at the original's rate; opened with the first frame."""

    def __init__(self, path: Path, fps: float) -> None:
        self._path = path
        self._fps = fps
        self._writer: Any = None

    def write(self, bgr: Image) -> None:
        """Append a frame."""
        if self._writer is None:
            size_wh = (bgr.shape[1], bgr.shape[0])
            mpeg4 = cv2.VideoWriter.fourcc(*"mp4v")  # what OpenCV's wheels can encode everywhere
            self._writer = cv2.VideoWriter(str(self._path), mpeg4, self._fps, size_wh)
        if not self._writer.isOpened():
            raise self._unwritten()
        self._writer.write(bgr)

    def close(self) -> None:
        """Finish the file.

        Raises:
            BadInputError: it cannot be played; OpenCV says nothing when a disk fills up.
        """
        if self._writer is not None:
            self._writer.release()
            if not cv2.VideoCapture(str(self._path)).isOpened():
                raise self._unwritten()

    def _unwritten(self) -> BadInputError:
        return BadInputError(f"Cannot write the video '{self._path}'. Check the disk.")


class Copies:
    """Opens annotated copies in one folder, never over an original.

    Args:
        folder: made if it is not there.
        originals: files that must not be overwritten.

    Raises:
        BadInputError: the folder cannot be made.
    """

    def __init__(self, folder: Path, originals: Sequence[Path]) -> None:
        self._folder = folder
        self._taken = {path.resolve() for path in originals}
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BadInputError(f"Cannot make the folder '{folder}': {error.strerror}.") from error

    def of_picture(self, original: Path) -> PictureCopy:
        """A copy in the same format where that can be written, else PNG."""
        suffix = original.suffix if cv2.haveImageWriter(original.name) else ".png"
        return PictureCopy(self._free(original.stem, suffix))

    def of_video(self, original: Path, fps: float) -> VideoCopy:
        """A copy as MP4."""
        return VideoCopy(self._free(original.stem, ".mp4"), fps)

    def _free(self, stem: str, suffix: str) -> Path:
        """The original's name; numbered where it is taken by an original or another copy."""
        path, count = self._folder / f"{stem}{suffix}", 1
        while path.resolve() in self._taken:
            count += 1
            path = self._folder / f"{stem}-{count}{suffix}"
        self._taken.add(path.resolve())
        return path
