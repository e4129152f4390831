"""Pictures as cameras give them, BGR or NV12, for those who look at them as BGR.

Nobody needs the whole of a large NV12 picture as BGR: what is shown is small, and a crop is a part.
So the planes are scaled or cut first, and what is left of them is converted.
"""

import cv2
import numpy as np

from spotterd.data import Image, Pixels, is_nv12, size_of

# BT.601, limited range, the numbers of OpenCV's own conversion: blue, green and red, of Y, U and V.
_MIX = np.array(
    [[1220542, 2116026, 0], [1220542, -409993, -852492], [1220542, 0, 1673527]], np.float64
) / (1 << 20)
TO_BGR = np.hstack([_MIX, _MIX @ [[-16], [-128], [-128]]]).astype(np.float32)


class Scaler:
    """Makes BGR pictures of one size, in memory of its own: each overwrites the one before.

    Args:
        size_wh: their width and height.
        how: OpenCV's interpolation.
    """

    def __init__(self, size_wh: tuple[int, int], how: int = cv2.INTER_LINEAR) -> None:
        self._size_wh = size_wh
        self._how = how
        width, height = size_wh
        self._chroma = np.empty((height, width, 2), np.uint8)
        self._planes = [np.empty((height, width), np.uint8) for _ in range(3)]
        self._yuv, self._bgr = (np.empty((height, width, 3), np.uint8) for _ in range(2))

    def __call__(self, pixels: Pixels) -> Image:
        """The picture in that size; BGR that has it already is given back as it is."""
        fits = size_of(pixels) == self._size_wh
        if is_nv12(pixels):
            return _converted(*_planes(pixels), self._bgr) if fits else self._from_planes(pixels)
        return pixels if fits else self._resized(pixels, self._bgr)

    def _from_planes(self, nv12: Pixels) -> Image:
        """U and V are scaled to the full size, so that no colour is lost that fits into it."""
        luma, chroma = _planes(nv12)
        self._resized(luma, self._planes[0])
        cv2.split(self._resized(chroma, self._chroma), self._planes[1:])
        cv2.merge(self._planes, self._yuv)  # five times as fast as merging one plane and pairs
        cv2.transform(self._yuv, TO_BGR, dst=self._bgr)
        return self._bgr

    def _resized(self, plane: Pixels, into: Pixels) -> Pixels:
        cv2.resize(plane, self._size_wh, dst=into, interpolation=self._how)
        return into


def scaled(pixels: Pixels, size_wh: tuple[int, int], how: int = cv2.INTER_LINEAR) -> Image:
    """A copy of a picture as BGR of some size (`how`: OpenCV's interpolation)."""
    made = Scaler(size_wh, how)(pixels)
    return made.copy() if made is pixels else made


def clearest(pixels: Pixels) -> Pixels:
    """The plane in which most is to be seen, (h, w): brightness, or green; a view."""
    return pixels[: size_of(pixels)[1]] if is_nv12(pixels) else pixels[..., 1]


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
    whole = luma[2 * top : 2 * tall, 2 * left : 2 * wide]
    bgr = _converted(whole, chroma[top:tall, left:wide], np.empty((*whole.shape, 3), np.uint8))
    return bgr[
        rows.start - 2 * top : rows.stop - 2 * top,
        columns.start - 2 * left : columns.stop - 2 * left,
    ]


def _converted(luma: Pixels, chroma: Pixels, into: Image) -> Image:
    cv2.cvtColorTwoPlane(luma, chroma, cv2.COLOR_YUV2BGR_NV12, dst=into)
    return into


def _planes(nv12: Pixels) -> tuple[Pixels, Pixels]:
    """(h, w) Y and (h / 2, w / 2, 2) U, V: views."""
    width, height = size_of(nv12)
    return nv12[:height], nv12[height:].reshape(height // 2, width // 2, 2)


def _pairs(side: slice) -> tuple[int, int]:
    """The pairs of pixels that a span touches: first, and the one after the last."""
    return side.start // 2, -(-side.stop // 2)
