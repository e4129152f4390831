"""What a YOLO's output means: recognised once from a probe of it, then decoded for each frame.

The families differ in shape, and the label list tells how many classes C there are. With N cells
in the grids of all strides (8400 at 640x640):

    (1, 4+C, N)     YOLOv8, 9, 11, 12: centre, size, class scores; also transposed
    (1, k*N, 5+C)   YOLOv5, v7: k anchors a cell; centre, size, objectness, class scores
    (1, N, 5+C)     YOLOX: as YOLOv5 with one anchor a cell; offsets in the grid, or pixels
    (1, n, 6)       YOLOv10, 26 and other end-to-end heads: corners, score, class; needs no NMS
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

import numpy as np

from spotterd.data import Detections, Floats
from spotterd.errors import BadInputError
from spotterd.vision.boxes import corners
from spotterd.vision.letterbox import YOLO, YOLOX, Preprocess

# The usual pyramid, one with a finer level for small objects, one with a coarser for large ones.
PYRAMIDS = ((8, 16, 32), (4, 8, 16, 32), (8, 16, 32, 64))
MOST_END_TO_END = 1000  # boxes; known exports give 100 or 300
KNOWN = "YOLOv5/v7 (1, 3N, 5+C), YOLOv8/11 (1, 4+C, N), YOLOX (1, N, 5+C) and end-to-end (1, n, 6)"

# One 2-D output and the least score -> candidates in pixels of the input, in any order.
Decode: TypeAlias = Callable[[Floats, float], Detections]


@dataclass(frozen=True, slots=True)
class Head:
    """How to read one model.

    Attributes:
        name: the family, as people call it.
        output: index of the output to read.
        preprocess: how the family wants its pixels.
        overlapping: whether several candidates can mean one object (needs NMS).
        decode: reads `outputs[output][0]`.
    """

    name: str
    output: int
    preprocess: Preprocess
    overlapping: bool
    decode: Decode


def anchor_free(output: Floats, score: float) -> Detections:
    """YOLOv8: (4+C, N), centre and size in pixels, class scores."""
    best = output[4:].max(axis=0)
    at = (best >= score).nonzero()[0]
    if not len(at):  # most of the sky, most of the time: leave before more code is touched
        return Detections.empty()
    found = output[:, at]
    return Detections(corners(found[:4].T), best[at], found[4:].argmax(axis=0))


def transposed(output: Floats, score: float) -> Detections:
    """As `anchor_free`, rows and columns exchanged."""
    return anchor_free(output.T, score)


def with_objectness(output: Floats, score: float, grid: Floats | None = None) -> Detections:
    """YOLOv5, YOLOX: (N, 5+C), centre and size, objectness, class scores given an object.

    Args:
        output: as above.
        score: least objectness times class score.
        grid: (N, 3) column, row and stride of each cell where centre and size are relative to it
            (https://arxiv.org/abs/2107.08430), else None.
    """
    # A class score is at most 1, so objectness alone rules nearly everything out.
    at = (output[:, 4] >= score).nonzero()[0]
    rows = output[at]
    scores = rows[:, 5:] * rows[:, 4:5]
    best = scores.max(axis=1)
    if grid is not None:
        cell, stride = grid[at, :2], grid[at, 2:]
        rows[:, :2] = (rows[:, :2] + cell) * stride
        rows[:, 2:4] = np.exp(rows[:, 2:4]) * stride
    return Detections(corners(rows[:, :4]), best, scores.argmax(axis=1))[best >= score]


def end_to_end(output: Floats, score: float, classes: int) -> Detections:
    """YOLOv10, 26: (n, 6), corners, score, class; classes without a label are left out."""
    rows = output[(output[:, 4] >= score) & (output[:, 5] >= 0) & (output[:, 5] < classes)]
    return Detections(rows[:, :4], rows[:, 4], rows[:, 5].astype(np.int64))


def grid_of(input_hw: tuple[int, int], strides: Sequence[int]) -> Floats:
    """(N, 3) column, row and stride of every cell, finest level first, row by row."""
    levels = []
    for stride in strides:
        rows, columns = np.mgrid[: input_hw[0] // stride, : input_hw[1] // stride]
        levels.append(np.stack([columns, rows, np.full_like(rows, stride)], axis=2).reshape(-1, 3))
    return np.concatenate(levels).astype(np.float32)


def recognise(
    outputs: Sequence[Floats], classes: int, input_hw: tuple[int, int], model: str
) -> Head:
    """Find the head that fits what a model gave for any picture at all.

    Args:
        outputs: what the model gave, in its order.
        classes: how many labels there are.
        input_hw: height and width of the model's input.
        model: its name, for errors.

    Raises:
        BadInputError: no output fits; says what the model gives and what is known.
    """
    for index, output in enumerate(outputs):
        head = _head(index, output, classes, input_hw)
        if head is not None:
            return head
    shapes = ", ".join(str(output.shape) for output in outputs) or "nothing"
    fits = sorted({n for output in outputs for n in _class_counts(output, input_hw)})
    if fits:
        counts = " or ".join(str(n) for n in fits)
        raise BadInputError(
            f"The model {model} gives {shapes}, which is {counts} classes, but there are "
            f"{classes} labels. Give detector.labels one name for each class, in the model's order."
        )
    raise BadInputError(
        f"The model {model} gives {shapes}, which is none of the known heads for an input of "
        f"{input_hw[1]}x{input_hw[0]}: {KNOWN}. Export a detection model (see docs/own-model.md)."
    )


def _head(index: int, output: Floats, classes: int, input_hw: tuple[int, int]) -> Head | None:
    if output.ndim != 3 or output.shape[0] != 1:  # noqa: PLR2004 (batch, rows, columns)
        return None
    rows, columns = output.shape[1:]
    cells = {len(grid_of(input_hw, strides)): strides for strides in PYRAMIDS}
    if rows == 4 + classes and columns in cells:
        return Head("YOLOv8", index, YOLO, True, anchor_free)
    if columns == 4 + classes and rows in cells:
        return Head("YOLOv8", index, YOLO, True, transposed)
    if columns == 5 + classes and rows in cells:
        grid = grid_of(input_hw, cells[rows])
        raw = partial(with_objectness, grid=grid)
        pixels = _in_pixels(output[0], grid)
        return Head("YOLOX", index, YOLOX, True, with_objectness if pixels else raw)
    if columns == 5 + classes and any(rows % n == 0 for n in cells):
        return Head("YOLOv5", index, YOLO, True, with_objectness)
    if columns == 6 and rows <= MOST_END_TO_END:  # noqa: PLR2004 (corners, score, class)
        return Head("end-to-end", index, YOLO, False, partial(end_to_end, classes=classes))
    return None


def _in_pixels(output: Floats, grid: Floats) -> bool:
    """Whether centres lie about where their cells are, in pixels; else they are small offsets."""
    where = (grid[:, 0] + 0.5) * grid[:, 2]
    return bool(np.median(np.abs(output[:, 0] - where)) < np.median(np.abs(where)) / 2)


def _class_counts(output: Floats, input_hw: tuple[int, int]) -> Iterator[int]:
    """The numbers of classes with which an output would be recognised."""
    for side in output.shape[1:]:
        for n in (side - 4, side - 5):
            if n > 0 and _head(0, output, n, input_hw) is not None:
                yield n
