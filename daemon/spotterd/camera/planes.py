"""A driver's memory as a picture of our own, copied once. Pure."""

from dataclasses import dataclass

import cv2
import numpy as np

from spotterd.data import Pixels


@dataclass(frozen=True, slots=True)
class Layout:
    """How a picture lies in memory.

    Attributes:
        format: NV12, BGR or BGRx.
        width, height: pixels.
        strides: bytes from one row to the next, a plane.
        offsets: where each plane begins, bytes.
    """

    format: str
    width: int
    height: int
    strides: tuple[int, ...]
    offsets: tuple[int, ...]


def copied(data: memoryview, layout: Layout, into: Pixels | None) -> Pixels:
    """NV12 or BGR, written into `into` if that fits; the memory of `data` is not kept.

    An odd last row or column of NV12, which no camera has, is left out: its pairs need two.
    """
    nv12 = layout.format == "NV12"
    height, width = (side // (1 + nv12) * (1 + nv12) for side in (layout.height, layout.width))
    shape = (height * 3 // 2, width) if nv12 else (height, width, 3)
    if into is None or into.shape != shape:
        into = np.empty(shape, np.uint8)
    if nv12:
        np.copyto(into[:height], _plane(data, layout, 0, (height, width)))
        np.copyto(into[height:], _plane(data, layout, 1, (height // 2, width)))
    elif layout.format == "BGRx":
        cv2.cvtColor(_plane(data, layout, 0, (height, width, 4)), cv2.COLOR_BGRA2BGR, dst=into)
    else:
        np.copyto(into, _plane(data, layout, 0, (height, width, 3)))
    return into


def _plane(data: memoryview, layout: Layout, number: int, shape: tuple[int, ...]) -> Pixels:
    """One plane as an array over the driver's memory; rows may be padded."""
    pixel = shape[2] if len(shape) > 2 else 1  # noqa: PLR2004 (rows, columns, bytes)
    strides = (layout.strides[number], pixel, 1)[: len(shape)]
    return np.ndarray(shape, np.uint8, data, layout.offsets[number], strides)
