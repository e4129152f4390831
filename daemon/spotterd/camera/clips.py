"""Evidence: a short clip around each event, on a shelf of bounded size."""

import logging
import queue
import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from spotterd.camera.avi import avi
from spotterd.camera.ring import Ring, Still
from spotterd.config.schema import Clips
from spotterd.data import Pixels

log = logging.getLogger(__name__)

MEMORY_BYTES = 32 * 1024 * 1024  # a camera; about 40 s at the default size and rate
WAITING = 4  # clips that may wait for a slow disk


@dataclass(slots=True)
class Pending:
    """A clip whose last pictures have not come yet."""

    path: Path
    from_ns: int
    until_ns: int


class ClipRecorder:
    """Records one camera. `frame` and `event` are called by one thread, and never wait for a disk.

    Args:
        folder: where this camera's clips go; made when the first one is written.
        options: the `clips` section.

    Attributes:
        lost: clips that were not written, because the disk was too slow or refused.
    """

    def __init__(self, folder: Path, options: Clips) -> None:
        self.lost = 0
        self._folder = folder
        self._options = options
        seconds = options.before_s + options.after_s
        self._ring = Ring(seconds, options.fps, options.width, MEMORY_BYTES)
        self._pending: Pending | None = None
        self._ready: queue.Queue[tuple[Path, list[Still]] | None] = queue.Queue(WAITING)
        # Started by the first event: a daemon that ends before has no thread of ours to end.
        self._thread = threading.Thread(target=self._write_all, name="clips", daemon=True)

    def frame(self, pixels: Pixels, at_ns: int) -> None:
        """Take a picture in; `pixels` are not kept."""
        # Before `add`, which forgets what is old by then: the camera may have been away for long.
        if self._pending is not None and at_ns > self._pending.until_ns:
            self._finish()
        self._ring.add(pixels, at_ns)

    def event(self, name: str, at_ns: int) -> Path:
        """Something began; the path of the clip that will show it.

        An event that the clip under way shows well enough does not get one of its own.
        """
        if self._thread.ident is None:
            self._thread.start()
        pending = self._pending
        if pending is not None and at_ns < pending.until_ns - self._options.after_s * 5e8:
            return pending.path
        if pending is not None:
            self._finish()
        before_ns, after_ns = (
            int(seconds * 1e9) for seconds in (self._options.before_s, self._options.after_s)
        )
        path = self._folder / f"{name}.avi"
        self._pending = Pending(path, at_ns - before_ns, at_ns + after_ns)
        return path

    def close(self, timeout_s: float) -> None:
        """Write what there is of the clip under way, and end."""
        if self._thread.ident is None:
            return
        if self._pending is not None:
            self._finish()
        try:
            self._ready.put(None, timeout=timeout_s)
        except queue.Full:
            return
        self._thread.join(timeout_s)

    def _finish(self) -> None:
        pending, self._pending = self._pending, None
        if pending is None:
            return
        stills = self._ring.between(pending.from_ns, pending.until_ns)
        try:
            self._ready.put_nowait((pending.path, stills))
        except queue.Full:
            self._lose(pending.path, "the disk is too slow")

    def _write_all(self) -> None:
        for cut_off in self._folder.glob("*.part"):  # by a kill or a power cut
            with suppress(OSError):  # a read-only disk stays as it is
                cut_off.unlink(missing_ok=True)
        while (clip := self._ready.get()) is not None:
            path, stills = clip
            try:
                write(path, stills)
                tidy(self._folder, self._options.keep_mb * 1024 * 1024)
            except OSError as error:
                self._lose(path, error.strerror or str(error))

    def _lose(self, path: Path, why: str) -> None:
        level = logging.DEBUG if self.lost else logging.WARNING
        log.log(level, "The clip %s was not written: %s.", path, why)
        self.lost += 1


def write(path: Path, stills: list[Still]) -> None:
    """Write a clip; never half of one under its name."""
    if not stills:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    seconds = (stills[-1].at_ns - stills[0].at_ns) / 1e9
    fps = (len(stills) - 1) / seconds if seconds > 0 else 1.0
    half = path.with_suffix(".part")
    try:
        with half.open("wb") as file:
            file.writelines(avi([still.jpeg for still in stills], fps, stills[0].size_wh))
        half.replace(path)
    except OSError:
        half.unlink(missing_ok=True)
        raise


def tidy(folder: Path, most_bytes: int) -> None:
    """Delete the oldest clips until the rest fits."""
    clips = [(file, file.stat()) for file in folder.glob("*.avi")]
    newest_first = sorted(clips, key=lambda one: one[1].st_mtime_ns, reverse=True)
    total = 0
    for file, facts in newest_first:
        total += facts.st_size
        if total > most_bytes:
            file.unlink(missing_ok=True)
