"""Craft of the made-up sky, as polygons: side views, nose to the right, y down, in -1..1.

Each craft has a few phases (rotor turns, wing beats) that are shown in turn.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from spotterd.data import Floats

Points: TypeAlias = list[tuple[float, float]]
Part: TypeAlias = tuple[float, Points]  # shade 0..1 (0 black against the light), corners

PHASES = 4
_CANVAS = 256  # drawn this large, then shrunk: smooth edges
_REACH = 0.45  # of the canvas that -1..1 fills, each way
_SUNLIT = np.float32(210)  # brightness of a part with tone 1
_HAZE = np.float32(0.12)  # how much of the sky's colour lies over the craft
_SEEN = 0.3  # cover that an eye still takes for the craft


@dataclass(frozen=True, slots=True, eq=False)
class Sprite:
    """A craft ready to be laid over a picture: `picture * keep + paint`.

    Attributes:
        paint: (h, w, 3) float32 BGR, already weighted.
        keep: (h, w, 1) float32, 0 where the craft hides the sky.
        xyxy: tight box of the craft inside the sprite, pixels.
    """

    paint: Floats
    keep: Floats
    xyxy: tuple[float, float, float, float]


def _ellipse(x: float, y: float, rx: float, ry: float) -> Points:
    turn = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    return [(x + rx * float(np.cos(a)), y + ry * float(np.sin(a))) for a in turn]


def _airplane(_phase: float) -> list[Part]:
    return [
        (0.30, [(0.1, 0.0), (-0.25, -0.34), (-0.38, -0.34), (-0.15, 0.0)]),  # far wing
        (
            0.55,
            [(0.95, 0.03), (0.8, -0.06), (-0.75, -0.08), (-0.95, -0.04), (-0.8, 0.07), (0.75, 0.1)],
        ),
        (0.50, [(-0.6, -0.05), (-0.85, -0.42), (-1.0, -0.42), (-0.9, -0.04)]),  # fin
        (0.25, [(-0.7, 0.0), (-0.95, 0.14), (-1.0, 0.12), (-0.88, 0.0)]),
        (0.20, [(0.2, 0.05), (-0.3, 0.5), (-0.48, 0.5), (-0.2, 0.05)]),  # near wing
        (0.12, _ellipse(0.02, 0.2, 0.13, 0.06)),  # engine
    ]


def _helicopter(phase: float) -> list[Part]:
    reach = 0.55 + 0.4 * abs(float(np.cos(np.pi * phase)))
    return [
        (0.25, [(0.0, -0.12), (-0.9, -0.16), (-0.9, -0.08), (0.0, 0.12)]),  # boom
        (0.30, [(-0.82, -0.1), (-0.98, -0.42), (-0.9, -0.42), (-0.74, -0.1)]),
        (0.35, _ellipse(0.15, 0.02, 0.42, 0.22)),  # cabin
        (0.65, _ellipse(0.38, -0.03, 0.15, 0.1)),  # windscreen
        (0.15, [(0.02, -0.2), (0.18, -0.2), (0.15, -0.38), (0.06, -0.38)]),  # mast
        (
            0.20,
            [
                (0.1 - reach, -0.44),
                (0.1 + reach, -0.36),
                (0.1 + reach, -0.32),
                (0.1 - reach, -0.38),
            ],
        ),
        (0.15, [(-0.2, 0.32), (0.5, 0.32), (0.5, 0.37), (-0.2, 0.37)]),  # skids
        (0.15, [(-0.05, 0.18), (0.0, 0.18), (-0.02, 0.34), (-0.07, 0.34)]),
        (0.15, [(0.3, 0.18), (0.35, 0.18), (0.37, 0.34), (0.32, 0.34)]),
    ]


def _drone(phase: float) -> list[Part]:
    blade = 0.16 + 0.12 * abs(float(np.cos(np.pi * phase)))
    rotors = [(x, y) for x in (-0.66, 0.66) for y in (-0.16, 0.04)]
    parts: list[Part] = [
        (0.30, [(-0.7, y), (0.7, -y), (0.7, -y + 0.07), (-0.7, y + 0.07)]) for y in (-0.1, 0.06)
    ]
    for x, y in rotors:
        parts.append(
            (
                0.45,
                [
                    (x - blade, y - 0.08),
                    (x + blade, y - 0.08),
                    (x + blade, y - 0.03),
                    (x - blade, y - 0.03),
                ],
            )
        )
        parts.append(
            (
                0.20,
                [
                    (x - 0.06, y - 0.05),
                    (x + 0.06, y - 0.05),
                    (x + 0.06, y + 0.12),
                    (x - 0.06, y + 0.12),
                ],
            )
        )
    parts.append((0.55, _ellipse(0.0, 0.0, 0.3, 0.16)))
    parts.append((0.10, _ellipse(0.0, 0.2, 0.1, 0.1)))  # camera
    parts += [
        (0.25, [(x, 0.1), (x * 1.5, 0.42), (x * 1.5 + 0.05, 0.42), (x + 0.06, 0.1)])
        for x in (-0.25, 0.2)
    ]
    return parts


def _bird(phase: float) -> list[Part]:
    tip = 0.55 * float(np.sin(2 * np.pi * phase))
    return [
        (
            0.20,
            [
                (0.15, -0.05),
                (-0.05, -0.4 * tip - 0.1),
                (-0.35, -tip),
                (-0.22, -0.2 * tip),
                (-0.2, 0.04),
            ],
        ),
        (0.15, _ellipse(0.05, 0.0, 0.4, 0.11)),
        (0.15, _ellipse(0.45, -0.05, 0.12, 0.08)),
        (0.20, [(-0.3, -0.04), (-0.65, -0.08), (-0.65, 0.08), (-0.3, 0.05)]),  # tail
        (
            0.10,
            [
                (0.2, 0.0),
                (0.15, -0.6 * tip - 0.05),
                (-0.1, -1.2 * tip),
                (-0.05, -0.3 * tip),
                (-0.12, 0.05),
            ],
        ),
    ]


DRAWINGS = {"airplane": _airplane, "helicopter": _helicopter, "drone": _drone, "bird": _bird}


def draw(label: str, length_px: float, *, mirrored: bool, haze: Sequence[float]) -> list[Sprite]:
    """Every phase of a craft.

    Args:
        label: one of `DRAWINGS`.
        length_px: from nose to tail.
        mirrored: flying to the left.
        haze: BGR of the sky, which tints what is far.
    """
    parts = DRAWINGS[label]
    mirror = -1 if mirrored else 1
    return [_sprite(parts(n / PHASES), length_px, mirror, haze) for n in range(PHASES)]


def _sprite(parts: list[Part], length_px: float, mirror: int, haze: Sequence[float]) -> Sprite:
    shade = np.zeros((_CANVAS, _CANVAS), np.uint8)
    cover = np.zeros((_CANVAS, _CANVAS), np.uint8)
    for tone, points in parts:
        corners = np.array(points) * (mirror, 1) * _REACH + 0.5
        fixed = np.int32(corners * _CANVAS * 16)  # 4 bits of fraction
        cv2.fillPoly(shade, [fixed], int(tone * 255), cv2.LINE_AA, 4)
        cv2.fillPoly(cover, [fixed], 255, cv2.LINE_AA, 4)
    side = max(8, round(length_px / (2 * _REACH)))
    alpha, light = _shrink(cover, side), _shrink(shade, side)
    paint = light * _SUNLIT + alpha * _HAZE * np.array(haze, np.float32)
    ys, xs = np.nonzero(alpha[..., 0] > _SEEN)
    box = (float(xs.min()), float(ys.min()), float(xs.max() + 1), float(ys.max() + 1))
    return Sprite(paint, 1 - alpha, box)


def _shrink(drawn: NDArray[np.uint8], side: int) -> Floats:
    """To `side` pixels, 0..1, (side, side, 1)."""
    small: Floats = cv2.resize(drawn.astype(np.float32), (side, side), interpolation=cv2.INTER_AREA)
    return small[..., None] / np.float32(255)
