"""The pictures: read once into a flat cache of raw pixels, then cut into training scenes.

A scene is a square picture at the network's input scale with its boxes. Three kinds are mixed:
real crops around a labelled object, real crops without any (hard negatives), and skies or
landscapes onto which cut-out or rendered craft are pasted. Objects are drawn by class, then by
clip, then by frame, because frames of one clip are nearly alike.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from training import labels
from training.labels import Floats

Image = NDArray[np.uint8]
CORRECTIONS = Path(__file__).with_name("corrections")
"""What the data set's labels lack, found by eye: see corrections.py."""
PHOTOGRAPHS, PHOTOGRAPHS_LARGE = 0.3, 0.7
"""Share of a class's scenes cut from Caltech and COCO pictures, where it occurs in them; more in
large scenes, because large craft fit nowhere else."""
LARGE = 400
GREY = 114
"""Letterbox padding; crops that run over a picture's edge are filled with it too."""


def corrected(coco: dict[str, Any], split: str) -> dict[str, Any]:
    """Add to a split's annotations what they lack (see corrections.py)."""
    path = CORRECTIONS / f"{split}.json"
    lacking = json.loads(path.read_text())
    for entry in coco["images"]:
        extra = lacking.get(entry["file_name"], {})
        entry |= {key: extra.get(key, []) for key in ("ignored", "alarms")}
        for cls, *bbox in extra.get("boxes", []):
            note = {"id": len(coco["annotations"]) + 1, "image_id": entry["id"], "iscrowd": 0}
            note |= {"category_id": cls, "bbox": bbox, "area": bbox[2] * bbox[3]}
            coco["annotations"].append(note)
    return coco


def _corners(xywh: list[list[float]]) -> Floats:
    boxes = np.array(xywh, np.float32).reshape(-1, 4)
    return np.concatenate((boxes[:, :2], boxes[:, :2] + boxes[:, 2:]), 1)


@dataclass
class Picture:
    """One picture of the data set: where its pixels lie in the cache, its source and its boxes."""

    name: str
    height: int
    width: int
    offset: int
    clip: str
    classes: NDArray[np.int64]
    xyxy: Floats
    """Boxes around the object itself (the clips' margin taken off), Nx4 in the picture's pixels."""
    ignored: Floats
    """Regions where something may be that nobody could name, xyxy Jx4."""
    alarms: Floats
    """What an earlier network took for a craft and is none, xyxy Ax4."""

    @property
    def from_clip(self) -> bool:
        """Whether it comes from the loosely labelled clips."""
        return self.name.startswith("V_")


@dataclass
class Scene:
    """A training picture and what is known about it. Boxes are tight; the margin is added last."""

    image: Image
    classes: list[int] = field(default_factory=list)
    boxes: list[tuple[float, float, float, float]] = field(default_factory=list)
    shares: list[float] = field(default_factory=list)
    """Share of the standard margin per box: 1 for clips and paste-ups, less for tight sources."""
    ignored: list[tuple[float, float, float, float]] = field(default_factory=list)

    def add(self, cls: int, box: tuple[float, float, float, float], share: float = 1.0) -> None:
        """Add one labelled object."""
        self.classes.append(cls)
        self.boxes.append(box)
        self.shares.append(share)


class Album:
    """A split of the data set in memory-mapped raw RGB."""

    def __init__(self, root: Path, split: str, cache: Path) -> None:
        self.root = root
        coco: dict[str, Any] = corrected(json.loads((root / f"{split}.json").read_text()), split)
        self.pictures = self._index(coco)
        self.pixels = self._open(cache / f"{split}.rgb")
        self.by_class: list[dict[str, list[tuple[int, int]]]] = [{} for _ in labels.NAMES]
        for number, picture in enumerate(self.pictures):
            for k, cls in enumerate(picture.classes):
                self.by_class[cls].setdefault(picture.clip, []).append((number, k))
        self.empty = [
            n for n, p in enumerate(self.pictures) if not len(p.classes) and not p.from_clip
        ]
        self.landscapes = [
            n for n, p in enumerate(self.pictures) if p.from_clip and "BIRD" not in p.clip
        ]
        self.alarms: dict[str, list[int]] = {}
        for number, picture in enumerate(self.pictures):
            if len(picture.alarms):
                self.alarms.setdefault(picture.clip, []).append(number)

    @staticmethod
    def _index(coco: dict[str, Any]) -> list[Picture]:
        boxes: dict[int, list[dict[str, Any]]] = {}
        for note in coco["annotations"]:
            boxes.setdefault(note["image_id"], []).append(note)
        pictures, offset = [], 0
        for entry in coco["images"]:
            notes = boxes.get(entry["id"], [])
            xyxy = _corners([n["bbox"] for n in notes])
            name = entry["file_name"]
            # Caltech pictures are alike: a hundred count as one clip. A COCO one is its own.
            group = name[:-6] if name.startswith("caltech") else name
            pictures.append(
                Picture(
                    name,
                    entry["height"],
                    entry["width"],
                    offset,
                    entry.get("clip") or group,
                    np.array([n["category_id"] for n in notes], np.int64),
                    labels.tight(xyxy) if name.startswith("V_") else xyxy,
                    _corners(entry.get("ignored", [])),
                    _corners(entry.get("alarms", [])),
                )
            )
            offset += entry["height"] * entry["width"] * 3
        return pictures

    def _open(self, path: Path) -> NDArray[np.uint8]:
        last = self.pictures[-1]
        total = last.offset + last.height * last.width * 3
        if not path.exists() or path.stat().st_size != total:
            path.parent.mkdir(parents=True, exist_ok=True)
            part = path.with_suffix(".part")
            with part.open("wb") as out:
                for picture in self.pictures:
                    bgr = cv2.imread(str(self.root / "images" / picture.name))
                    if bgr is None or bgr.shape[:2] != (picture.height, picture.width):
                        message = (
                            f"{picture.name}: cannot be read at the size that the annotations state"
                        )
                        raise ValueError(message)
                    out.write(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB).tobytes())
            part.rename(path)
        return np.memmap(path, np.uint8, "r")

    def image(self, number: int) -> Image:
        """Give a picture's pixels HxWx3 RGB; a read-only view of the cache."""
        p = self.pictures[number]
        return self.pixels[p.offset : p.offset + p.height * p.width * 3].reshape(
            p.height, p.width, 3
        )


def window(image: Image, x: float, y: float, scale: float, side: int) -> Image:
    """Cut the square at (x, y), `side / scale` wide, and resize it to `side`; grey outside."""
    span = side / scale
    x0, y0 = int(np.floor(x)), int(np.floor(y))
    x1, y1 = int(np.ceil(x + span)) + 1, int(np.ceil(y + span)) + 1
    h, w = image.shape[:2]
    cut = image[max(y0, 0) : min(y1, h), max(x0, 0) : min(x1, w)]
    out = np.full((side, side, 3), GREY, np.uint8)
    if not cut.size:
        return out
    flags = cv2.INTER_LINEAR
    matrix = np.array(
        [[scale, 0, (max(x0, 0) - x) * scale], [0, scale, (max(y0, 0) - y) * scale]], np.float32
    )
    if scale < 0.75:  # shrink with area averaging first, a plain warp would alias small craft away
        size = (max(1, round(cut.shape[1] * scale)), max(1, round(cut.shape[0] * scale)))
        rx, ry = size[0] / cut.shape[1], size[1] / cut.shape[0]
        cut = cv2.resize(cut, size, interpolation=cv2.INTER_AREA)
        matrix[0, 0], matrix[1, 1] = scale / rx, scale / ry
    # pixel centres: output centre (i + .5) maps from input centre, hence the half-pixel shift
    matrix[0, 2] += 0.5 * matrix[0, 0] - 0.5
    matrix[1, 2] += 0.5 * matrix[1, 1] - 0.5
    return cv2.warpAffine(
        np.ascontiguousarray(cut),
        matrix,
        (side, side),
        dst=out,
        flags=flags,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=(GREY, GREY, GREY),
    )


def crop(  # noqa: PLR0917 - a window is five numbers
    album: Album, number: int, x: float, y: float, scale: float, side: int
) -> Scene:
    """Cut a scene: boxes mostly inside are kept, those cut off are ignored in the loss."""
    picture = album.pictures[number]
    scene = Scene(window(album.image(number), x, y, scale, side))
    share = 1.0 if picture.from_clip else 0.5
    for cls, box in zip(picture.classes, picture.xyxy, strict=True):
        x1, y1, x2, y2 = (box - np.array([x, y, x, y], np.float32)) * scale
        cx1, cy1, cx2, cy2 = max(x1, 0.0), max(y1, 0.0), min(x2, side), min(y2, side)
        if cx2 <= cx1 or cy2 <= cy1:
            continue
        seen = (cx2 - cx1) * (cy2 - cy1) / max((x2 - x1) * (y2 - y1), 1e-6)
        if seen > 0.4:
            scene.add(int(cls), (cx1, cy1, cx2, cy2), share)
        else:
            scene.ignored.append((cx1 - 8, cy1 - 8, cx2 + 8, cy2 + 8))
    for region in (picture.ignored - np.array([x, y, x, y], np.float32)) * scale:
        x1, y1, x2, y2 = (float(v) for v in region.clip(0, side))
        if x2 > x1 and y2 > y1:
            scene.ignored.append((x1, y1, x2, y2))
    return scene


def around(album: Album, rng: np.random.Generator, cls: int, side: int) -> Scene:
    """Cut a scene around a random object of a class, clips drawn evenly, at a random scale."""
    clips = album.by_class[cls]
    photographs = [k for k in clips if not k.startswith("V_")]
    share = PHOTOGRAPHS_LARGE if side > LARGE else PHOTOGRAPHS
    tight = bool(photographs) and rng.random() < share
    keys = photographs if tight else [k for k in clips if k.startswith("V_")]
    group = clips[keys[rng.integers(len(keys))]]
    number, k = group[rng.integers(len(group))]
    picture = album.pictures[number]
    x1, y1, x2, y2 = picture.xyxy[k]
    extent = max(x2 - x1, y2 - y1)
    if picture.from_clip:
        scale = 1.0 if rng.random() < 0.4 else float(np.exp(rng.uniform(np.log(0.4), np.log(2.2))))
        scale = min(scale, 0.9 * side / (extent + 20))
    else:
        scale = float(np.exp(rng.uniform(np.log(0.12 * side), np.log(0.95 * side)))) / extent
        scale = min(scale, 2.5)
    if rng.random() < (
        0.4 if tight else 0.25
    ):  # as the daemon sees it: the whole picture, letterboxed
        whole = side / max(picture.width, picture.height)
        if extent * whole > 3:
            scale = whole
    span = side / scale

    def place(low: float, high: float, full: int) -> float:
        """Choose a window start that holds the object and, if it can, stays inside."""
        first, last = high - span, low
        if span >= full:
            return (full - span) / 2 if rng.random() < 0.7 else float(rng.uniform(full - span, 0))
        first, last = max(first, -0.1 * span), min(last, full - 0.9 * span)
        return float(rng.uniform(min(first, last), max(first, last)))

    return crop(
        album, number, place(x1, x2, picture.width), place(y1, y2, picture.height), scale, side
    )


def mistaken(album: Album, rng: np.random.Generator, side: int) -> Scene:
    """Cut a scene around something that an earlier network took for a craft, clips drawn evenly."""
    clips = list(album.alarms)
    group = album.alarms[clips[rng.integers(len(clips))]]
    number = group[rng.integers(len(group))]
    alarms = album.pictures[number].alarms
    x1, y1, x2, y2 = alarms[rng.integers(len(alarms))]
    scale = float(np.exp(rng.uniform(np.log(0.5), np.log(1.8))))
    span = side / scale
    x, y = np.array((x1 + x2, y1 + y2)) / 2 - rng.uniform(0.1, 0.9, 2) * span
    return crop(album, number, float(x), float(y), scale, side)


def background(album: Album, rng: np.random.Generator, side: int) -> Scene:
    """Cut a scene without aiming at any object: clip landscapes or everyday things."""
    everyday = bool(album.empty) and rng.random() < 0.45
    pool = album.empty if everyday else album.landscapes
    number = pool[rng.integers(len(pool))]
    picture = album.pictures[number]
    low = np.log(side / max(picture.width, picture.height))
    scale = float(np.exp(rng.uniform(low, max(low, np.log(1.6)))))
    span = side / scale
    x = rng.uniform(min(0, picture.width - span), max(0, picture.width - span))
    y = rng.uniform(min(0, picture.height - span), max(0, picture.height - span))
    if (
        not everyday and rng.random() < 0.5
    ):  # the ground, where false alarms live, is in the lower half
        y = max(0.0, picture.height - span) - rng.uniform(0, 0.3) * span
    return crop(album, number, float(x), float(y), scale, side)
