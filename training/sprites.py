"""A bank of rendered craft (see render.py) and how one is put into a scene."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from training.augment import Rng, free
from training.data import Image, Scene
from training.labels import BIRD

THING = 4
"""In a bank, behind the classes: everyday things, pasted without a label."""


class Sprites:
    """Rendered craft: WebP-coded RGBA pictures by class, with their tight boxes."""

    def __init__(self, path: Path) -> None:
        bank = np.load(path)
        self.codes = bank["codes"]
        ends = np.cumsum(bank["lengths"])
        self.spans = list(zip(ends - bank["lengths"], ends, strict=True))
        self.boxes = bank["boxes"]
        self.by_class = [np.flatnonzero(bank["classes"] == c) for c in range(THING + 1)]

    def load(self, number: int) -> Image:
        """Give one sprite HxWx4 (RGB and opacity)."""
        first, last = self.spans[number]
        picture = cv2.imdecode(self.codes[first:last], cv2.IMREAD_UNCHANGED)
        return cv2.cvtColor(picture, cv2.COLOR_BGRA2RGBA)

    def paste(self, scene: Scene, rng: Rng, cls: int) -> None:
        """Put a craft somewhere free into a scene, hazed and blurred as distance does."""
        side = scene.image.shape[0]
        if not len(self.by_class[cls]):  # made without AC3D models, or without stamps
            return
        number = int(rng.choice(self.by_class[cls]))
        sprite, box = self.load(number), self.boxes[number]
        if rng.random() < 0.5:
            sprite = sprite[:, ::-1]
            box = np.array([sprite.shape[1] - box[2], box[1], sprite.shape[1] - box[0], box[3]])
        largest = min(0.8 * side, 2 * max(sprite.shape[:2]))
        extent = (
            float(np.exp(rng.uniform(np.log(7), np.log(80))))
            if rng.random() < 0.75
            else float(np.exp(rng.uniform(np.log(40), np.log(max(41, largest)))))
        )
        scale = extent / max(box[2] - box[0], box[3] - box[1])
        w, h = max(2, round(sprite.shape[1] * scale)), max(2, round(sprite.shape[0] * scale))
        pad = 4
        if w + 2 * pad >= side or h + 2 * pad >= side:
            return
        x, y = int(rng.integers(0, side - w - 2 * pad)), int(rng.integers(0, side - h - 2 * pad))
        if not free(scene, (x, y, x + w + 2 * pad, y + h + 2 * pad)):
            return
        colour = sprite.astype(np.float32)
        opacity = colour[..., 3:] / 255
        colour = colour[..., :3] * opacity
        mode = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        both = cv2.resize(np.concatenate((colour, opacity), 2), (w, h), interpolation=mode)
        both = cv2.copyMakeBorder(both, pad, pad, pad, pad, cv2.BORDER_CONSTANT, value=(0, 0, 0, 0))
        if rng.random() < 0.8:
            both = cv2.GaussianBlur(both, (0, 0), float(rng.uniform(0.3, 0.9)))
        opacity = both[..., 3:]
        region = scene.image[y : y + h + 2 * pad, x : x + w + 2 * pad].astype(np.float32)
        air = np.median(region.reshape(-1, 3), 0)
        light = np.clip(
            air.mean() / 160, 0.12, 1.3
        )  # a craft is about as bright as its surroundings let it be
        painted = both[..., :3] * light * rng.uniform(0.7, 1.2)
        if rng.random() < 0.35:  # backlit: nearly a silhouette
            painted = painted * rng.uniform(0.1, 0.5)
        haze = rng.uniform(0, 0.55) if extent < 60 else rng.uniform(0, 0.25)
        painted = painted * (1 - haze) + air * opacity * haze
        strength = 1.0 if extent > 40 else rng.uniform(0.6, 1.0)
        scene.image[y : y + h + 2 * pad, x : x + w + 2 * pad] = np.clip(
            region * (1 - opacity * strength) + painted * strength, 0, 255
        ).astype(np.uint8)
        if cls == THING:
            return
        if cls != BIRD and air.mean() < 60 and rng.random() < 0.7:
            self._lamps(scene, rng, x + pad, y + pad, w, h)
        bx = box * scale + pad
        scene.add(cls, (float(x + bx[0]), float(y + bx[1]), float(x + bx[2]), float(y + bx[3])))

    @staticmethod
    def _lamps(  # noqa: PLR0917 - a place
        scene: Scene, rng: Rng, x: int, y: int, w: int, h: int
    ) -> None:
        """Light red, green and white lamps on a craft at night."""
        glow = np.zeros(scene.image.shape, np.float32)
        for colour in ((255, 40, 30), (40, 255, 80), (255, 255, 255), (255, 250, 220))[
            : int(rng.integers(1, 5))
        ]:
            spot = (int(x + rng.uniform(0.1, 0.9) * w), int(y + rng.uniform(0.2, 0.8) * h))
            cv2.circle(glow, spot, int(rng.integers(0, 2)), colour, -1, cv2.LINE_AA)
        glow = cv2.GaussianBlur(glow, (0, 0), float(rng.uniform(0.5, 1.4))) * rng.uniform(0.8, 2)
        scene.image[:] = np.clip(scene.image + glow, 0, 255).astype(np.uint8)
