"""From a picture to detections: letterbox, a backend, decode, NMS."""

from dataclasses import dataclass
from functools import lru_cache, partial
from typing import cast

import numpy as np

from spotterd.data import Detections, Pixels, size_of
from spotterd.inference.base import Backend, FrameSlot, Slot
from spotterd.vision.boxes import best, nms
from spotterd.vision.heads import recognise
from spotterd.vision.letterbox import PAD, Letterbox

FRAME_SIZES = 8  # remembered; a board has fewer kinds of cameras


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What counts as seen.

    Attributes:
        score: detections below this are not seen.
        iou: boxes of one class that overlap more are one object.
        max_detections: best ones kept per frame.
    """

    score: float
    iou: float
    max_detections: int


class Detector:
    """One model on one backend. One thread may `prepare` while another decodes.

    Args:
        backend: runs the model; stays the caller's to close.
        labels: class names by index.
        score: see `Thresholds`, as are the next two.

    Attributes:
        thresholds: may be replaced as a whole by any thread; the next decode uses it.

    Raises:
        BadInputError: the model's outputs are none of a known detector with so many labels.
    """

    def __init__(
        self,
        backend: Backend,
        labels: tuple[str, ...],
        score: float,
        iou: float,
        max_detections: int,
    ) -> None:
        self.backend = backend
        self.labels = labels
        self.thresholds = Thresholds(score, iou, max_detections)
        slot = backend.acquire()
        try:
            slot.input.fill(PAD / 255)
            backend.submit(slot)
            backend.wait(slot)
            model = backend.model
            self._head = recognise(slot.outputs, len(labels), model.input_hw, model.name)
            # Asked once: Python takes as long to look a protocol up as to decode.
            self._takes_frames = isinstance(slot, FrameSlot)
        finally:
            backend.release(slot)
        self._letterbox = lru_cache(FRAME_SIZES)(
            partial(Letterbox, input_hw=model.input_hw, preprocess=self._head.preprocess)
        )
        self._padding: dict[Slot, Letterbox] = {}  # whose padding lies in which slot

    def prepare(self, pixels: Pixels, slot: Slot) -> Letterbox:
        """Write a picture into a slot's input; the letterbox maps the answer back."""
        letterbox = self._letterbox(size_of(pixels))
        if self._takes_frames and cast("FrameSlot", slot).take(pixels, letterbox):
            return letterbox
        padded = self._padding.pop(slot, None) == letterbox
        letterbox.fill(pixels, slot.input, padded=padded)
        self._padding[slot] = letterbox
        return letterbox

    def decode(self, slot: Slot, letterbox: Letterbox) -> Detections:
        """What a slot's outputs mean, in pixels of the picture, best first."""
        wanted = self.thresholds
        found = self._head.decode(slot.outputs[self._head.output][0], wanted.score)
        if not len(found):  # most of the sky, most of the time
            return found
        # Clipped first: boxes of a craft that fills the picture reach beyond it by as much again,
        # each in its own way, and would not overlap enough to be told for one.
        # So are scores, of an export that lacks its sigmoid: beyond 1 no event could be told.
        score = np.minimum(found.score, 1)
        clipped = Detections(letterbox.to_frame(found.xyxy), score, found.label)
        if self._head.overlapping:
            return nms(clipped, wanted.iou, wanted.max_detections)
        return best(clipped, wanted.max_detections)

    def run_once(self, pixels: Pixels) -> Detections:
        """The whole way of one picture, without threads."""
        slot = self.backend.acquire()
        try:
            letterbox = self.prepare(pixels, slot)
            self.backend.submit(slot)
            self.backend.wait(slot)
            return self.decode(slot, letterbox)
        finally:
            self.backend.release(slot)
