"""The craft of the made-up sky, ready to be laid over a picture: shaded, hazy, with soft edges."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from spotterd.camera.craft import DRAWINGS, Part
from spotterd.data import Floats, Image

PHASES = 4  # of rotors and wings, shown in turn
_CANVAS = 256  # drawn this large, then shrunk: smooth edges
_REACH = 0.45  # of the canvas that -1..1 fills, each way
_HAZE = np.float32(0.12)  # how much of the sky's colour lies over the craft
_SEEN = 0.1  # cover that an eye still takes for the craft: the disc of a rotor is more


@dataclass(frozen=True, slots=True, eq=False)
class Sprite:
    """A craft ready to be laid over a picture: `picture * layer[..., 3:] + layer[..., :3]`.

    Attributes:
        layer: (h, w, 4) float32: BGR, already weighted, and how much of the sky stays, 0..1.
        xyxy: tight box of the craft inside the sprite, pixels.
    """

    layer: Floats
    xyxy: tuple[float, float, float, float]


def draw(label: str, length_px: float, *, mirrored: bool, haze: Sequence[float]) -> list[Sprite]:
    """Every phase of a craft.

    Args:
        label: one of `DRAWINGS`.
        length_px: from nose to tail; of a bird, from wing tip to wing tip.
        mirrored: flying to the left.
        haze: BGR of the sky, which tints what is far.
    """
    parts = DRAWINGS[label]
    mirror = -1 if mirrored else 1
    return [_sprite(parts(n / PHASES), length_px, mirror, haze) for n in range(PHASES)]


def lay(frame: Image, sprite: Sprite, corner: tuple[float, float]) -> None:
    """Lay a sprite over a frame, clipped, to a fraction of a pixel."""
    left, top = int(np.floor(corner[0])), int(np.floor(corner[1]))
    height, width = sprite.layer.shape[:2]
    x0, y0 = max(0, left), max(0, top)
    x1, y1 = min(frame.shape[1], left + width + 1), min(frame.shape[0], top + height + 1)
    if x0 >= x1 or y0 >= y1:
        return
    shift = np.array([[1, 0, corner[0] - x0], [0, 1, corner[1] - y0]], np.float32)
    layer = cv2.warpAffine(sprite.layer, shift, (x1 - x0, y1 - y0), borderValue=(0, 0, 0, 1))
    # As two pictures of three channels: numpy is twice as fast as with one channel for three.
    paint = cv2.cvtColor(layer, cv2.COLOR_BGRA2BGR)
    keep = cv2.cvtColor(layer[..., 3], cv2.COLOR_GRAY2BGR)
    seen = frame[y0:y1, x0:x1]
    seen[:] = seen * keep + paint


def _sprite(parts: list[Part], length_px: float, mirror: int, haze: Sequence[float]) -> Sprite:
    drawn = np.zeros((_CANVAS, _CANVAS, 4), np.uint8)
    for part in parts:
        corners = np.array(part.corners) * (mirror, 1) * _REACH + 0.5
        fixed = np.int32(corners * _CANVAS * 16)  # 4 bits of fraction
        ink = [part.cover * one for one in (*part.colour, 255)]
        cv2.fillPoly(drawn, [fixed], ink, cv2.LINE_AA, 4)
    side = max(8, round(length_px / (2 * _REACH)))
    layer = cv2.resize(drawn, (side, side), interpolation=cv2.INTER_AREA).astype(np.float32)
    cover = layer[..., 3:] / np.float32(255)
    layer[..., :3] += _HAZE * (cover * np.array(haze, np.float32) - layer[..., :3])
    layer[..., 3:] = 1 - cover
    ys, xs = np.nonzero(cover[..., 0] > _SEEN)
    box = (float(xs.min()), float(ys.min()), float(xs.max() + 1), float(ys.max() + 1))
    return Sprite(layer, box)
