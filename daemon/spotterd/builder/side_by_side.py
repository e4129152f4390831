"""Two detectors on the same pictures: what each sees, how fast, and how much they agree."""

from dataclasses import dataclass, field
from statistics import median

import cv2
import numpy as np

from spotterd.builder.agreement import Figures, compare
from spotterd.builder.truth import timed
from spotterd.data import Detections, Image
from spotterd.inference.detector import Detector
from spotterd.vision.draw import draw

BAR = 32  # height of the caption, pixels
INK, PAPER = (255, 255, 255), 32
RECENT = 30  # frames that a speed in a caption is the median of


@dataclass
class Side:
    """One of the two: its detections and times so far."""

    title: str
    detector: Detector
    seen: list[Detections] = field(default_factory=list)
    taken_ms: list[float] = field(default_factory=list)

    def look(self, bgr: Image, score: float) -> Image:
        """Detect; a copy of the picture with the detections from `score` on, and a caption."""
        found, ms = timed(self.detector, bgr)
        self.seen.append(found)
        self.taken_ms.append(ms)
        drawn = bgr.copy()
        draw(drawn, found[np.flatnonzero(found.score >= score)], self.detector.labels)
        speed = median(self.taken_ms[-RECENT:])
        return _captioned(drawn, f"{self.title}   {speed:.1f} ms   {1e3 / speed:.1f} fps")

    @property
    def ms(self) -> float:
        """Median of one inference."""
        return round(median(self.taken_ms), 2) if self.taken_ms else 0.0


@dataclass
class SideBySide:
    """The reference at the left, the engine at the right.

    Args:
        reference: FP32, looking low.
        engine: looking as low.
        score: detections below are not drawn, and not asked for.
    """

    reference: Side
    engine: Side
    score: float

    def look(self, bgr: Image) -> Image:
        """One picture: both views beside one another, twice as wide as it."""
        return np.hstack([side.look(bgr, self.score) for side in (self.reference, self.engine)])

    def figures(self) -> Figures:
        """How the engine compares over all pictures so far."""
        found = compare(
            self.reference.seen, self.engine.seen, self.score, self.engine.detector.labels
        )
        return found.model_copy(update={"reference_ms": self.reference.ms, "ms": self.engine.ms})


def _captioned(picture: Image, text: str) -> Image:
    bar = np.full((BAR, picture.shape[1], 3), PAPER, np.uint8)
    scale = min(0.6, 0.6 * picture.shape[1] / 400)
    cv2.putText(bar, text, (8, BAR - 10), cv2.FONT_HERSHEY_SIMPLEX, scale, INK, 1, cv2.LINE_AA)
    return np.vstack([bar, picture])
