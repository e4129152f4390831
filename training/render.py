"""Render a bank of craft sprites: `python -m training.render --aircraft DIR --out sprites.npz`.

`--aircraft` is the folder `AI/Aircraft` of Debian's `flightgear-data-ai` (GPL-2+, about 100 types
as AC3D files). It is used for rendering while training only; neither the models nor the pictures
are passed on. Without it airplanes are left to the photographs, while helicopters, drones and
birds are built from numbers (craft.py). `--stamps` is the folder of Debian's
`tuxpaint-stamps-default` (GPL-2, cut-out photographs), used in the same way: its birds as birds,
everything else as things that are no craft.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from training import labels
from training.ac3d import read_ac3d
from training.craft import bird, drone, helicopter
from training.data import Image
from training.mesh import Mesh, Rng, paint
from training.sprites import THING

SIDE = 256
OVERSAMPLE = 2
BIRD_SIDE, BIRD_LEANS, THING_SIDE = 160, 4, 96
_FLYING_THINGS = ("flight", "plane", "copter", "rocket", "shuttle", "kite", "bird.", "symbols")
_SKIP = ("balloon", "ferry", "bluebird", "lights", "spaceshuttle")


def turn(yaw: float, pitch: float, roll: float) -> np.ndarray:
    """Give the rotation matrix for an attitude in radians (y is up)."""
    cy, sy, cp, sp, cr, sr = (
        np.cos(yaw),
        np.sin(yaw),
        np.cos(pitch),
        np.sin(pitch),
        np.cos(roll),
        np.sin(roll),
    )
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cp, -sp, 0], [sp, cp, 0], [0, 0, 1]])
    about_x = np.array([[1, 0, 0], [0, cr, -sr], [0, sr, cr]])
    return about_y @ about_z @ about_x


def render(mesh: Mesh, rng: Rng, cls: int) -> tuple[Image, np.ndarray] | None:
    """Draw a mesh as a spotter sees it: any heading, from below more often than from the side.

    Painter's algorithm, orthographic (craft are far), Lambert light from a random sun plus a sky
    brighter above. Gives HxWx4 (RGB, opacity) and the box x1 y1 x2 y2 of its opaque pixels, or
    None where nothing is to be seen.
    """
    calm = cls in {labels.DRONE, labels.HELICOPTER}
    attitude = turn(
        rng.uniform(0, 2 * np.pi), rng.normal(0, 0.15), rng.normal(0, 0.15 if calm else 0.4)
    )
    elevation = rng.uniform(-0.1, 0.5) if rng.random() < 0.55 else rng.uniform(0.3, 1.35)
    lean = np.array(
        [
            [1, 0, 0],
            [0, np.cos(elevation), np.sin(elevation)],
            [0, -np.sin(elevation), np.cos(elevation)],
        ]
    )
    counts = np.array([len(f) for f in mesh.faces])
    flat = np.concatenate(mesh.faces)
    world = flat @ attitude.T
    seen = world @ lean.T
    low, high = seen.min(0), seen.max(0)
    scale = SIDE * OVERSAMPLE / max(float((high - low)[:2].max()), 1e-6)
    xy = (seen[:, :2] - low[:2]) * scale
    xy[:, 1] = (high[1] - low[1]) * scale - xy[:, 1]
    size = np.ceil(xy.max(0)).astype(int) + 3
    starts = np.concatenate(([0], np.cumsum(counts)[:-1]))
    depth = np.add.reduceat(seen[:, 2], starts) / counts
    a, b = world[starts + 1] - world[starts], world[starts + 2] - world[starts]
    normal = np.cross(a, b)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True) + 1e-12
    outward = (
        normal * np.sign(normal @ lean[2])[:, None]
    )  # towards the viewer: files wind faces either way
    sun = np.array([rng.normal(), abs(rng.normal()) + 0.3, rng.normal()])
    sun /= np.linalg.norm(sun)
    light = (
        rng.uniform(0.4, 0.65)
        + 0.2 * outward[:, 1]
        + rng.uniform(0.2, 0.8) * np.clip(outward @ sun, 0, None)
    )
    colour = np.array(mesh.colours) * light[:, None]
    if cls == labels.AIRPLANE and rng.random() < 0.35:  # repaint: the stock liveries are few
        new = np.array(paint(rng))
        colour = (colour.mean(1, keepdims=True) / 255 * 1.2) * new
    colour = np.clip(colour, 0, 255)
    canvas = np.zeros((size[1], size[0], 4), np.uint8)
    corners = np.round((xy + 1) * 8).astype(np.int32)
    glassy = []
    for i in np.argsort(depth):
        polygon = corners[starts[i] : starts[i] + counts[i]]
        if mesh.opacity[i] < 1:
            glassy.append((polygon, colour[i], mesh.opacity[i]))
            continue
        r, g, b_ = colour[i]
        cv2.fillPoly(canvas, [polygon], (r, g, b_, 255), cv2.LINE_8, 3)
    for polygon, tint, alpha in glassy:
        mask = np.zeros(canvas.shape[:2], np.uint8)
        cv2.fillPoly(mask, [polygon], 255, cv2.LINE_8, 3)
        a_ = (mask.astype(np.float32) / 255 * alpha)[..., None]
        old = canvas[..., 3:].astype(np.float32) / 255
        total = a_ + old * (1 - a_)
        rgb = (tint * a_ + canvas[..., :3] * old * (1 - a_)) / np.maximum(total, 1e-6)
        canvas = np.concatenate((rgb, total * 255), 2).clip(0, 255).astype(np.uint8)
    premultiplied = canvas.astype(np.float32)
    premultiplied[..., :3] *= premultiplied[..., 3:] / 255
    small = cv2.resize(
        premultiplied,
        (max(2, size[0] // OVERSAMPLE), max(2, size[1] // OVERSAMPLE)),
        interpolation=cv2.INTER_AREA,
    )
    rows, columns = np.nonzero(small[..., 3] > 60)  # a faint rotor disc does not widen the box
    if len(rows) < 40:
        return None
    box = np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1], np.float32)
    small[..., :3] /= np.maximum(small[..., 3:] / 255, 1e-3)
    return small.clip(0, 255).astype(np.uint8), box


def airplanes(folder: Path) -> list[Path]:
    """Find one model file an aircraft type: the largest AC3D file in each folder."""
    best: dict[str, Path] = {}
    for path in sorted(folder.rglob("*.ac")):
        kind = path.relative_to(folder).parts[0]
        if any(w in str(path.relative_to(folder)).lower() for w in _SKIP):
            continue
        if kind not in best or path.stat().st_size > best[kind].stat().st_size:
            best[kind] = path
    return [p for p in best.values() if p.stat().st_size > 20_000]


def stamps(folder: Path, rng: Rng) -> Iterator[tuple[Image, np.ndarray, int]]:
    """Give cut-out photographs as sprites: each bird leaning in some ways, each thing once."""
    for path in sorted(folder.rglob("*.png")):
        name = str(path.relative_to(folder)).lower()
        picture = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        if picture is None or picture.ndim < 3 or picture.shape[2] < 4:
            continue
        if "cartoon" in name or any(w in name for w in _FLYING_THINGS):
            continue
        bird = name.startswith("animals/birds/")
        scale = min(1.0, (BIRD_SIDE if bird else THING_SIDE) / max(picture.shape[:2]))
        small = cv2.resize(picture, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        for angle in rng.uniform(-35, 35, BIRD_LEANS) if bird else (0.0,):
            h, w = small.shape[:2]
            turned = cv2.getRotationMatrix2D((w / 2, h / 2), float(angle), 0.8 if bird else 1.0)
            leant = cv2.warpAffine(small, turned, (w, h), flags=cv2.INTER_AREA)
            rows, columns = np.nonzero(leant[..., 3] > 60)
            if len(rows) >= 40:
                box = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
                sprite = cv2.cvtColor(leant, cv2.COLOR_BGRA2RGBA)
                yield sprite, np.array(box, np.float32), labels.BIRD if bird else THING


def bank(
    aircraft: Path | None, out: Path, each: int, seed: int = 7, photographs: Path | None = None
) -> None:
    """Render about `each` sprites a class into an .npz file, and add cut-out photographs."""
    rng = np.random.default_rng(seed)
    codes: list[np.ndarray] = []
    boxes: list[np.ndarray] = []
    classes: list[int] = []

    def keep(sprite: Image, box: np.ndarray, cls: int) -> None:
        boxes.append(box)
        colours = cv2.cvtColor(sprite, cv2.COLOR_RGBA2BGRA)
        _, code = cv2.imencode(".webp", colours, [cv2.IMWRITE_WEBP_QUALITY, 88])
        codes.append(code.ravel())
        classes.append(cls)

    def draw(mesh: Mesh, cls: int) -> None:
        made = render(mesh, rng, cls)
        if made is not None:
            keep(*made, cls)

    files = airplanes(aircraft) if aircraft else []
    for path in files:
        try:
            mesh = read_ac3d(path)
        except (ValueError, IndexError) as error:
            print(f"{path.name}: left out, {error}")
            continue
        if len(mesh.faces) < 50:  # an empty shell
            continue
        for _ in range(max(1, each // len(files))):
            draw(mesh, labels.AIRPLANE)
    for cls, build in ((labels.HELICOPTER, helicopter), (labels.DRONE, drone), (labels.BIRD, bird)):
        for _ in range(each):
            draw(build(rng), cls)
    for sprite, box, cls in stamps(photographs, rng) if photographs else ():
        keep(sprite, box, cls)
    part = out.with_name(out.name + ".part.npz")
    np.savez(
        part,
        codes=np.concatenate(codes),
        lengths=np.array([len(c) for c in codes]),
        classes=np.array(classes),
        boxes=np.stack(boxes),
    )
    part.replace(out)


def main() -> None:
    """Render the bank."""
    parser = argparse.ArgumentParser(prog="training.render", description=__doc__)
    parser.add_argument("--aircraft", type=Path, help="AI/Aircraft of flightgear-data-ai")
    parser.add_argument("--stamps", type=Path, help="stamps of tuxpaint-stamps-default")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--each", type=int, default=700, help="sprites a class")
    parser.add_argument("--seed", type=int, default=7)
    args = parser.parse_args()
    bank(args.aircraft, args.out, args.each, args.seed, args.stamps)


if __name__ == "__main__":
    main()
