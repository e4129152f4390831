"""Reads AC3D files (https://www.inivis.com/ac3d/man/ac3dfileformat.html)."""

from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from training.mesh import Mesh, Points

_NOT_THE_CRAFT = (
    "flare",
    "light",
    "shadow",
    "disc",
    "disk",
    "halo",
    "glow",
    "contrail",
    "smoke",
    "cockpit",
    "interior",
)


@lru_cache(maxsize=64)
def _texture(path: Path) -> NDArray[np.uint8] | None:
    try:
        with Pillow.open(path) as picture:
            return np.asarray(picture.convert("RGB").resize((128, 128)))
    except (OSError, ValueError):
        return None


def read_ac3d(path: Path) -> Mesh:
    """Read an AC3D file; a face's colour is its material times its texture at the face's middle."""
    lines = path.read_text(errors="replace").splitlines()
    materials: list[tuple[float, float, float]] = []
    mesh, at = Mesh(), 0

    def node(turn: Points, shift: Points) -> None:
        nonlocal at
        name, texture, corners = "", None, np.zeros((0, 3))
        while at < len(lines):
            word, _, rest = lines[at].strip().partition(" ")
            at += 1
            if word == "name":
                name = rest.strip('"').lower()
            elif word == "data":
                at += 1
            elif word == "texture":
                texture = _texture(path.parent / rest.split('"')[1]) if '"' in rest else None
            elif word == "loc":
                shift = shift + turn @ np.array(rest.split()[:3], float)
            elif word == "rot":
                turn = turn @ np.array(rest.split()[:9], float).reshape(3, 3).T
            elif word == "numvert":
                n = int(rest)
                words = " ".join(lines[at : at + n]).split()
                corners = np.array(words, float).reshape(n, -1)[:, :3]
                corners = corners @ turn.T + shift
                at += n
            elif word == "SURF":
                kind, material = int(rest, 16) & 15, (1.0, 1.0, 1.0)
                while not lines[at].startswith("refs"):
                    if lines[at].startswith("mat"):
                        material = materials[int(lines[at].split()[1])]
                    at += 1
                n = int(lines[at].split()[1])
                refs = np.array([lines[at + 1 + i].split()[:3] for i in range(n)], float)
                at += 1 + n
                if kind == 0 and n >= 3 and not any(w in name for w in _NOT_THE_CRAFT):
                    mesh.add(
                        corners[refs[:, 0].astype(int)],
                        _colour(material, texture, refs[:, 1:].mean(0)),
                    )
            elif word == "kids":
                for _ in range(int(rest)):
                    at += 1  # the child's OBJECT line
                    node(turn, shift)
                return

    while at < len(lines) and not lines[at].startswith("OBJECT"):
        if lines[at].startswith("MATERIAL"):
            words = lines[at].split('"')[-1].split()
            materials.append((float(words[1]), float(words[2]), float(words[3])))
        at += 1
    at += 1
    node(np.eye(3), np.zeros(3))
    return mesh


def _colour(
    material: tuple[float, float, float], texture: NDArray[np.uint8] | None, uv: Points
) -> tuple[float, float, float]:
    if texture is None:
        return material[0] * 255, material[1] * 255, material[2] * 255
    h, w = texture.shape[:2]
    u, v = np.nan_to_num(uv) % 1.0
    r, g, b = texture[min(int((1 - v) * h), h - 1), min(int(u * w), w - 1)].astype(float)
    return r * material[0], g * material[1], b * material[2]
