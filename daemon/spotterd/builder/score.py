"""How good a detector is on labelled pictures: AP as COCO defines it, and what an operator asks.

AP and AP50 come from faster-coco-eval; F1, false alarms and recall by centre are at the score
threshold that the daemon runs with.
"""

from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from spotterd.builder.agreement import match
from spotterd.builder.truth import Labelled
from spotterd.data import Bools, Detections
from spotterd.errors import BadInputError
from spotterd.vision.boxes import area

CONFUSERS = ("bird",)  # seen, but no aircraft
# Area in pixels, as COCO has it; the label, from and to.
SIZES = (
    ("all", 0, 10**10),
    ("small", 0, 32**2),
    ("medium", 32**2, 96**2),
    ("large", 96**2, 10**10),
)
Precisions: TypeAlias = NDArray[np.float64]
AP50 = 0  # index of IoU 0.5 in COCO's thresholds 0.50, 0.55 ... 0.95


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ClassScore(_Record):
    """One class; None where there is no object of it."""

    AP50: float | None
    AP: float | None
    F1: float | None


class SizeScore(_Record):
    """Objects of one size, all classes."""

    objects: int
    AP50: float | None


class Score(_Record):
    """One precision on one set of pictures.

    Attributes:
        AP50: mean over classes of the average precision at IoU 0.5.
        AP: the same over IoU 0.50 to 0.95.
        F1: mean over classes, at the score threshold and IoU 0.5.
        craft_AP50: AP50 with all aircraft as one class (confusers left out).
        centre_recall: share of objects with a detection of their class whose centre lies inside
            them, at the score threshold (says more than IoU where labels are loose).
        false_alarms_per_100_empty: detections of aircraft at the score threshold on a hundred
            pictures without any aircraft.
        per_class: by label.
        by_size: small (area < 32^2), medium (< 96^2), large.
        ms_per_image: median of one inference.
    """

    AP50: float | None
    AP: float | None
    F1: float | None
    craft_AP50: float | None  # noqa: N815 (published name)
    centre_recall: float | None
    false_alarms_per_100_empty: float | None
    per_class: dict[str, ClassScore]
    by_size: dict[str, SizeScore]
    ms_per_image: float


def score(
    truth: Sequence[Labelled],
    found: Sequence[Detections],
    labels: Sequence[str],
    threshold: float,
    ms_per_image: float,
) -> Score:
    """Judge detections (seen down to a very low score) against the truth.

    Raises:
        BadInputError: faster-coco-eval is not installed.
    """
    boxes = [item.boxes for item in truth]
    precision = coco_precision(boxes, found, len(labels))
    sure = [seen[np.flatnonzero(seen.score >= threshold)] for seen in found]
    f1 = [_f1(boxes, sure, label) for label in range(len(labels))]
    aircraft = np.array([name not in CONFUSERS for name in labels])
    return Score(
        AP50=_mean(precision[AP50, :, 0]),
        AP=_mean(precision[:, :, 0]),
        F1=_average([value for value in f1 if value is not None]),
        craft_AP50=_craft_ap50(boxes, found, aircraft),
        centre_recall=_centre_recall(boxes, sure),
        false_alarms_per_100_empty=_false_alarms(boxes, sure, aircraft),
        per_class={
            name: ClassScore(
                AP50=_mean(precision[AP50, k, 0]), AP=_mean(precision[:, k, 0]), F1=f1[k]
            )
            for k, name in enumerate(labels)
        },
        by_size={
            name: SizeScore(
                objects=_count(boxes, low, high), AP50=_mean(precision[AP50, :, column])
            )
            for column, (name, low, high) in enumerate(SIZES)
            if column
        },
        ms_per_image=ms_per_image,
    )


def coco_precision(
    truth: Sequence[Detections], found: Sequence[Detections], classes: int
) -> Precisions:
    """Average precision by COCO's rules, at most 100 detections a picture.

    Returns:
        (IoU threshold, class, size) in the order of COCO and `SIZES`; NaN where nothing is.
    """
    try:
        from faster_coco_eval import COCO, COCOeval_faster  # noqa: PLC0415 (an extra)
    except ImportError as error:
        raise BadInputError(
            "faster-coco-eval is not installed. Type: pip install 'spotterd[eval]'."
        ) from error
    images = [{"id": n + 1} for n in range(len(truth))]
    objects = COCO(
        {
            "images": images,
            "categories": [{"id": k, "name": str(k)} for k in range(classes)],
            "annotations": [
                {"id": n + 1, "iscrowd": 0, "area": row["bbox"][2] * row["bbox"][3], **row}
                for n, row in enumerate(_rows(truth))
            ],
        }
    )
    results = _rows(found)
    if not results:  # faster-coco-eval wants at least one
        results = [{"image_id": 1, "category_id": 0, "bbox": [0, 0, 0, 0], "score": 0.0}]
    judge = COCOeval_faster(objects, objects.loadRes(results), "bbox")
    judge.params.areaRng = [[low, high] for _, low, high in SIZES]
    judge.params.areaRngLbl = [name for name, _, _ in SIZES]
    judge.evaluate()
    judge.accumulate()
    # precision: (IoU, recall, class, size, most detections); -1 where there is no object.
    precision = np.asarray(judge.eval["precision"], np.float64)[..., -1]
    known: Precisions = np.where(precision < 0, np.nan, precision)
    return np.asarray(known.mean(axis=1))


def _rows(pictures: Sequence[Detections]) -> list[dict[str, Any]]:
    rows = []
    for image, seen in enumerate(pictures):
        xywh = seen.xyxy.copy()
        xywh[:, 2:] -= xywh[:, :2]
        rows += [
            {"image_id": image + 1, "category_id": int(k), "bbox": box, "score": float(s)}
            for box, k, s in zip(xywh.tolist(), seen.label, seen.score, strict=True)
        ]
    return rows


def _mean(values: Any) -> float | None:
    """Mean of what there is, rounded for people; None where there is nothing."""
    known = np.asarray(values)[~np.isnan(values)]
    return round(float(known.mean()), 4) if known.size else None


def _average(values: list[float]) -> float | None:
    return _mean(np.asarray(values)) if values else None


def _only(pictures: Sequence[Detections], label: int) -> list[Detections]:
    return [seen[np.flatnonzero(seen.label == label)] for seen in pictures]


def _f1(truth: Sequence[Detections], sure: Sequence[Detections], label: int) -> float | None:
    """2 TP / (objects + detections) of one class; None where there is no object of it."""
    wanted, found = _only(truth, label), _only(sure, label)
    objects, detections = sum(map(len, wanted)), sum(map(len, found))
    if not objects:
        return None
    hits = sum(len(match(w, f)) for w, f in zip(wanted, found, strict=True))
    return round(2 * hits / (objects + detections), 4)


def _craft_ap50(
    truth: Sequence[Detections], found: Sequence[Detections], aircraft: Bools
) -> float | None:
    """AP50 of "some aircraft"; its detections of several classes count one by one."""

    def merged(seen: Detections) -> Detections:
        rows = np.flatnonzero(aircraft[seen.label])
        return Detections(seen.xyxy[rows], seen.score[rows], np.zeros(len(rows), np.int64))

    precision = coco_precision([merged(t) for t in truth], [merged(f) for f in found], 1)
    return _mean(precision[AP50, :, 0])


def _centre_recall(truth: Sequence[Detections], sure: Sequence[Detections]) -> float | None:
    hits = total = 0
    for wanted, seen in zip(truth, sure, strict=True):
        centre = (seen.xyxy[:, :2] + seen.xyxy[:, 2:]) / 2
        inside = (centre >= wanted.xyxy[:, None, :2]) & (centre <= wanted.xyxy[:, None, 2:])
        right = inside.all(axis=2) & (wanted.label[:, None] == seen.label[None])
        hits += int(right.any(axis=1).sum())
        total += len(wanted)
    return round(hits / total, 4) if total else None


def _false_alarms(
    truth: Sequence[Detections], sure: Sequence[Detections], aircraft: Bools
) -> float | None:
    empty = [n for n, wanted in enumerate(truth) if not aircraft[wanted.label].any()]
    alarms = sum(int(aircraft[sure[n].label].sum()) for n in empty)
    return round(100 * alarms / len(empty), 2) if empty else None


def _count(truth: Sequence[Detections], low: int, high: int) -> int:
    """How many objects have an area of `low` up to `high`."""
    areas = [area(wanted.xyxy) for wanted in truth]
    return sum(int(((a >= low) & (a < high)).sum()) for a in areas)
