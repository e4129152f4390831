"""Labelled pictures: what is read, and the sentences about what cannot be."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from spotterd.builder.truth import load_truth, read_picture
from spotterd.errors import BadInputError

LABELS = ("airplane", "bird")


def written(folder: Path, **changes: object) -> Path:
    cv2.imwrite(str(folder / "a.jpg"), np.full((20, 30, 3), 200, np.uint8))
    tree = {
        "images": [{"id": 7, "file_name": "a.jpg"}],
        "categories": [{"id": 3, "name": "bird"}, {"id": 5, "name": "kite"}],
        "annotations": [
            {"id": 0, "image_id": 7, "category_id": 3, "bbox": [1, 2, 3, 4]},
            {"id": 1, "image_id": 7, "category_id": 5, "bbox": [1, 2, 3, 4]},
            {"id": 2, "image_id": 7, "category_id": 3, "bbox": [0, 0, 9, 9], "iscrowd": 1},
        ],
    } | changes
    file = folder / "annotations.json"
    file.write_text(json.dumps(tree), encoding="utf-8")
    return file


def test_classes_are_matched_by_name_and_the_rest_left_out(tmp_path: Path) -> None:
    (item,) = load_truth(tmp_path, written(tmp_path), LABELS)
    assert item.path == tmp_path / "a.jpg"
    assert item.boxes.xyxy.tolist() == [[1, 2, 4, 6]]
    assert item.boxes.label.tolist() == [1]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"annotations": [{"id": 1}]}, "is not COCO: KeyError"),
        ({"images": 3}, "is not COCO"),
        ({"images": []}, "list no pictures"),
        ({"categories": [{"id": 3, "name": "dog"}, {"id": 5, "name": "cat"}]}, "share no class"),
        ({"images": [{"id": 7, "file_name": "none.jpg"}]}, "1 of 1 annotated pictures"),
    ],
)
def test_bad_annotations_get_a_sentence(tmp_path: Path, changes: dict, said: str) -> None:
    with pytest.raises(BadInputError, match=r".") as told:
        load_truth(tmp_path, written(tmp_path, **changes), LABELS)
    assert said in str(told.value)


@pytest.mark.parametrize("text", ["{", "[1]", ""])
def test_what_is_not_json(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.json").write_text(text, encoding="utf-8")
    with pytest.raises(BadInputError, match="is not"):
        load_truth(tmp_path, tmp_path / "x.json", LABELS)


def test_pictures_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="Cannot read the picture"):
        read_picture(tmp_path / "none.jpg")
    for data in (b"", b"\xff\xd8 no jpeg"):
        (tmp_path / "x.jpg").write_bytes(data)
        with pytest.raises(BadInputError, match="not a picture"):
            read_picture(tmp_path / "x.jpg")
