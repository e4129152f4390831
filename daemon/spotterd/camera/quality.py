"""Does the picture look right? Frozen, black, covered, out of focus. Pure: time is an argument.

These are hints for people; only a frozen picture makes the reader act.
"""

import cv2
import numpy as np

from spotterd.data import Image, Pixels, size_of
from spotterd.vision.pixels import clearest, scaled

FROZEN_NS = 10_000_000_000  # a sensor's noise changes every frame; encoders may repeat for seconds
LOOK_NS = 1_000_000_000  # between two looks at what is in the picture
HOLD_NS = 10_000_000_000  # a warning that lasts shorter is none
SAMPLE_ROWS = 60  # about as many are looked at
GRID = 8  # blocks a side
BLACK = 24  # of 255: nothing in the picture is brighter
DARK, FLAT = 32, 4  # a covered block: its mean and its spread are lower
COVERED = 0.3  # share of blocks that became dark and flat, others did not
LIT = 40  # mean brightness below which focus is not judged
SHARP_ENOUGH = 0.06  # sharpness of something with an edge; an empty sky has less
BLURRED = 0.35  # of the sharpest seen lately
HALF_LIFE_NS = 3600 * 1_000_000_000  # of "lately"

IS_BLACK = "The picture is black: is the lens covered, or the night dark?"
IS_COVERED = "A part of the picture is dark and flat: something may be before the lens."
IS_BLURRED = "The picture lost its sharpness: look at focus, dirt, fog or drops."
IS_FROZEN = "The picture does not change at all: the camera may be stuck."


class Quality:
    """Watches the pictures of one camera."""

    def __init__(self) -> None:
        self._sample: Image | None = None
        self._changed_ns = 0
        self._tried = False
        self._looked_ns = 0
        self._since_ns: dict[str, int] = {}
        self._usual_covered: float | None = None
        self._sharpest = 0.0

    def step(self, pixels: Pixels, now_ns: int) -> None:
        """Take the next picture in."""
        step = max(1, size_of(pixels)[1] // SAMPLE_ROWS)
        sample = np.ascontiguousarray(clearest(pixels)[::step, ::step])
        if self._sample is None or not np.array_equal(sample, self._sample):
            self._changed_ns = now_ns
            self._tried = False
        self._sample = sample
        if now_ns - self._looked_ns >= LOOK_NS or not self._looked_ns:
            self._look(_thinned(pixels, step), sharpness(pixels), now_ns)

    def frozen(self, now_ns: int) -> bool:
        """Whether every picture has been the same for `FROZEN_NS`."""
        return self._sample is not None and now_ns - self._changed_ns >= FROZEN_NS

    def stuck(self, now_ns: int) -> bool:
        """Whether to open the camera again: frozen, which is tried once.

        If the picture is still the same after that, it shows something that does not move.
        """
        try_it = self.frozen(now_ns) and not self._tried
        self._tried |= try_it
        return try_it

    def warnings(self, now_ns: int) -> tuple[str, ...]:
        """What has been wrong for `HOLD_NS`, worst first; empty when all is well."""
        held = [why for why, since in self._since_ns.items() if now_ns - since >= HOLD_NS]
        return (*((IS_FROZEN,) if self.frozen(now_ns) else ()), *sorted(held))

    def _look(self, sample: Image, sharp: float, now_ns: int) -> None:
        passed_ns, self._looked_ns = now_ns - self._looked_ns, now_ns
        wrong = []
        if sample.max() < BLACK:
            wrong.append(IS_BLACK)
        elif self._became_covered(covered_share(sample)):
            wrong.append(IS_COVERED)
        elif self._became_blurred(sharp, sample.mean(), passed_ns):
            wrong.append(IS_BLURRED)
        self._since_ns = {why: self._since_ns.get(why, now_ns) for why in wrong}

    def _became_covered(self, share: float) -> bool:
        """Dark ground is usual; a share that grew by `COVERED` is not."""
        if self._usual_covered is None:
            self._usual_covered = share
        if share - self._usual_covered >= COVERED:
            return True
        self._usual_covered += (share - self._usual_covered) * 0.005  # follows dusk in minutes
        return False

    def _became_blurred(self, sharp: float, mean: float, passed_ns: int) -> bool:
        if mean < LIT:
            return False
        faded = self._sharpest * 0.5 ** (passed_ns / HALF_LIFE_NS)
        self._sharpest = max(sharp, faded)
        return self._sharpest > SHARP_ENOUGH and sharp < BLURRED * self._sharpest


def _thinned(pixels: Pixels, step: int) -> Image:
    """Every n-th green pixel of every n-th row."""
    width, height = size_of(pixels)
    few = scaled(pixels, (-(-width // step), -(-height // step)), cv2.INTER_NEAREST)
    return np.ascontiguousarray(few[..., 1])


def covered_share(sample: Image) -> float:
    """Share of blocks that are dark and flat, 0..1."""
    rows, columns = (side // GRID * GRID for side in sample.shape[:2])
    if not rows or not columns:
        return 0.0
    cut = sample[:rows, :columns].reshape(GRID, rows // GRID, GRID, columns // GRID)
    dark = cut.mean(axis=(1, 3)) < DARK
    flat = cut.std(axis=(1, 3)) < FLAT
    return float((dark & flat).mean())


def sharpness(pixels: Pixels) -> float:
    """Spread of the Laplacian over brightness, at half size, where noise is less."""
    width, height = size_of(pixels)
    half = scaled(pixels, (max(1, width // 2), max(1, height // 2)))
    small = cv2.cvtColor(half, cv2.COLOR_BGR2GRAY)
    mean = cv2.mean(small)[0]
    _, spread = cv2.meanStdDev(cv2.Laplacian(small, cv2.CV_16S))
    return float(spread[0, 0]) / (mean + 1)
