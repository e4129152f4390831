"""Two detectors on the same pictures: what each sees, how fast, and how much they agree."""

from dataclasses import dataclass, field
from statistics import median

import cv2
import numpy as np

from spotterd.builder.agreement import Figures, compare, match
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

    def look(self, bgr: Image) -> None:
        """Detect."""
        found, ms = timed(self.detector, bgr)
        self.seen.append(found)
        self.taken_ms.append(ms)

    def drawn(self, bgr: Image, score: float, remark: str) -> Image:
        """A copy of the picture with the latest detections from `score` on, and a caption."""
        copy = bgr.copy()
        draw(copy, _sure(self.seen[-1], score), self.detector.labels)
        speed = median(self.taken_ms[-RECENT:])
        text = f"{self.title}   {speed:.1f} ms   {1e3 / speed:.1f} fps   {remark}"
        return _captioned(copy, text)

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

    Attributes:
        objects: seen by the reference so far; found: of these, by the engine.
    """

    reference: Side
    engine: Side
    score: float
    objects: int = 0
    found: int = 0

    def look(self, bgr: Image) -> Image:
        """One picture: both views beside one another, twice as wide as it."""
        for side in (self.reference, self.engine):
            side.look(bgr)
        wanted = _sure(self.reference.seen[-1], self.score)
        self.objects += len(wanted)
        self.found += len(match(wanted, self.engine.seen[-1]))
        told = (f"sees {self.objects}", f"finds {self.found} of them")
        return np.hstack(
            [
                side.drawn(bgr, self.score, remark)
                for side, remark in zip((self.reference, self.engine), told, strict=True)
            ]
        )

    def figures(self) -> Figures:
        """How the engine compares over all pictures so far."""
        found = compare(
            self.reference.seen, self.engine.seen, self.score, self.engine.detector.labels
        )
        return found.model_copy(update={"reference_ms": self.reference.ms, "ms": self.engine.ms})


def _sure(seen: Detections, score: float) -> Detections:
    return seen[np.flatnonzero(seen.score >= score)]


def _captioned(picture: Image, text: str) -> Image:
    bar = np.full((BAR, picture.shape[1], 3), PAPER, np.uint8)
    scale = min(0.6, 0.6 * picture.shape[1] / 400)
    cv2.putText(bar, text, (8, BAR - 10), cv2.FONT_HERSHEY_SIMPLEX, scale, INK, 1, cv2.LINE_AA)
    return np.vstack([bar, picture])
