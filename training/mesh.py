"""Meshes and what they are built of: hulls, bars, rotors.

Axes as in AC3D: x aft, y up, z to the side; units are free, a renderer scales to pixels anyway.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Rng = np.random.Generator
Points = NDArray[np.float64]


@dataclass
class Mesh:
    """Convex faces with one colour (RGB 0..255) and one opacity each."""

    faces: list[Points] = field(default_factory=list)
    """Corner points per face, kx3."""
    colours: list[tuple[float, float, float]] = field(default_factory=list)
    opacity: list[float] = field(default_factory=list)

    def add(self, face: Points, colour: tuple[float, float, float], opacity: float = 1.0) -> None:
        """Add one face."""
        self.faces.append(np.asarray(face, float))
        self.colours.append(colour)
        self.opacity.append(opacity)


def paint(rng: Rng) -> tuple[float, float, float]:
    """Choose a livery colour: white, grey, black, drab or something loud."""
    kind = rng.choice(5, p=(0.3, 0.2, 0.2, 0.12, 0.18))
    if kind == 0:
        base = np.full(3, rng.uniform(200, 250))
    elif kind == 1:
        base = np.full(3, rng.uniform(90, 180))
    elif kind == 2:
        base = np.full(3, rng.uniform(15, 70))
    elif kind == 3:
        base = np.array([rng.uniform(60, 110), rng.uniform(70, 110), rng.uniform(40, 80)])
    else:
        base = rng.uniform(10, 250, 3)
    r, g, b = base + rng.uniform(-8, 8, 3)
    return float(r), float(g), float(b)


def loft(
    mesh: Mesh,
    rings: list[tuple[float, float, float, float]],
    colours: list[tuple[float, float, float]],
    sides: int = 10,
) -> None:
    """Skin a body through rings (x, y, half height, half width); one colour a segment."""
    angle = np.linspace(0, 2 * np.pi, sides, endpoint=False)
    loops = [
        np.stack((np.full(sides, x), y + ry * np.cos(angle), rz * np.sin(angle)), 1)
        for x, y, ry, rz in rings
    ]
    for i in range(len(loops) - 1):
        for j in range(sides):
            k = (j + 1) % sides
            mesh.add(
                np.array([loops[i][j], loops[i][k], loops[i + 1][k], loops[i + 1][j]]),
                colours[i % len(colours)],
            )


def bar(mesh: Mesh, a: Points, b: Points, thick: float, colour: tuple[float, float, float]) -> None:
    """Add a four-sided bar from a to b."""
    along = (b - a) / max(float(np.linalg.norm(b - a)), 1e-9)
    side = np.cross(along, (0.3, 1.0, 0.2))
    side *= thick / max(float(np.linalg.norm(side)), 1e-9)
    up = np.cross(along, side)
    corners = [side + up, side - up, -side - up, -side + up]
    for i in range(4):
        p, q = corners[i], corners[(i + 1) % 4]
        mesh.add(np.array([a + p, a + q, b + q, b + p]), colour)


def rotor(
    mesh: Mesh,
    rng: Rng,
    hub: Points,
    radius: float,
    *,
    blades: int,
    across: bool = False,
    colour: tuple[float, float, float] = (40, 40, 40),
) -> None:
    """Add a rotor: crisp or blurred blades or a faint disc; `across` turns it upright."""
    style = rng.random()
    start, cone = rng.uniform(0, 2 * np.pi), rng.uniform(0, 0.12)

    def spoke(angle: float, r: float) -> Points:
        flat = np.array([np.cos(angle) * r, cone * r, np.sin(angle) * r])
        return hub + np.array(flat[[0, 2, 1]] if across else flat)

    if style > 0.35:
        circle = np.array([spoke(a, radius) for a in np.linspace(0, 2 * np.pi, 24, endpoint=False)])
        mesh.add(circle, colour, float(rng.uniform(0.04, 0.3)))
    if style < 0.75:
        sweep = rng.uniform(0.01, 0.05) if style < 0.35 else rng.uniform(0.05, 0.3)
        chord = radius * rng.uniform(0.03, 0.08)
        for i in range(blades):
            a = start + 2 * np.pi * i / blades
            tip, root = spoke(a, radius), spoke(a, radius * 0.05)
            wide = (spoke(a + np.pi / 2, chord) - hub) / 2
            fan = spoke(a + sweep, radius)
            mesh.add(
                np.array([root - wide, root + wide, fan + wide, tip - wide]),
                colour,
                1.0 if sweep < 0.06 else 0.55,
            )
