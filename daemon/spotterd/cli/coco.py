"""Detections as COCO results, which every evaluation tool reads."""

import json
from pathlib import Path
from typing import Any

from spotterd.data import Detections
from spotterd.errors import BadInputError


class CocoResults:
    """Detections as COCO results.

    Args:
        labels: class names of the detector.
        annotations: COCO file that gives pictures (by file name) and classes (by name) their ids;
            None: pictures and frames count from 1 in the order read, classes are the label index.

    Raises:
        BadInputError: the annotations are not COCO's.
    """

    def __init__(self, labels: tuple[str, ...], annotations: Path | None) -> None:
        self._image_ids: dict[str, int] | None = None
        categories = {name: index for index, name in enumerate(labels)}
        if annotations:
            self._image_ids, categories = _read_ids(annotations)
        self._category_ids = [categories.get(name) for name in labels]
        self._results: list[dict[str, Any]] = []
        self._count = 0

    def add(self, picture: Path, found: Detections) -> bool:
        """Note what was found in a picture or frame; False where the annotations lack it."""
        self._count += 1
        image_id = self._count if self._image_ids is None else self._image_ids.get(picture.name)
        if image_id is None:
            return False
        for xyxy, score, label in zip(found.xyxy, found.score, found.label, strict=True):
            left, top, right, bottom = (round(float(side), 2) for side in xyxy)
            category_id = self._category_ids[label]
            if category_id is not None:
                result = {
                    "image_id": image_id,
                    "category_id": category_id,
                    "bbox": [left, top, round(right - left, 2), round(bottom - top, 2)],
                    "score": round(float(score), 5),
                }
                self._results.append(result)
        return True

    def save(self, path: Path) -> None:
        """Write the results as one JSON list."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(self._results), encoding="utf-8")
        except OSError as error:
            raise BadInputError(f"Cannot write '{path}': {error.strerror}.") from error


def _read_ids(annotations: Path) -> tuple[dict[str, int], dict[str, int]]:
    """Ids of a COCO file: of the pictures by file name, of the classes by name."""
    try:
        tree = json.loads(annotations.read_text(encoding="utf-8"))
        images = {Path(image["file_name"]).name: int(image["id"]) for image in tree["images"]}
        categories = {kind["name"]: int(kind["id"]) for kind in tree["categories"]}
    except OSError as error:
        raise BadInputError(f"Cannot read '{annotations}': {error.strerror}.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise BadInputError(
            f"'{annotations}' is not a COCO annotation file: it needs `images` with file_name and "
            "id, and `categories` with name and id."
        ) from error
    return images, categories
