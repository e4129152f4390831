"""Pictures of events on disk: a ring, bounded by count and by bytes."""

import logging
import re
import time
from collections import deque
from contextlib import suppress
from pathlib import Path

log = logging.getLogger(__name__)

NAME = re.compile(r"(\d{10})-.+\.jpg")


class PictureRing:
    """A folder of pictures that forgets its oldest. Used by one thread.

    The names begin with a running number, so that they sort by age even on boards that start in
    1970. What lies there at the start counts; other files are left alone.

    Args:
        folder: made when the first picture comes.
        keep: most pictures; 0: nothing is written.
        max_bytes: most bytes of all together.
    """

    def __init__(self, folder: Path, keep: int, max_bytes: int) -> None:
        self._folder = folder
        self._keep = keep
        self._max_bytes = max_bytes
        self._failing_since_s: float | None = None
        found = sorted(path for path in _listed(folder) if NAME.fullmatch(path.name))
        for half_written in folder.glob("*.part"):
            with suppress(OSError):  # a read-only disk stays as it is
                half_written.unlink(missing_ok=True)
        self._pictures = deque((path, _size(path)) for path in found)
        self._bytes = sum(size for _, size in self._pictures)
        self._next = int(found[-1].name[:10]) + 1 if found else 1
        self._shrink()

    def __len__(self) -> int:
        return len(self._pictures)

    def add(self, name: str, jpeg: bytes) -> Path | None:
        """Write a picture as `<number>-<name>.jpg`, and remove the oldest that are too many.

        Returns:
            Where it lies; None if nothing is kept, or the disk does not take it (which is logged
            once, until it does again).
        """
        if self._keep == 0 or len(jpeg) > self._max_bytes:
            return None
        self._shrink(coming=len(jpeg))
        path = self._folder / f"{self._next:010d}-{name}.jpg"
        try:
            _write(path, jpeg)
        except OSError as error:
            self._failed(error)
            return None
        self._worked()
        self._next += 1
        self._pictures.append((path, len(jpeg)))
        self._bytes += len(jpeg)
        return path

    def _shrink(self, coming: int | None = None) -> None:
        """Remove the oldest until the rest, and a picture of `coming` bytes, are within limits."""
        most = self._keep if coming is None else self._keep - 1
        while self._pictures and (
            len(self._pictures) > most or self._bytes + (coming or 0) > self._max_bytes
        ):
            path, size = self._pictures.popleft()
            self._bytes -= size
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                self._failed(error)

    def _failed(self, error: OSError) -> None:
        level = logging.DEBUG if self._failing_since_s is not None else logging.WARNING
        log.log(
            level,
            "Pictures are not kept in %s: %s. Events go on without; make room, or permit writing.",
            self._folder,
            error.strerror,
        )
        if self._failing_since_s is None:
            self._failing_since_s = time.monotonic()

    def _worked(self) -> None:
        if self._failing_since_s is not None:
            log.info(
                "Pictures are kept again, after %.0f s.", time.monotonic() - self._failing_since_s
            )
            self._failing_since_s = None


def _write(path: Path, jpeg: bytes) -> None:
    """Whole or not at all. Not synced: a picture is not worth wearing out an SD card."""
    path.parent.mkdir(parents=True, exist_ok=True)
    coming = path.with_suffix(".part")
    try:
        coming.write_bytes(jpeg)
        coming.replace(path)
    except OSError:
        coming.unlink(missing_ok=True)
        raise


def _listed(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
