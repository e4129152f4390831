"""A small judge for the recipe itself: `python -m training.evaluate MODEL.onnx --data DIR`.

The product's `spotterd evaluate` is the one that counts; this one also gives recall by centre-in-
box, because the clips' labels are loose, and class-agnostic figures.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime as ort

from training import labels
from training.data import GREY, Image
from training.labels import Floats

RECALLS = np.linspace(0, 1, 101)
BINS = {"<16": (0, 16), "16-32": (16, 32), "32-96": (32, 96), ">=96": (96, 1e9)}


@dataclass
class Found:
    """Detections in a picture's own pixels: xyxy Nx4, scores N, classes N, best first."""

    xyxy: Floats
    scores: Floats
    classes: np.ndarray


def letterbox(bgr: Image, side: int) -> tuple[Floats, float, float, float]:
    """Scale to fit, centre on grey; give 1x3xSxS RGB 0..1, scale, left and top padding."""
    h, w = bgr.shape[:2]
    scale = min(side / h, side / w)
    new_w, new_h = round(w * scale), round(h * scale)
    left, top = (side - new_w) // 2, (side - new_h) // 2
    canvas = np.full((side, side, 3), GREY, np.uint8)
    canvas[top : top + new_h, left : left + new_w] = cv2.resize(
        bgr, (new_w, new_h), interpolation=cv2.INTER_LINEAR
    )
    x = np.ascontiguousarray(canvas[..., ::-1].transpose(2, 0, 1)[None], np.float32) / np.float32(
        255
    )
    return x, scale, float(left), float(top)


def iou(box: Floats, others: Floats) -> Floats:
    """Give the IoU of one box (4) with others (Nx4)."""
    inter = (
        (np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2])).clip(0).prod(1)
    )
    area = (others[:, 2:] - others[:, :2]).prod(1)
    return inter / np.maximum((box[2:] - box[:2]).prod() + area - inter, 1e-9)


def decode(output: Floats, floor: float, overlap: float, *, agnostic: bool) -> Found:
    """Turn `output0` (4+K)xN into detections above `floor`, thinned by greedy NMS."""
    classes = output[4:].argmax(0)
    scores = output[4:].max(0)
    keep = np.flatnonzero(scores > floor)
    keep = keep[np.argsort(-scores[keep])][:1000]
    cx, cy, w, h = output[:4, keep]
    xyxy = np.stack((cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2), 1)
    shifted = xyxy if agnostic else xyxy + classes[keep, None] * 10000.0
    alive, chosen = np.ones(len(keep), bool), []
    for i in range(len(keep)):
        if not alive[i]:
            continue
        chosen.append(i)
        alive &= iou(shifted[i], shifted) <= overlap
        if len(chosen) == 100:
            break
    return Found(xyxy[chosen].astype(np.float32), scores[keep][chosen], classes[keep][chosen])


def average_precision(
    hits: np.ndarray, scores: np.ndarray, truths: int
) -> tuple[float, float, float]:
    """Give AP (101-point), the best F1 and the score at which it is reached."""
    if not truths:
        return float("nan"), float("nan"), float("nan")
    order = np.argsort(-scores, kind="stable")
    tp = np.cumsum(hits[order])
    precision = tp / np.arange(1, len(tp) + 1)
    recall = tp / truths
    hull = np.maximum.accumulate(precision[::-1])[::-1] if len(tp) else precision
    at = np.searchsorted(recall, RECALLS)
    ap = float(np.mean([hull[i] if i < len(hull) else 0.0 for i in at]))
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-9)
    best = int(f1.argmax()) if len(f1) else -1
    return ap, float(f1[best]) if len(f1) else 0.0, float(scores[order][best]) if len(f1) else 0.0


def match(found: Found, truth: Floats, iou_floor: float) -> np.ndarray:
    """Pair detections (best first) with truths by IoU; give a truth's index each, or -1."""
    owner = np.full(len(found.scores), -1)
    taken = np.zeros(len(truth), bool)
    for i, box in enumerate(found.xyxy):
        overlap = np.where(taken, -1, iou(box, truth)) if len(truth) else np.zeros(0)
        if len(overlap) and overlap.max() >= iou_floor:
            owner[i] = overlap.argmax()
            taken[owner[i]] = True
    return owner


@dataclass
class Case:
    """One picture's truth and what was found in it."""

    name: str
    truth: Floats
    classes: np.ndarray
    found: Found
    agnostic: Found


def run(
    session: ort.InferenceSession, data: Path, side: int, *, every: int = 1, split: str = "val"
) -> Iterator[tuple[Case, float]]:
    """Run a model over a split; give cases and seconds an inference took."""
    coco: dict[str, Any] = json.loads((data / f"{split}.json").read_text())
    notes: dict[int, list[dict[str, Any]]] = {}
    for note in coco["annotations"]:
        notes.setdefault(note["image_id"], []).append(note)
    name = session.get_inputs()[0].name
    for entry in coco["images"][::every]:
        bgr = cv2.imread(str(data / "images" / entry["file_name"]))
        x, scale, left, top = letterbox(bgr, side)
        begun = time.perf_counter()
        output = session.run(None, {name: x})[0][0]
        took = time.perf_counter() - begun
        mine = notes.get(entry["id"], [])
        xywh = np.array([n["bbox"] for n in mine], np.float32).reshape(-1, 4)
        truth = np.concatenate((xywh[:, :2], xywh[:, :2] + xywh[:, 2:]), 1)
        both = []
        for agnostic in (False, True):
            found = decode(output, 0.01, 0.6, agnostic=agnostic)
            found.xyxy = (found.xyxy - np.array([left, top, left, top], np.float32)) / np.float32(
                scale
            )
            both.append(found)
        yield (
            Case(entry["file_name"], truth, np.array([n["category_id"] for n in mine], int), *both),
            took,
        )


def report(cases: list[Case], threshold: float) -> dict[str, Any]:
    """Give AP50, AP, F1 (best and at the threshold), recalls and false alarms."""
    out: dict[str, Any] = {"pictures": len(cases), "threshold": threshold, "per_class": {}}
    for cls, label in enumerate(labels.NAMES):
        truths = sum(int((c.classes == cls).sum()) for c in cases)
        scores = np.concatenate([c.found.scores[c.found.classes == cls] for c in cases])
        row: dict[str, Any] = {"truths": truths}
        aps = []
        for floor in np.arange(0.5, 0.96, 0.05):
            hits = []
            for c in cases:
                mine = Found(
                    *(
                        v[c.found.classes == cls]
                        for v in (c.found.xyxy, c.found.scores, c.found.classes)
                    )
                )
                hits.append(match(mine, c.truth[c.classes == cls], floor) >= 0)
            flat = np.concatenate(hits)
            ap, f1, best = average_precision(flat, scores, truths)
            aps.append(ap)
            if len(aps) == 1:
                sure = scores >= threshold
                tp, fp = int(flat[sure].sum()), int((~flat[sure]).sum())
                row |= {
                    "AP50": ap,
                    "best_F1": f1,
                    "best_at": best,
                    "F1": 2 * tp / max(1, 2 * tp + fp + truths - tp),
                }
        row["AP"] = float(np.mean(aps))
        row["centre_recall"] = _centre_recall(cases, threshold, cls)
        row["seen_as_any"] = _centre_recall(cases, threshold, cls, any_class=True)
        out["per_class"][label] = row
    means = [r["AP50"] for r in out["per_class"].values()]
    out["AP50"] = float(np.nanmean(means))
    out["AP"] = float(np.nanmean([r["AP"] for r in out["per_class"].values()]))
    out["F1"] = float(np.mean([r["F1"] for r in out["per_class"].values()]))
    craft = [np.isin(c.classes, labels.AIRCRAFT) for c in cases]
    hits, scores = [], []
    for c, m in zip(cases, craft, strict=True):
        mine = np.isin(c.agnostic.classes, labels.AIRCRAFT)
        sub = Found(c.agnostic.xyxy[mine], c.agnostic.scores[mine], c.agnostic.classes[mine])
        hits.append(match(sub, c.truth[m], 0.5) >= 0)
        scores.append(sub.scores)
    ap, f1, _ = average_precision(
        np.concatenate(hits), np.concatenate(scores), int(sum(m.sum() for m in craft))
    )
    out["craft_AP50"], out["craft_best_F1"] = ap, f1
    empty = [c for c, m in zip(cases, craft, strict=True) if not m.any()]
    alarms = sum(
        int((np.isin(c.found.classes, labels.AIRCRAFT) & (c.found.scores >= threshold)).sum())
        for c in empty
    )
    out["empty_pictures"], out["false_alarms_per_100_empty"] = (
        len(empty),
        100 * alarms / max(1, len(empty)),
    )
    out["by_size"] = _by_size(cases, threshold)
    return out


def _centre_recall(
    cases: list[Case], threshold: float, cls: int, *, any_class: bool = False
) -> float:
    seen, total = 0, 0
    for c in cases:
        for box in c.truth[c.classes == cls]:
            total += 1
            good = c.found.scores >= threshold
            if not any_class:
                good &= c.found.classes == cls
            centre = (c.found.xyxy[good, :2] + c.found.xyxy[good, 2:]) / 2
            seen += bool(((centre >= box[:2]) & (centre <= box[2:])).all(1).any())
    return seen / max(1, total)


def _by_size(cases: list[Case], threshold: float) -> dict[str, dict[str, float]]:
    """Give recall at the threshold by the label's side in the picture's pixels."""
    rows = {k: [0, 0, 0] for k in BINS}
    for c in cases:
        good = c.found.scores >= threshold
        for box, cls in zip(c.truth, c.classes, strict=True):
            size = float(np.sqrt((box[2:] - box[:2]).prod()))
            key = next(k for k, (low, high) in BINS.items() if low <= size < high)
            mine = c.found.xyxy[good & (c.found.classes == cls)]
            centre = (mine[:, :2] + mine[:, 2:]) / 2
            rows[key][0] += 1
            rows[key][1] += bool(len(mine) and iou(box, mine).max() >= 0.5)
            rows[key][2] += bool(((centre >= box[:2]) & (centre <= box[2:])).all(1).any())
    return {
        k: {"truths": n, "recall50": h / max(1, n), "centre_recall": m / max(1, n)}
        for k, (n, h, m) in rows.items()
    }


def open_model(path: Path, threads: int = 2) -> ort.InferenceSession:
    """Open an ONNX model on the CPU."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def table(result: dict[str, Any]) -> str:
    """Lay a report out as text."""
    keys = ("truths", "AP50", "AP", "F1", "best_F1", "best_at", "centre_recall", "seen_as_any")
    lines = [" " * 10 + "".join(f"{k[:9]:>10s}" for k in keys)]
    for name, row in result["per_class"].items():
        lines.append(f"{name:10s}" + "".join(f"{row[k]:10.3f}" for k in keys))
    lines.append("mean " + ", ".join(f"{k} {result[k]:.3f}" for k in ("AP50", "AP", "F1")))
    lines.append(f"any craft AP50 {result['craft_AP50']:.3f} best F1 {result['craft_best_F1']:.3f}")
    alarms = f"{result['false_alarms_per_100_empty']:.1f} at {result['threshold']}"
    lines.append(
        f"false alarms per 100 of {result['empty_pictures']} aircraft-free pictures: {alarms}"
    )
    for key, r in result["by_size"].items():
        recalls = f"IoU 0.5 {r['recall50']:.3f} centre {r['centre_recall']:.3f}"
        lines.append(f"  label side {key:6s} {r['truths']:4d} recall {recalls}")
    return "\n".join([*lines, f"{result.get('ms', 0):.1f} ms"])


def main() -> None:
    """Evaluate and print."""
    parser = argparse.ArgumentParser(prog="training.evaluate", description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--side", type=int, default=640)
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--split", default="val")
    parser.add_argument("--threshold", type=float, default=0.35)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    pairs = list(
        run(open_model(args.model), args.data, args.side, every=args.every, split=args.split)
    )
    result = report([c for c, _ in pairs], args.threshold)
    result["ms"] = float(np.median([t for _, t in pairs]) * 1000)
    print(table(result))
    if args.json:
        args.json.write_text(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
