"""Pictures as cameras give them, BGR or NV12, for those who look at them as BGR.

Nobody needs the whole of a large NV12 picture as BGR: what is shown is small, and a crop is a part.
So the planes are scaled or cut first, and what is left of them is converted. Where nothing is
scaled the pixels are those of OpenCV's conversion of the whole (BT.601, limited range).
"""

import cv2
import numpy as np

from spotterd.data import Image, Pixels, is_nv12, size_of


class Scaler:
    """Makes BGR pictures of one size, in memory of its own: each overwrites the one before.

    Args:
        size_wh: their width and height.
        how: OpenCV's interpolation.
    """

    def __init__(self, size_wh: tuple[int, int], how: int = cv2.INTER_LINEAR) -> None:
        self._size_wh = size_wh
        self._how = how
        width, height = (side + side % 2 for side in size_wh)  # a pair of U and V is of two pixels
        self._luma = np.empty((height, width), np.uint8)
        self._chroma = np.empty((height // 2, width // 2, 2), np.uint8)
        self._bgr = np.empty((height, width, 3), np.uint8)

    def __call__(self, pixels: Pixels) -> Image:
        """The picture in that size; BGR that has it already is given back as it is."""
        width, height = self._size_wh
        bgr = self._bgr[:height, :width]
        fits = size_of(pixels) == self._size_wh
        if not is_nv12(pixels):
            return pixels if fits else _resized(pixels, bgr, self._how)
        luma, chroma = _planes(pixels)
        if not fits:
            # To the half, OpenCV's linear is its "area", which is slow for two channels.
            half = luma.shape == (2 * height, 2 * width) and self._how == cv2.INTER_LINEAR
            _resized(luma, self._luma[:height, :width], self._how)
            _resized(chroma, self._chroma, cv2.INTER_LINEAR_EXACT if half else self._how)
            luma, chroma = self._luma, self._chroma
        cv2.cvtColorTwoPlane(luma, chroma, cv2.COLOR_YUV2BGR_NV12, dst=self._bgr)
        return bgr


def scaled(pixels: Pixels, size_wh: tuple[int, int], how: int = cv2.INTER_LINEAR) -> Image:
    """A copy of a picture as BGR of some size (`how`: OpenCV's interpolation)."""
    made = Scaler(size_wh, how)(pixels)
    return made.copy() if made is pixels else made


def as_bgr(pixels: Pixels) -> Image:
    """The whole picture: the array itself where it is BGR, else a new one."""
    return Scaler(size_of(pixels))(pixels)


def cut(pixels: Pixels, rows: slice, columns: slice) -> Image:
    """A part of a picture as BGR: a view where it is BGR, else new memory.

    Args:
        pixels: the picture.
        rows: from where to where, inside the picture.
        columns: the same.
    """
    if not is_nv12(pixels):
        return pixels[rows, columns]
    luma, chroma = _planes(pixels)
    (top, tall), (left, wide) = _pairs(rows), _pairs(columns)
    part = cv2.cvtColorTwoPlane(
        luma[2 * top : 2 * tall, 2 * left : 2 * wide],
        chroma[top:tall, left:wide],
        cv2.COLOR_YUV2BGR_NV12,
    )
    return np.asarray(
        part[
            rows.start - 2 * top : rows.stop - 2 * top,
            columns.start - 2 * left : columns.stop - 2 * left,
        ]
    )


def _resized(plane: Pixels, into: Pixels, how: int) -> Pixels:
    cv2.resize(plane, into.shape[1::-1], dst=into, interpolation=how)
    return into


def _planes(nv12: Pixels) -> tuple[Pixels, Pixels]:
    """(h, w) Y and (h / 2, w / 2, 2) U, V: views."""
    width, height = size_of(nv12)
    return nv12[:height], nv12[height:].reshape(height // 2, width // 2, 2)


def _pairs(side: slice) -> tuple[int, int]:
    """The pairs of pixels that a span touches: first, and the one after the last."""
    return side.start // 2, -(-side.stop // 2)
