"""What weather, cameras and clutter do to a picture: skies, paste-ups, confusers, damage."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from training.data import Album, Image, Scene, window
from training.labels import Floats

Rng = np.random.Generator


def noise_field(
    rng: Rng, side: int, coarsest: int = 3, octaves: int = 5, decay: float = 0.55
) -> Floats:
    """Give value noise in 0..1, side x side: octaves of random grids, enlarged smoothly."""
    total = np.zeros((side, side), np.float32)
    weight, norm = 1.0, 0.0
    for octave in range(octaves):
        cells = coarsest * 2**octave
        if cells >= side:
            break
        grid = rng.random((cells, max(2, int(cells * rng.uniform(0.6, 1.6)))), np.float32)
        total += weight * cv2.resize(grid, (side, side), interpolation=cv2.INTER_CUBIC)
        norm, weight = norm + weight, weight * decay
    return np.clip(total / norm, 0, 1)


def sky(rng: Rng, side: int) -> Image:
    """Paint a sky: clear, hazy, clouded, overcast, sunset or night."""
    kind = rng.choice(6, p=(0.3, 0.15, 0.25, 0.15, 0.08, 0.07))
    blue = np.array([rng.uniform(60, 140), rng.uniform(110, 180), rng.uniform(170, 240)])
    pale = np.array([rng.uniform(150, 220), rng.uniform(175, 225), rng.uniform(190, 240)])
    cloud = np.full(3, rng.uniform(190, 250)) + rng.uniform(-10, 10, 3)
    if kind == 1:
        blue = pale * rng.uniform(0.85, 1.0)
    if kind == 3:
        level = rng.uniform(90, 220)
        blue, pale = (
            np.full(3, level) + rng.uniform(-8, 8, 3),
            np.full(3, level * rng.uniform(0.9, 1.15)),
        )
        cloud = np.full(3, level * rng.uniform(0.6, 1.1))
    if kind == 4:
        blue = np.array([rng.uniform(60, 150), rng.uniform(60, 110), rng.uniform(90, 160)])
        pale = np.array([rng.uniform(220, 255), rng.uniform(120, 190), rng.uniform(50, 120)])
        cloud = np.array([rng.uniform(80, 250), rng.uniform(60, 150), rng.uniform(60, 140)])
    if kind == 5:
        blue, pale = rng.uniform(2, 25, 3), rng.uniform(5, 50, 3)
        cloud = rng.uniform(15, 70, 3)
    ramp = np.linspace(rng.uniform(-0.3, 0.5), rng.uniform(0.5, 1.3), side, dtype=np.float32).clip(
        0, 1
    )
    canvas = blue[None, None] + (pale - blue)[None, None] * ramp[:, None, None]
    canvas = np.broadcast_to(canvas, (side, side, 3)).astype(np.float32)
    if kind in (2, 3, 4, 5) or rng.random() < 0.3:
        cover = noise_field(rng, side, int(rng.integers(2, 7)), decay=rng.uniform(0.4, 0.65))
        low = rng.uniform(0.35, 0.65)
        mask = np.clip((cover - low) / rng.uniform(0.05, 0.4), 0, 1)[..., None]
        shade = 1 - rng.uniform(0, 0.5) * noise_field(rng, side, 4)[..., None]
        canvas = canvas * (1 - mask) + cloud[None, None] * shade * mask
    return np.clip(canvas, 0, 255).astype(np.uint8)


def cutout(album: Album, rng: Rng, cls: int) -> tuple[Floats, Floats] | None:
    """Take a clip object as its ratio to the sky around it (h x w x 3), and its tight box there.

    A ratio keeps haze, blur and compression of the real picture and can be multiplied onto any
    other sky. None where the surroundings are not plain sky.
    """
    clips = [c for c in album.by_class[cls] if c.startswith("V_")]
    group = album.by_class[cls][clips[rng.integers(len(clips))]]
    number, k = group[rng.integers(len(group))]
    box = album.pictures[number].xyxy[k]
    x1, y1, x2, y2 = (int(v) for v in (box[0] - 9, box[1] - 9, box[2] + 10, box[3] + 10))
    image = album.image(number)
    if x1 < 0 or y1 < 0 or x2 > image.shape[1] or y2 > image.shape[0]:
        return None
    patch = image[y1:y2, x1:x2].astype(np.float32) + 2
    rim = np.concatenate((patch[0], patch[-1], patch[:, 0], patch[:, -1]))
    middle = np.median(rim, 0)
    if np.percentile(np.abs(rim - middle).max(1), 90) > 14 or middle.min() < 25:
        return None
    ratio = patch / middle
    fade_y = np.minimum(np.arange(y2 - y1), np.arange(y2 - y1)[::-1])
    fade_x = np.minimum(np.arange(x2 - x1), np.arange(x2 - x1)[::-1])
    fade = (np.minimum(fade_y[:, None], fade_x[None]) / 5).clip(0, 1).astype(np.float32)[..., None]
    return 1 + (ratio - 1) * fade, box - np.array([x1, y1, x1, y1], np.float32)


def paste_cutout(scene: Scene, album: Album, rng: Rng, cls: int) -> None:
    """Multiply a real craft onto a scene, flipped, turned a little and rescaled."""
    taken = cutout(album, rng, cls)
    if taken is None:
        return
    ratio, box = taken
    if rng.random() < 0.5:
        ratio = np.ascontiguousarray(ratio[:, ::-1])
        box = np.array(
            [ratio.shape[1] - box[2], box[1], ratio.shape[1] - box[0], box[3]], np.float32
        )
    scale = float(np.exp(rng.uniform(np.log(0.5), np.log(1.6))))
    h, w = max(4, round(ratio.shape[0] * scale)), max(4, round(ratio.shape[1] * scale))
    side = scene.image.shape[0]
    if h >= side or w >= side:
        return
    mode = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    ratio = cv2.resize(ratio, (w, h), interpolation=mode)
    contrast = rng.uniform(0.7, 1.6)
    ratio = (1 + (ratio - 1) * contrast).clip(0.05, 3)
    x, y = int(rng.integers(0, side - w)), int(rng.integers(0, side - h))
    if not free(scene, (x, y, x + w, y + h)):
        return
    region = scene.image[y : y + h, x : x + w].astype(np.float32)
    scene.image[y : y + h, x : x + w] = np.clip(region * ratio, 0, 255).astype(np.uint8)
    bx = box * scale
    scene.add(cls, (x + bx[0], y + bx[1], x + bx[2], y + bx[3]))


def free(scene: Scene, box: tuple[float, float, float, float]) -> bool:
    """Tell whether a box touches none of the scene's objects (with some air between)."""
    return all(
        box[0] > b[2] + 8 or box[2] < b[0] - 8 or box[1] > b[3] + 8 or box[3] < b[1] - 8
        for b in [*scene.boxes, *scene.ignored]
    )


def _overlay(image: Image, mask: Floats, colour: NDArray[np.float64], alpha: float) -> None:
    """Blend one colour through a soft mask HxW in 0..1, in place."""
    a = (mask * alpha)[..., None]
    image[:] = np.clip(image * (1 - a) + colour * a, 0, 255).astype(np.uint8)


def confusers(scene: Scene, rng: Rng) -> None:
    """Draw what is no craft: wires, poles, insects, drops, flare, balloons, smoke, twigs, dust."""
    image = scene.image
    side = image.shape[0]
    for _ in range(int(rng.integers(1, 4))):
        kind = int(rng.integers(0, 9))
        mask = np.zeros((side, side), np.float32)
        dark = rng.uniform(0, 90, 3) if rng.random() < 0.7 else rng.uniform(120, 255, 3)
        x, y = (float(v) for v in rng.uniform(0, side, 2))
        alpha = float(rng.uniform(0.4, 1.0))
        if kind == 0:  # wires, straight or sagging
            for _ in range(int(rng.integers(1, 4))):
                ends = rng.uniform(-0.2 * side, 1.2 * side, 2)
                t = np.linspace(0, 1, 24)
                ys = (
                    ends[0] + (ends[1] - ends[0]) * t + rng.uniform(0, 0.2) * side * 4 * t * (1 - t)
                )
                line = np.stack((t * side, ys), 1)
                cv2.polylines(
                    mask,
                    [np.round(line * 8).astype(np.int32)],
                    False,
                    1.0,
                    int(rng.integers(1, 3)),
                    cv2.LINE_AA,
                    3,
                )
        elif kind == 1:  # pole, mast or lamp
            width = int(rng.integers(1, 8))
            cv2.line(
                mask, (int(x), int(y)), (int(x + rng.uniform(-6, 6)), side), 1.0, width, cv2.LINE_AA
            )
            if rng.random() < 0.5:
                cv2.line(
                    mask, (int(x - 4 * width), int(y)), (int(x + 4 * width), int(y)), 1.0, width
                )
        elif kind == 2:  # insect close to the lens: a soft streak or blob
            axes = (float(rng.uniform(1, 8)), float(rng.uniform(1, 3)))
            cv2.ellipse(
                mask, ((x, y), (axes[0] * 2, axes[1] * 2), float(rng.uniform(0, 180))), 1.0, -1
            )
            mask = cv2.GaussianBlur(mask, (0, 0), float(rng.uniform(1.2, 4)))
            mask /= max(float(mask.max()), 1e-3)
            alpha *= 0.7
        elif kind == 3:  # rain drop on the lens
            r = float(rng.uniform(6, 40))
            cv2.circle(mask, (int(x), int(y)), int(r), 1.0, -1, cv2.LINE_AA)
            soft = cv2.GaussianBlur(image, (0, 0), r / 4)
            a = cv2.GaussianBlur(mask, (0, 0), r / 6)[..., None]
            image[:] = (
                image * (1 - a) + np.clip(soft * rng.uniform(0.85, 1.2), 0, 255) * a
            ).astype(np.uint8)
            continue
        elif kind == 4:  # flare: bright discs on a line, or a glowing sun
            dark = np.array([255, rng.uniform(200, 255), rng.uniform(150, 255)])
            for _ in range(int(rng.integers(1, 5))):
                r = float(rng.uniform(2, 25))
                cv2.circle(
                    mask, (int(x), int(y)), int(r), float(rng.uniform(0.3, 1)), -1, cv2.LINE_AA
                )
                x, y = x + (side / 2 - x) * 0.4, y + (side / 2 - y) * 0.4
            mask = cv2.GaussianBlur(mask, (0, 0), float(rng.uniform(0.5, 8)))
        elif kind == 5:  # balloon or kite
            dark = rng.uniform(0, 255, 3)
            r = float(rng.uniform(2, 22))
            if rng.random() < 0.6:
                cv2.ellipse(
                    mask,
                    ((x, y), (2 * r, 2 * r * float(rng.uniform(1, 1.3))), 0.0),
                    1.0,
                    -1,
                    cv2.LINE_AA,
                )
                cv2.line(
                    mask, (int(x), int(y + r)), (int(x), int(y + 2.4 * r)), 0.6, 1, cv2.LINE_AA
                )
            else:
                corners = np.array([[0, -1.4], [0.8, 0], [0, 1], [-0.8, 0]]) * r + (x, y)
                cv2.fillPoly(mask, [corners.astype(np.int32)], 1.0, cv2.LINE_AA)
        elif kind == 6:  # smoke or a shred of cloud
            mask = noise_field(rng, side, 4) ** 2
            bell = (
                np.exp(-(((np.arange(side) - x) / 30) ** 2))[None]
                * np.exp(-(((np.arange(side) - y) / 15) ** 2))[:, None]
            )
            mask = (mask * bell * 2).clip(0, 1).astype(np.float32)
            dark = np.full(3, rng.uniform(60, 250))
        elif kind == 7:  # branches reaching in from an edge
            for _ in range(int(rng.integers(2, 7))):
                p = np.array([x, side if rng.random() < 0.7 else 0.0])
                angle = rng.uniform(-2.4, -0.7)
                for _ in range(int(rng.integers(4, 10))):
                    q = p + np.array([np.cos(angle), np.sin(angle)]) * rng.uniform(5, 20)
                    cv2.line(
                        mask,
                        (int(p[0]), int(p[1])),
                        (int(q[0]), int(q[1])),
                        1.0,
                        int(rng.integers(1, 3)),
                        cv2.LINE_AA,
                    )
                    p, angle = q, angle + rng.uniform(-0.6, 0.6)
        else:  # dust on the sensor, dead pixels, specks
            for _ in range(int(rng.integers(1, 6))):
                spot = rng.uniform(0, side, 2).astype(int)
                cv2.circle(mask, (int(spot[0]), int(spot[1])), int(rng.integers(0, 2)), 1.0, -1)
            if rng.random() < 0.5:
                mask = cv2.GaussianBlur(mask, (0, 0), 0.6)
            alpha *= 0.6
        for x1, y1, x2, y2 in scene.boxes:  # never draw over a craft: its label must stay true
            mask[max(0, int(y1 - 2)) : int(y2 + 3), max(0, int(x1 - 2)) : int(x2 + 3)] = 0
        _overlay(image, mask, dark, alpha)


def damage(image: Image, rng: Rng) -> Image:
    """Change light, colour, sharpness, grain and compression, each now and then."""
    out = image.astype(np.float32)
    if rng.random() < 0.8:
        out *= rng.uniform(0.55, 1.45)
        mean = out.mean()
        out = (out - mean) * rng.uniform(0.6, 1.4) + mean
    if rng.random() < 0.5:
        out *= rng.uniform(0.85, 1.15, 3).astype(np.float32)
    if rng.random() < 0.35:
        out = 255 * (np.clip(out, 0, 255) / 255) ** np.float32(np.exp(rng.uniform(-0.5, 0.5)))
    if rng.random() < 0.4:
        grey = out @ np.array([0.299, 0.587, 0.114], np.float32)
        out = grey[..., None] + (out - grey[..., None]) * np.float32(
            0 if rng.random() < 0.25 else rng.uniform(0.3, 1.7)
        )
    if rng.random() < 0.1:  # haze: towards a pale veil
        veil = rng.uniform(120, 230)
        out += (veil - out) * np.float32(rng.uniform(0.1, 0.5))
    if rng.random() < 0.05:  # night or deep dusk
        out *= np.float32(rng.uniform(0.12, 0.4))
    if (
        rng.random() < 0.05
    ):  # other colour orders and thermal-like inversions keep it from trusting the sky's blue
        out = out[..., ::-1] if rng.random() < 0.7 else 255 - out
    draw = rng.random()
    if draw < 0.15:
        out = cv2.GaussianBlur(out, (0, 0), float(rng.uniform(0.3, 1.1)))
    elif draw < 0.2:
        length = int(rng.integers(2, 6))
        kernel = np.zeros((length, length), np.float32)
        kernel[length // 2] = 1
        turn = cv2.getRotationMatrix2D(
            ((length - 1) / 2, (length - 1) / 2), float(rng.uniform(0, 180)), 1
        )
        kernel = cv2.warpAffine(kernel, turn, (length, length))
        out = cv2.filter2D(out, -1, kernel / max(float(kernel.sum()), 1e-3))
    elif draw < 0.3:  # over-sharpened, as cheap cameras do
        out += (out - cv2.GaussianBlur(out, (0, 0), 1.0)) * np.float32(rng.uniform(0.3, 1.5))
    if rng.random() < 0.35:
        grain = rng.standard_normal((*out.shape[:2], 1 if rng.random() < 0.5 else 3), np.float32)
        out += grain * np.float32(rng.uniform(1, 9))
    done = np.clip(out, 0, 255).astype(np.uint8)
    if rng.random() < 0.4:
        quality = int(rng.uniform(25, 92))
        _, code = cv2.imencode(".jpg", done, [cv2.IMWRITE_JPEG_QUALITY, quality])
        done = cv2.imdecode(code, cv2.IMREAD_COLOR)
    return np.ascontiguousarray(done)


def flip(scene: Scene) -> None:
    """Mirror a scene left to right."""
    side = scene.image.shape[1]
    scene.image = np.ascontiguousarray(scene.image[:, ::-1])
    scene.boxes = [(side - b[2], b[1], side - b[0], b[3]) for b in scene.boxes]
    scene.ignored = [(side - b[2], b[1], side - b[0], b[3]) for b in scene.ignored]


__all__ = [
    "confusers",
    "cutout",
    "damage",
    "flip",
    "free",
    "noise_field",
    "paste_cutout",
    "sky",
    "window",
]
