"""Scale a frame to fit a network's input, keep its aspect, pad the rest; and map boxes back."""

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from spotterd.data import Doubles, Floats, Image, Pixels, size_of
from spotterd.vision.pixels import Scaler

STRIDE = 32
PAD = 114  # the grey that YOLO networks are trained with


@dataclass(frozen=True)
class Preprocess:
    """How a network wants its pixels.

    Attributes:
        rgb: red first; False: blue first, as OpenCV has it.
        scale: what a pixel's 0..255 is multiplied by.
        centred: padding on both sides; False: all of it right and below.
    """

    rgb: bool = True
    scale: float = 1 / 255
    centred: bool = True


YOLO = Preprocess()
YOLOX = Preprocess(rgb=False, scale=1.0, centred=False)


@dataclass(frozen=True)
class Letterbox:
    """The geometry from one frame size to one input size, and the scratch memory to walk it.

    Bilinear, as the networks are trained. One thread may `fill` at a time (the scratch is shared).

    Args:
        frame_wh: width and height of the frames.
        input_hw: height and width of the network's input.
        preprocess: what the network wants.
    """

    frame_wh: tuple[int, int]
    input_hw: tuple[int, int]
    preprocess: Preprocess = YOLO

    @cached_property
    def size_wh(self) -> tuple[int, int]:
        """Width and height of the scaled picture inside the input."""
        (width, height), (rows, columns) = self.frame_wh, self.input_hw
        scale = min(columns / width, rows / height)
        return (
            min(max(round(width * scale), 1), columns),
            min(max(round(height * scale), 1), rows),
        )

    @property
    def tight_hw(self) -> tuple[int, int]:
        """The least input that holds the scaled picture, in steps of YOLO's coarsest stride."""
        width, height = self.size_wh
        return -(-height // STRIDE) * STRIDE, -(-width // STRIDE) * STRIDE

    @cached_property
    def offset_xy(self) -> tuple[int, int]:
        """Where the scaled picture's left upper corner lies in the input."""
        if not self.preprocess.centred:
            return 0, 0
        return (self.input_hw[1] - self.size_wh[0]) // 2, (self.input_hw[0] - self.size_wh[1]) // 2

    @cached_property
    def _scaler(self) -> Scaler:
        return Scaler(self.size_wh)

    @cached_property
    def _planes(self) -> list[Image]:
        return [np.empty(self.size_wh[::-1], np.uint8) for _ in range(3)]

    def fill(self, pixels: Pixels, out: Floats, *, padded: bool = False) -> None:
        """Write a frame into a network's input; allocates nothing after the first call.

        Args:
            pixels: BGR or NV12 of `frame_wh`.
            out: (1, 3, rows, columns) float32 of `input_hw`; every element is written.
            padded: the padding in `out` is this letterbox's already: leave it alone.
        """
        if size_of(pixels) != self.frame_wh:
            raise ValueError(f"a frame of shape {pixels.shape} in a letterbox for {self.frame_wh}")
        (x, y), (width, height) = self.offset_xy, self.size_wh
        scale = np.float32(self.preprocess.scale)
        if not padded:
            self._pad(out, scale * np.float32(PAD))
        cv2.split(self._scaler(pixels), self._planes)
        planes = reversed(self._planes) if self.preprocess.rgb else self._planes
        for plane, target in zip(planes, out[0, :, y : y + height, x : x + width], strict=True):
            # Twice as fast as one multiplication that converts: NumPy does that through a buffer.
            np.copyto(target, plane)
            np.multiply(target, scale, out=target)

    def _pad(self, out: Floats, value: np.float32) -> None:
        (x, y), (width, height) = self.offset_xy, self.size_wh
        out[0, :, :y] = value
        out[0, :, y + height :] = value
        out[0, :, y : y + height, :x] = value
        out[0, :, y : y + height, x + width :] = value

    def to_frame(self, xyxy: Floats) -> Floats:
        """Corners in input pixels -> corners in frame pixels, clipped to the frame.

        Args:
            xyxy: (n, 4) float32.

        Returns:
            (n, 4) float32, a new array.
        """
        offset, factor, frame = self._way_back
        there = ((xyxy - offset) * factor).astype(np.float32)
        inside: Floats = np.minimum(np.maximum(there, 0, out=there), frame, out=there)
        return inside

    @cached_property
    def _way_back(self) -> tuple[Doubles, Floats, Floats]:
        """Offset, factor and frame size, for both corners."""
        # Both sides were rounded to whole pixels, so each has its own exact factor.
        factor = np.divide(self.frame_wh, self.size_wh, dtype=np.float32)
        return (
            np.tile(np.array(self.offset_xy, np.float64), 2),
            np.tile(factor, 2),
            np.tile(np.array(self.frame_wh, np.float32), 2),
        )
