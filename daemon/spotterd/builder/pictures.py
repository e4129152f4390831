"""Calibration pictures: which are usable, which are alike, which calibrate and which are held back.

Only real, different pictures calibrate anything: what cannot be read, is blank or is nearly the
same as another one is left out, and too few of the rest means no INT8 from pictures.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from spotterd.builder.identity import hash_of_hashes
from spotterd.builder.truth import read_picture
from spotterd.data import Image
from spotterd.errors import BadInputError
from spotterd.files import sha256_of

SUFFIXES = {".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}
LEAST = 12  # usable pictures; 9 calibrate, 3 are held back
GATE_EVERY = 4  # one picture in so many is held back for the gate
MOST_CALIBRATING = 128
MOST_HELD_BACK = 32

SIDE = 16  # a fingerprint has SIDE x SIDE bits
STEP = 2  # grey levels between neighbours that make a bit; less is noise of the sensor or JPEG
ALIKE_BITS = 4  # pictures that differ in so few bits or less show the same
BLANK_LEVELS = 2.0  # standard deviation of a picture that shows nothing


@dataclass(frozen=True, slots=True)
class Picture:
    """One usable picture.

    Attributes:
        path: where it lies.
        sha256: of the file's bytes.
        fingerprint: 256 bits that are nearly equal for pictures that are nearly alike.
    """

    path: Path
    sha256: str
    fingerprint: int


@dataclass(frozen=True, slots=True)
class Checked:
    """What became of the pictures of a folder.

    Attributes:
        usable: different from one another, in the order of their hashes.
        alike: (left out, the one that it resembles).
        refused: (left out, why).
    """

    usable: tuple[Picture, ...]
    alike: tuple[tuple[Path, Path], ...]
    refused: tuple[tuple[Path, str], ...]

    def problem(self, folder: Path) -> str:
        """Why these cannot calibrate, as sentences that say what to do; "" if they can."""
        if len(self.usable) >= LEAST:
            return ""
        total = len(self.usable) + len(self.alike) + len(self.refused)
        advice = "Import more with `spotterd calibrate DIR`, of the sky this camera sees."
        if not total:
            return f"There are no pictures in {folder}. {advice}"
        causes = [f"{len(self.alike)} are nearly the same as another one"] if self.alike else []
        if self.refused:
            causes.append(f"{len(self.refused)} cannot be used ({self.refused[0][1]})")
        told = f": {' and '.join(causes)}" if causes else ""
        return (
            f"Of {total} pictures in {folder} {len(self.usable)} are usable and different, "
            f"calibrating needs {LEAST}{told}. {advice}"
        )


def find(folder: Path) -> list[Path]:
    """The picture files of a folder and its subfolders, sorted; none if it is not there."""
    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()
    )


def hash_of_folder(folder: Path) -> str:
    """Hash of the hashes of all pictures of a folder: part of an engine's identity.

    Their bytes decide, not their names or dates. "" where there are none.
    """
    hashes = [sha256_of(path) for path in find(folder)]
    return hash_of_hashes(hashes) if hashes else ""


def check(paths: Iterable[Path]) -> Checked:
    """Look at pictures; of those that are alike, the one with the lowest hash stays."""
    readable: dict[str, Picture] = {}  # by hash: the same bytes twice are one picture
    refused = []
    for path in paths:
        try:
            picture = read_picture(path)
        except BadInputError as error:
            refused.append((path, str(error)))
            continue
        if picture.std() < BLANK_LEVELS:
            refused.append((path, f"{path.name} is blank"))
            continue
        one = Picture(path, sha256_of(path), fingerprint(picture))
        readable.setdefault(one.sha256, one)
    usable: list[Picture] = []
    alike = []
    for one in sorted(readable.values(), key=lambda item: item.sha256):
        twin = resembles(one.fingerprint, usable)
        if twin is None:
            usable.append(one)
        else:
            alike.append((one.path, twin.path))
    return Checked(tuple(usable), tuple(alike), tuple(refused))


def split(usable: Sequence[Picture]) -> tuple[list[Path], list[Path]]:
    """Pictures that calibrate, and those held back for the gate; the same for the same bytes."""
    held_back = [item.path for item in usable[::GATE_EVERY]][:MOST_HELD_BACK]
    calibrating = [item.path for at, item in enumerate(usable) if at % GATE_EVERY]
    return calibrating[:MOST_CALIBRATING], held_back


def fingerprint(picture: Image) -> int:
    """256 bits: is each of 16x16 parts brighter than its left neighbour (a "difference hash").

    Small steps count as none, so that a clear sky is not a fingerprint of noise.
    """
    grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
    small = cv2.resize(grey, (SIDE + 1, SIDE), interpolation=cv2.INTER_AREA).astype(np.int16)
    bits = np.diff(small, axis=1) > STEP
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def resembles(wanted: int, others: Iterable[Picture]) -> Picture | None:
    """The first of the others that shows the same, or None."""
    return next(
        (item for item in others if (item.fingerprint ^ wanted).bit_count() <= ALIKE_BITS), None
    )
