"""How far a built engine and the FP32 reference see the same in the same pictures. Pure.

A board has no labels: what the reference sees stands in for them. So these figures are agreement
with FP32, and say nothing about how good FP32 itself is.
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from pydantic import BaseModel, ConfigDict

from spotterd.data import Detections, Floats, Ints
from spotterd.vision.boxes import iou

MATCH_IOU = 0.5
LENIENT = 0.5  # the reference's boxes are looked for down to this share of the score threshold


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Found(_Record):
    """Of one class: detections of the reference, and how many of them the engine found."""

    reference: int
    found: int


class Figures(_Record):
    """How an engine compares with the FP32 reference.

    Attributes:
        pictures: how many were looked at.
        reference: detections of the reference on them: the objects to judge by.
        recall: share of these that the engine found (same class, IoU >= 0.5).
        agreement: average precision at IoU 0.5 with the reference's detections as the truth, mean
            over classes weighted by their count; falls with missed and with invented objects.
        score_shift: mean absolute difference of the scores of matched detections.
        per_class: by label, for the classes that the reference saw.
        ms: median milliseconds of one inference; reference_ms: the same of the reference.
    """

    pictures: int
    reference: int
    recall: float
    agreement: float
    score_shift: float
    per_class: dict[str, Found]
    ms: float = 0.0
    reference_ms: float = 0.0


def compare(
    reference: Sequence[Detections],
    candidate: Sequence[Detections],
    score: float,
    labels: Sequence[str],
) -> Figures:
    """Compare detections picture by picture.

    Args:
        reference: of the FP32 model; those below `score` are not asked for.
        candidate: of the engine, seen down to `LENIENT * score`, so that a small shift of a score
            across the threshold counts as a shift and not as a loss.
        score: the threshold in use.
        labels: class names by index.
    """
    truth = [seen[np.flatnonzero(seen.score >= score)] for seen in reference]
    pairs = [match(wanted, found) for wanted, found in zip(truth, candidate, strict=True)]
    asked = Counter(int(label) for wanted in truth for label in wanted.label)
    matched = [
        (int(wanted.label[w]), abs(float(wanted.score[w] - found.score[f])))
        for wanted, found, pair in zip(truth, candidate, pairs, strict=True)
        for w, f in pair
    ]
    hits = Counter(label for label, _ in matched)
    return Figures(
        pictures=len(truth),
        reference=asked.total(),
        recall=round(hits.total() / asked.total(), 4) if asked else 0.0,
        agreement=round(_mean_ap(truth, candidate, pairs), 4),
        score_shift=round(float(np.mean([shift for _, shift in matched])), 4) if matched else 0.0,
        per_class={labels[k]: Found(reference=n, found=hits[k]) for k, n in sorted(asked.items())},
    )


def match(wanted: Detections, found: Detections) -> list[tuple[int, int]]:
    """Pairs of rows (wanted, found) of one class with IoU >= 0.5; best score of `found` first."""
    overlap = iou(wanted.xyxy, found.xyxy)
    overlap[wanted.label[:, None] != found.label[None, :]] = 0
    pairs: list[tuple[int, int]] = []
    for column in np.argsort(-found.score, kind="stable"):
        if not len(wanted):
            break
        row = int(np.argmax(overlap[:, column]))
        if overlap[row, column] >= MATCH_IOU:
            pairs.append((row, int(column)))
            overlap[row] = 0
    return pairs


def _mean_ap(
    truth: Sequence[Detections],
    candidate: Sequence[Detections],
    pairs: Sequence[list[tuple[int, int]]],
) -> float:
    """AP50 of each class of the truth, weighted by how often it occurs."""
    if not any(len(wanted) for wanted in truth):
        return 0.0
    found = Detections(
        np.concatenate([seen.xyxy for seen in candidate]),
        np.concatenate([seen.score for seen in candidate]),
        np.concatenate([seen.label for seen in candidate]),
    )
    hit = np.concatenate(
        [
            np.isin(np.arange(len(seen)), [column for _, column in pair])
            for seen, pair in zip(candidate, pairs, strict=True)
        ]
    )
    labels: Ints = np.concatenate([wanted.label for wanted in truth])
    total = 0.0
    for label, count in zip(*np.unique(labels, return_counts=True), strict=True):
        rows = found.label == label
        total += count * average_precision(found.score[rows], hit[rows].astype(np.float32), count)
    return float(total / len(labels))


def average_precision(score: Floats, hit: Floats, positives: int) -> float:
    """Area under the precision envelope over recall (all-point interpolation, as PASCAL VOC 2010).

    Args:
        score: (n,) of all detections of one class, in any order.
        hit: (n,) 1 where the detection matched an object, else 0.
        positives: how many objects there are.
    """
    order = np.argsort(-score, kind="stable")
    hits = np.cumsum(hit[order])
    precision = hits / np.arange(1, len(hits) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.sum(envelope * hit[order]) / positives)
