"""The craft of the made-up sky as polygons: seen from the side and a little below.

The nose is to the right and y goes down; a craft fills about -1..1 each way. Light comes from
above. Each drawing takes a phase in 0..1, of a rotor's turn or of a beat of the wings.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

Point: TypeAlias = tuple[float, float]
Colour: TypeAlias = tuple[int, int, int]  # BGR
Profile: TypeAlias = list[tuple[float, float, float]]  # x, top, bottom: a hull along its length

BLACK: Colour = (34, 31, 30)
DARK: Colour = (45, 42, 40)
SHADOW: Colour = (80, 74, 70)  # a bright surface from below
GREY: Colour = (120, 112, 106)


@dataclass(frozen=True, slots=True)
class Part:
    """One polygon, over those before it."""

    colour: Colour
    corners: list[Point]
    cover: float = 1.0  # less: what turns too fast to be seen, with only the sky behind it


def _ellipse(x: float, y: float, rx: float, ry: float) -> list[Point]:
    turn = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    return [(x + rx * float(np.cos(a)), y + ry * float(np.sin(a))) for a in turn]


def _bar(start: Point, end: Point, wide: float, wide_end: float | None = None) -> list[Point]:
    """From point to point, so wide; straight, or narrower towards the end."""
    (x0, y0), (x1, y1) = start, end
    long = max(1e-6, float(np.hypot(x1 - x0, y1 - y0)))
    x, y = (y0 - y1) / long / 2, (x1 - x0) / long / 2  # across
    last = wide if wide_end is None else wide_end
    return [
        *((x0 + x * wide, y0 + y * wide), (x1 + x * last, y1 + y * last)),
        *((x1 - x * last, y1 - y * last), (x0 - x * wide, y0 - y * wide)),
    ]


def _hull(profile: Profile, top: Colour, side: Colour, belly: Colour) -> list[Part]:
    """A round body: brighter above, dark below."""

    def band(above: float, below: float) -> list[Point]:
        upper = [(x, high + above * (low - high)) for x, high, low in profile]
        return upper + [(x, high + below * (low - high)) for x, high, low in reversed(profile)]

    return [Part(side, band(0, 1)), Part(top, band(0, 0.35)), Part(belly, band(0.65, 1))]


def _airplane(_phase: float) -> list[Part]:
    fuselage: Profile = [
        *((1.0, 0.03, 0.05), (0.95, -0.04, 0.08), (0.85, -0.08, 0.1), (0.6, -0.1, 0.1)),
        *((-0.45, -0.1, 0.1), (-0.75, -0.09, 0.04), (-1.0, -0.07, -0.04)),
    ]
    return [
        Part(GREY, [(0.2, -0.05), (-0.2, -0.36), (-0.32, -0.36), (-0.12, -0.05)]),  # far wing
        Part(GREY, [(-0.7, -0.03), (-0.9, -0.2), (-0.99, -0.2), (-0.9, -0.03)]),
        *_hull(fuselage, (235, 232, 230), (200, 195, 190), (110, 104, 100)),
        Part((120, 60, 35), [(-0.6, -0.08), (-0.86, -0.48), (-1.02, -0.48), (-0.93, -0.06)]),  # fin
        Part(SHADOW, [(-0.7, 0.0), (-0.95, 0.15), (-1.03, 0.14), (-0.9, 0.0)]),
        Part(DARK, _ellipse(0.08, 0.2, 0.14, 0.055)),  # engine
        Part(SHADOW, [(0.25, 0.05), (-0.25, 0.46), (-0.42, 0.47), (-0.15, 0.06)]),  # near wing
    ]


def _helicopter(phase: float) -> list[Part]:
    cabin: Profile = [
        *((0.78, 0.08, 0.12), (0.7, -0.04, 0.2), (0.5, -0.18, 0.26), (0.2, -0.24, 0.27)),
        *((-0.1, -0.22, 0.2), (-0.3, -0.12, 0.06), (-0.95, -0.12, -0.04)),
    ]
    hub_x, hub_y, rx, ry = 0.15, -0.38, 0.85, 0.25  # the rotor, seen from below
    turns = [np.pi / 2 * (n + 0.35 + phase) for n in range(4)]
    tips = [(hub_x + rx * float(np.cos(a)), hub_y + ry * float(np.sin(a))) for a in turns]
    return [
        Part(DARK, _ellipse(hub_x, hub_y, rx, ry), 0.12),
        *(Part(DARK, _bar((hub_x, hub_y), tip, 0.045)) for tip in tips),
        Part(DARK, _bar((hub_x, -0.2), (hub_x, hub_y), 0.16, 0.08)),
        Part(DARK, [(-0.8, -0.1), (-0.92, -0.36), (-1.0, -0.36), (-0.97, 0.08), (-0.9, 0.08)]),
        *_hull(cabin, (95, 88, 84), (70, 64, 60), BLACK),
        Part((150, 130, 110), [(0.74, 0.03), (0.5, -0.15), (0.35, -0.15), (0.4, 0.03)]),  # window
        Part(BLACK, _bar((0.02, 0.2), (0.0, 0.4), 0.04)),
        Part(BLACK, _bar((0.42, 0.2), (0.44, 0.4), 0.04)),
        Part(BLACK, _bar((-0.15, 0.4), (0.62, 0.4), 0.04)),  # skid
    ]


def _drone(phase: float) -> list[Part]:
    body: Profile = [(0.3, 0, 0.06), (0.2, -0.1, 0.14), (-0.2, -0.1, 0.14), (-0.3, 0, 0.06)]
    motors = [(-0.7, -0.14), (0.7, -0.18), (-0.55, 0.0), (0.6, 0.02)]
    parts = []
    for n, (x, y) in enumerate(motors):
        reach = 0.3 * float(np.cos(np.pi * (phase + n / 5)))
        parts.append(Part(DARK, _ellipse(x, y - 0.13, 0.3, 0.045), 0.35))
        parts.append(Part(DARK, _bar((x - reach, y - 0.14), (x + reach, y - 0.12), 0.025)))
    for x, y in motors:
        parts.append(Part(DARK, _bar((0, 0.05), (x, y), 0.1)))
        parts.append(Part(BLACK, _bar((x, y - 0.13), (x, y + 0.1), 0.13)))
    return [
        *parts,
        *(Part(DARK, _bar((0.18 * side, 0.1), (0.36 * side, 0.4), 0.05)) for side in (-1, 1)),
        *_hull(body, (200, 196, 194), GREY, DARK),
        Part(BLACK, _ellipse(0.03, 0.2, 0.09, 0.09)),  # camera
    ]


def _bird(phase: float) -> list[Part]:
    body: Profile = [
        *((0.35, 0.0, 0.03), (0.3, -0.08, 0.06), (0.17, -0.1, 0.1)),
        *((-0.04, -0.07, 0.09), (-0.19, -0.02, 0.04), (-0.37, -0.05, 0.07)),
    ]
    beat, late = (0.1 + 0.62 * float(np.cos(2 * np.pi * phase + lag)) for lag in (0, 0.4))

    def wing(colour: Colour, x: float, y: float) -> list[Part]:
        wrist, tip = (0.45 * x + 0.03, 0.45 * y - 0.5 * beat - 0.12), (x, y - late)
        return [
            Part(colour, _bar((0.05, 0), wrist, 0.2, 0.16)),
            Part(colour, _bar(wrist, tip, 0.16, 0.03)),
        ]

    return [
        *wing((58, 56, 58), 0.75, -0.25),
        *_hull(body, (70, 68, 70), (50, 48, 50), BLACK),
        *wing(BLACK, -0.8, 0.3),
    ]


DRAWINGS: dict[str, Callable[[float], list[Part]]] = {
    "airplane": _airplane,
    "helicopter": _helicopter,
    "drone": _drone,
    "bird": _bird,
}
