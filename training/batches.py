"""Batches without end.

Batch number k is a function of the seed and k alone, so that a resumed run repeats nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import IterableDataset, get_worker_info

from training import augment, labels
from training.data import LARGE, Album, Scene, around, background, mistaken
from training.sprites import THING, Sprites

CLASS_SHARE = (0.33, 0.25, 0.24, 0.18)
CLASS_SHARE_LARGE = (0.6, 0.14, 0.13, 0.13)
"""By class, for scenes above data.LARGE pixels: only airplanes are seen that large here."""
THINGS_SHARE = 0.25
"""Of all scenes, those with an everyday thing pasted in that is no craft."""


@dataclass(frozen=True)
class Shape:
    """A batch shape and how often it is drawn."""

    side: int
    count: int
    share: float


Batch = tuple[Tensor, Tensor, Tensor]
"""Pictures BxSxSx3 uint8, boxes BxMx5 (class, x1 y1 x2 y2; class -1 pads), ignored regions BxJx4
(empty ones pad); M and J are multiples of ROWS, so that there are few different shapes."""
ROWS = 8


def compose(album: Album, sprites: Sprites | None, rng: np.random.Generator, side: int) -> Scene:
    """Make one training scene."""
    draw = rng.random()
    if draw < (0.6 if side > LARGE else 0.5):
        classes = CLASS_SHARE_LARGE if side > LARGE else CLASS_SHARE
        scene = around(album, rng, int(rng.choice(4, p=classes)), side)
        pastes = int(rng.choice((0, 1, 2), p=(0.45, 0.35, 0.2)))
    elif draw < 0.7:
        mined = album.alarms and rng.random() < 0.5
        scene = (mistaken if mined else background)(album, rng, side)
        pastes = 0
    else:
        real = rng.random() < 0.45
        scene = background(album, rng, side) if real else Scene(augment.sky(rng, side))
        pastes = int(rng.choice((0, 1, 2, 3, 5), p=(0.05, 0.2, 0.3, 0.25, 0.2)))
    if not scene.image.flags.writeable:
        scene.image = scene.image.copy()
    if sprites is not None and rng.random() < THINGS_SHARE:
        sprites.paste(scene, rng, THING)
    for _ in range(pastes):
        cls = int(rng.choice(4, p=CLASS_SHARE))
        if sprites is not None and rng.random() < 0.7:
            sprites.paste(scene, rng, cls)
        else:
            augment.paste_cutout(scene, album, rng, cls)
    if rng.random() < 0.25:
        augment.confusers(scene, rng)
    if rng.random() < 0.5:
        augment.flip(scene)
    if rng.random() < 0.65:
        scene.image = augment.damage(scene.image, rng)
    return scene


def targets(scene: Scene) -> tuple[Tensor, Tensor]:
    """Give a scene's boxes with the margin to learn, and its ignored regions."""
    side = scene.image.shape[0]
    boxes = np.array(scene.boxes, np.float32).reshape(-1, 4)
    grown = labels.with_margin(boxes, np.array(scene.shares, np.float32))
    grown = grown.clip(-10, side + 10)
    rows = np.concatenate((np.array(scene.classes, np.float32)[:, None].reshape(-1, 1), grown), 1)
    return torch.from_numpy(rows), torch.from_numpy(
        np.array(scene.ignored, np.float32).reshape(-1, 4)
    )


def padded(rows: list[Tensor], value: float) -> Tensor:
    """Stack BxMxC from B tensors of up to M rows of C, the rest filled with `value`."""
    most = max(1, *map(len, rows))
    shape = (len(rows), -(-most // ROWS) * ROWS, rows[0].shape[1])
    out = torch.full(shape, value, dtype=rows[0].dtype)
    for row, some in zip(out, rows, strict=True):
        row[: len(some)] = some
    return out


class Batches(IterableDataset[Batch]):
    """Endless training batches from number `first` on."""

    def __init__(
        self,
        root: Path,
        cache: Path,
        sprites: Path | None,
        shapes: list[Shape],
        *,
        seed: int,
        first: int = 0,
    ) -> None:
        self.root, self.cache, self.sprite_file = root, cache, sprites
        self.shapes, self.seed, self.first = shapes, seed, first

    def make(self, number: int, album: Album, sprites: Sprites | None) -> Batch:
        """Make batch `number`."""
        rng = np.random.default_rng((self.seed, number))
        share = np.array([s.share for s in self.shapes])
        shape = self.shapes[int(rng.choice(len(self.shapes), p=share / share.sum()))]
        scenes = [compose(album, sprites, rng, shape.side) for _ in range(shape.count)]
        rows = [targets(s) for s in scenes]
        images = torch.from_numpy(np.stack([s.image for s in scenes]))
        return images, padded([r[0] for r in rows], -1), padded([r[1] for r in rows], 0)

    def __iter__(self) -> Iterator[Batch]:
        """Yield this worker's share of the batches."""
        cv2.setNumThreads(0)
        info = get_worker_info()
        step, shift = (info.num_workers, info.id) if info else (1, 0)
        album = Album(self.root, "train", self.cache)
        sprites = (
            Sprites(self.sprite_file) if self.sprite_file and self.sprite_file.exists() else None
        )
        number = self.first + shift
        while True:
            yield self.make(number, album, sprites)
            number += step
