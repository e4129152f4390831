"""A bounded, diverse sample of the daemon's own frames, for a later calibration.

Nothing calibrates a board as well as the sky it really sees. Frames are sorted by light (night,
dusk, day) and by whether a craft is in them; each kind keeps an equal share of the pictures, and of
two that look alike the older one goes. What a file is, is in its name: no index can go wrong.
"""

import logging
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

import cv2

from spotterd.builder.pictures import ALIKE_BITS, fingerprint
from spotterd.config.schema import Harvest as Settings
from spotterd.data import Image, Pixels
from spotterd.files import sweep, write_whole
from spotterd.paths import state_dir
from spotterd.vision.pixels import as_bgr, scaled

log = logging.getLogger(__name__)

Light: TypeAlias = Literal["night", "dusk", "day"]
NIGHT_BELOW = 40  # mean grey level
DAY_FROM = 100
KINDS = 6  # three lights, with and without craft
QUALITY = 92  # JPEG
THUMBNAIL_WH = (32, 32)
LOOK_NS = 1_000_000_000  # between two looks at the light, which costs more than the rest


def harvest_folder() -> Path:
    """Where harvested pictures lie."""
    return state_dir() / "harvest"


@dataclass(frozen=True, slots=True)
class _Kept:
    path: Path
    kind: str
    fingerprint: int


class Harvest:
    """Takes a frame now and then. Used by one thread.

    Args:
        settings: how many, how often.
        folder: where to; made when the first picture is taken.
    """

    def __init__(self, settings: Settings, folder: Path) -> None:
        self._settings = settings
        self._folder = folder
        self._share = settings.keep // KINDS
        self._next_ns: dict[str, int] = {}
        self._failing = False
        sweep(folder)
        self._kept = [kept for path in sorted(folder.glob("*.jpg")) if (kept := _known(path))]

    def offer(self, pixels: Pixels, *, had_craft: bool, now_ns: int) -> bool:
        """Consider a frame; cheap unless it is taken.

        Args:
            pixels: the frame's.
            had_craft: a confirmed track was in it.
            now_ns: CLOCK_MONOTONIC.

        Returns:
            Whether it was taken.
        """
        craft, wait_ns = _craft(had_craft), int(self._settings.interval_s * 1e9)
        if not self._share or now_ns < self._next_ns.get(craft, 0):
            return False
        self._next_ns[craft] = now_ns + min(wait_ns, LOOK_NS)
        kind = f"{light(pixels)}-{craft}"
        if now_ns < self._next_ns.get(kind, 0):
            return False
        self._next_ns[kind] = now_ns + wait_ns
        return self._take(as_bgr(pixels), kind)

    def _take(self, bgr: Image, kind: str) -> bool:
        mine = fingerprint(bgr)
        peers = [kept for kept in self._kept if kept.kind == kind]
        if any(_differing(mine, kept.fingerprint) <= ALIKE_BITS for kept in peers):
            return False
        path = self._folder / f"{kind}-{time.time_ns() // 10**6:013d}-{mine:064x}.jpg"
        done, jpeg = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
        if not done or not self._written(path, jpeg.tobytes()):
            return False
        self._kept.append(_Kept(path, kind, mine))
        if len(peers) + 1 > self._share:
            self._drop_one([*peers, self._kept[-1]])
        return True

    def _written(self, path: Path, jpeg: bytes) -> bool:
        try:
            write_whole(path, jpeg)
        except OSError as error:
            level = logging.DEBUG if self._failing else logging.WARNING
            log.log(level, "Cannot keep pictures in %s: %s.", self._folder, error.strerror)
            self._failing = True
            return False
        self._failing = False
        return True

    def _drop_one(self, peers: list[_Kept]) -> None:
        """Of the two that are most alike, the older one."""
        pairs = [
            (_differing(a.fingerprint, b.fingerprint), at)
            for at, a in enumerate(peers)
            for b in peers[at + 1 :]
        ]
        victim = peers[min(pairs)[1]] if pairs else peers[0]
        self._kept.remove(victim)
        victim.path.unlink(missing_ok=True)


def light(pixels: Pixels) -> Light:
    """How bright the scene is, from a thumbnail of nearest pixels."""
    small = scaled(pixels, THUMBNAIL_WH, cv2.INTER_NEAREST)
    level = cv2.cvtColor(small, cv2.COLOR_BGR2GRAY).mean()
    if level < NIGHT_BELOW:
        return "night"
    return "day" if level >= DAY_FROM else "dusk"


def _craft(had_craft: bool) -> str:  # noqa: FBT001
    return "craft" if had_craft else "empty"


def _differing(a: int, b: int) -> int:
    return (a ^ b).bit_count()


def _known(path: Path) -> _Kept | None:
    """What a file's name says; None for a file that is not ours."""
    parts = path.stem.rsplit("-", 2)
    try:
        return _Kept(path, parts[0], int(parts[2], 16))
    except (IndexError, ValueError):
        return None
