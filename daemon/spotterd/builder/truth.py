"""Labelled pictures (COCO) and what a detector sees in them."""

import json
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from spotterd.data import Detections, Image
from spotterd.errors import BadInputError
from spotterd.inference.base import Backend
from spotterd.inference.detector import Detector


@dataclass(frozen=True, slots=True, eq=False)
class Labelled:
    """One picture and what is in it.

    Attributes:
        path: of the picture.
        boxes: the truth; `score` is 1, `label` an index into the model's labels.
    """

    path: Path
    boxes: Detections


def load_truth(folder: Path, annotations: Path, labels: Sequence[str]) -> list[Labelled]:
    """Read COCO annotations; classes are matched with the model's labels by name.

    Raises:
        BadInputError: unreadable, not COCO, a picture is missing, or no class is known.
    """
    tree = _read(annotations)
    try:
        names = {c["id"]: c["name"] for c in tree["categories"]}
        boxes: dict[int, list[tuple[list[float], int]]] = defaultdict(list)
        for item in tree["annotations"]:
            if names[item["category_id"]] in labels and not item.get("iscrowd"):
                label = labels.index(names[item["category_id"]])
                boxes[item["image_id"]].append((item["bbox"], label))
        truth = [
            Labelled(folder / i["file_name"], _detections(boxes[i["id"]])) for i in tree["images"]
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise BadInputError(
            f"{annotations} is not COCO: {type(error).__name__} {error}. It needs images, "
            "annotations (bbox, image_id, category_id) and categories (id, name)."
        ) from error
    if not set(names.values()) & set(labels):
        raise BadInputError(
            f"{annotations} and the model share no class: {', '.join(map(str, names.values()))} "
            f"against {', '.join(labels)}. Give detector.labels the names of the annotations."
        )
    _check_pictures(truth, folder)
    return truth


def _read(annotations: Path) -> dict[str, Any]:
    try:
        tree = json.loads(annotations.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadInputError(f"Cannot read {annotations}: {error.strerror}.") from error
    except ValueError as error:
        raise BadInputError(f"{annotations} is not JSON: {error}.") from error
    if not isinstance(tree, dict):
        raise BadInputError(f"{annotations} is not COCO: it holds no images and annotations.")
    return tree


def _detections(found: list[tuple[list[float], int]]) -> Detections:
    if not found:
        return Detections.empty()
    xywh = np.asarray([box for box, _ in found], np.float32).reshape(len(found), 4)
    xyxy = np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], axis=1)
    labels = np.asarray([label for _, label in found], np.int64)
    return Detections(xyxy, np.ones(len(found), np.float32), labels)


def _check_pictures(truth: list[Labelled], folder: Path) -> None:
    if not truth:
        raise BadInputError("The annotations list no pictures.")
    missing = [item.path.name for item in truth if not item.path.is_file()]
    if missing:
        raise BadInputError(
            f"{len(missing)} of {len(truth)} annotated pictures are not in {folder}, "
            f"{missing[0]} for one."
        )


def read_picture(path: Path) -> Image:
    """The pixels of a picture.

    Raises:
        BadInputError: it cannot be read or is no picture.
    """
    try:
        data = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as error:
        raise BadInputError(f"Cannot read the picture {path}: {error.strerror}.") from error
    picture: Image | None = cv2.imdecode(data, cv2.IMREAD_COLOR) if len(data) else None
    if picture is None:
        raise BadInputError(f"{path} is not a picture (or is damaged). Remove or replace it.")
    return picture


def look(
    detector: Detector,
    paths: Sequence[Path],
    seen: Callable[[int], None] = lambda _done: None,
) -> tuple[list[Detections], list[float]]:
    """What a detector sees in pictures, and how long each inference took (milliseconds).

    Args:
        detector: with the thresholds to use.
        paths: the pictures.
        seen: called with the number of pictures done.

    Raises:
        BadInputError: a picture cannot be read.
    """
    found: list[Detections] = []
    taken_ms: list[float] = []
    for done, path in enumerate(paths, start=1):
        detections, ms = timed(detector, read_picture(path))
        found.append(detections)
        taken_ms.append(ms)
        seen(done)
    return found, taken_ms


def timed(detector: Detector, picture: Image) -> tuple[Detections, float]:
    """As `Detector.run_once`, and the milliseconds that the inference alone took."""
    slot = detector.backend.acquire()
    try:
        letterbox = detector.prepare(picture, slot)
        start = time.perf_counter()
        detector.backend.submit(slot)
        detector.backend.wait(slot)
        ms = (time.perf_counter() - start) * 1e3
        return detector.decode(slot, letterbox), ms
    finally:
        detector.backend.release(slot)


def alike(detector: Detector, backend: Backend) -> Detector:
    """The same detector on another backend."""
    seen = detector.thresholds
    return Detector(backend, detector.labels, seen.score, seen.iou, seen.max_detections)
