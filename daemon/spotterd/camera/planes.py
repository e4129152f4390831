"""From a driver's memory to BGR in one pass. Pure."""

from dataclasses import dataclass

import cv2
import numpy as np

from spotterd.data import Image


@dataclass(frozen=True, slots=True)
class Layout:
    """How a picture lies in memory.

    Attributes:
        format: NV12, BGR or BGRx.
        width, height: pixels; even for NV12.
        strides: bytes from one row to the next, a plane.
        offsets: where each plane begins, bytes.
    """

    format: str
    width: int
    height: int
    strides: tuple[int, ...]
    offsets: tuple[int, ...]


def to_bgr(data: memoryview, layout: Layout, into: Image | None) -> Image:
    """(h, w, 3) BGR, written into `into` if that fits; the memory of `data` is not kept."""
    height, width = layout.height, layout.width
    if into is None or into.shape != (height, width, 3):
        into = np.empty((height, width, 3), np.uint8)
    if layout.format == "NV12":
        luma = _plane(data, layout, 0, (height, width))
        chroma = _plane(data, layout, 1, (height // 2, width // 2, 2))
        cv2.cvtColorTwoPlane(luma, chroma, cv2.COLOR_YUV2BGR_NV12, dst=into)
    elif layout.format == "BGRx":
        cv2.cvtColor(_plane(data, layout, 0, (height, width, 4)), cv2.COLOR_BGRA2BGR, dst=into)
    else:
        np.copyto(into, _plane(data, layout, 0, (height, width, 3)))
    return into


def _plane(data: memoryview, layout: Layout, number: int, shape: tuple[int, ...]) -> Image:
    """One plane as an array over the driver's memory; rows may be padded."""
    pixel = shape[2] if len(shape) > 2 else 1  # noqa: PLR2004 (rows, columns, bytes)
    strides = (layout.strides[number], pixel, 1)[: len(shape)]
    return np.ndarray(shape, np.uint8, data, layout.offsets[number], strides)
