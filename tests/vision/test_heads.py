"""Every head: known boxes in, known detections out; and what is said of heads nobody knows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spotterd.data import Detections
from spotterd.errors import BadInputError
from spotterd.vision.heads import grid_of, recognise
from spotterd.vision.letterbox import YOLO, YOLOX

HW = (64, 96)
GRID = grid_of(HW, (8, 16, 32))
N = len(GRID)  # 96 + 24 + 6
CENTRES = (GRID[:, :2] + 0.5) * GRID[:, 2:]
# cell, centre x, centre y, width, height, class, score
TRUTH = [(3, 30.0, 5.0, 12.0, 8.0, 0, 0.9), (100, 40.0, 20.0, 20.0, 30.0, 2, 0.6)]
CLASSES = 3


def yolov8(truth=TRUTH, classes=CLASSES) -> np.ndarray:
    out = np.zeros((1, 4 + classes, N), np.float32)
    out[0, :2] = CENTRES.T
    out[0, 2:4] = 8
    for cell, *box, label, score in truth:
        out[0, :4, cell], out[0, 4 + label, cell] = box, score
    return out


def yolov5(truth=TRUTH, classes=CLASSES, anchors=3) -> np.ndarray:
    out = np.zeros((1, anchors * N, 5 + classes), np.float32)
    out[0, :, :2] = np.tile(CENTRES, (anchors, 1))
    out[0, :, 5:] = 0.5  # class scores mean nothing where there is no object
    for cell, *box, label, score in truth:
        out[0, cell, :4], out[0, cell, 4], out[0, cell, 5:] = box, score, 0
        out[0, cell, 5 + label] = 1
    return out


def yolox_pixels(truth=TRUTH, classes=CLASSES) -> np.ndarray:
    return yolov5(truth, classes, anchors=1)


def yolox(truth=TRUTH, classes=CLASSES) -> np.ndarray:
    out = yolox_pixels(truth, classes)
    out[0, :, :2] = out[0, :, :2] / GRID[:, 2:] - GRID[:, :2]
    with np.errstate(divide="ignore"):
        out[0, :, 2:4] = np.maximum(np.log(out[0, :, 2:4] / GRID[:, 2:]), -5)
    return out


def end_to_end(truth=TRUTH, classes=CLASSES) -> np.ndarray:
    out = np.zeros((1, 300, 6), np.float32)
    out[0, :, 5] = -1
    for at, (_, x, y, w, h, label, score) in enumerate(reversed(truth)):
        out[0, at] = (x - w / 2, y - h / 2, x + w / 2, y + h / 2, score, label)
    return out


HEADS = {
    "YOLOv8": (yolov8, YOLO, True),
    "YOLOv8 transposed": (lambda *a: yolov8(*a).transpose(0, 2, 1), YOLO, True),
    "YOLOv5": (yolov5, YOLO, True),
    "YOLOX": (yolox, YOLOX, True),
    "YOLOX in pixels": (yolox_pixels, YOLOX, True),
    "end-to-end": (end_to_end, YOLO, False),
}
every_head = pytest.mark.parametrize("name", HEADS)


def found_in(make, score, truth=TRUTH, classes=CLASSES) -> Detections:
    output = make(truth, classes)
    head = recognise([output], classes, HW, "m")
    found = head.decode(output[0], score)
    return found[np.argsort(-found.score)]


@every_head
def test_known_boxes_are_decoded(name) -> None:
    make, preprocess, overlapping = HEADS[name]
    head = recognise([make()], CLASSES, HW, "m")
    assert name.startswith(head.name)
    assert (head.preprocess, head.overlapping) == (preprocess, overlapping)
    found = found_in(make, 0.5)
    expected = [[24, 1, 36, 9], [30, 5, 50, 35]]
    np.testing.assert_allclose(found.xyxy, expected, atol=1e-3)
    np.testing.assert_allclose(found.score, [0.9, 0.6], atol=1e-6)
    assert found.label.tolist() == [0, 2]
    assert found.xyxy.dtype == found.score.dtype == np.float32
    assert found.label.dtype == np.int64


@every_head
def test_one_class_is_enough(name) -> None:
    found = found_in(HEADS[name][0], 0.5, [(7, 30.0, 5.0, 12.0, 8.0, 0, 0.9)], 1)
    assert found.label.tolist() == [0]


@every_head
@pytest.mark.parametrize(("score", "count"), [(0.95, 0), (0.7, 1), (0.6, 2)])
def test_the_threshold_is_the_least_score(name, score, count) -> None:
    assert len(found_in(HEADS[name][0], np.float32(score))) == count


@every_head
def test_nothing_to_see(name) -> None:
    assert len(found_in(HEADS[name][0], 0.25, [])) == 0


@every_head
def test_rubbish_numbers_are_no_detections(name) -> None:
    make = HEADS[name][0]
    output = make()
    head = recognise([output], CLASSES, HW, "m")
    assert len(head.decode(np.full_like(output[0], np.nan), 0.25)) == 0


@given(st.integers(1, 90), st.sampled_from(sorted(HEADS)), st.sampled_from([320, 416, 640]))
def test_each_shape_has_one_reading_whatever_the_number_of_classes(classes, name, side) -> None:
    cells = len(grid_of((side, side), (8, 16, 32)))
    shape = {
        "YOLOv8": (1, 4 + classes, cells),
        "YOLOv8 transposed": (1, cells, 4 + classes),
        "YOLOv5": (1, 3 * cells, 5 + classes),
        "YOLOX": (1, cells, 5 + classes),
        "YOLOX in pixels": (1, cells, 5 + classes),
        "end-to-end": (1, 300, 6),
    }[name]
    output = np.broadcast_to(np.float32(0), shape)
    assert name.startswith(recognise([output], classes, (side, side), "m").name)


def test_other_outputs_beside_the_right_one_do_not_disturb() -> None:
    raw = np.zeros((1, 3, 8, 12, 8), np.float32)
    assert recognise([raw, yolov5()], CLASSES, HW, "m").output == 1


def test_classes_without_a_label_are_left_out() -> None:
    output = end_to_end([*TRUTH, (1, 9.0, 9.0, 4.0, 4.0, 7, 0.99)])
    head = recognise([output], CLASSES, HW, "m")
    assert sorted(head.decode(output[0], 0.5).label.tolist()) == [0, 2]


@pytest.mark.parametrize(
    ("shape", "classes", "said"),
    [
        ((1, 84, 8400), 4, "gives (1, 84, 8400), which is 80 classes, but there are 4 labels"),
        ((1, 25200, 85), 4, "which is 80 classes, but there are 4 labels"),
        ((1, 8400, 85), 4, "which is 80 or 81 classes, but there are 4 labels"),
        ((1, 1000), 4, "none of the known heads for an input of 640x640"),
        ((1, 8, 8000), 4, "none of the known heads"),
        ((8400, 8), 4, "none of the known heads"),
        (None, 4, "gives nothing, which is none of the known heads"),
    ],
)
def test_unknown_outputs_are_told_apart(shape, classes, said) -> None:
    outputs = [] if shape is None else [np.broadcast_to(np.float32(0), shape)]
    with pytest.raises(BadInputError) as told:
        recognise(outputs, classes, (640, 640), "mine")
    assert said in str(told.value)
    assert "The model mine" in str(told.value)
