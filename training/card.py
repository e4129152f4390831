"""Curves, sheets of failures and the model card's tables.

`python -m training.card MODEL.onnx --data DIR --runs DIR --out DIR` writes `curves.png`,
`misses.jpg`, `alarms.jpg` and `tables.md`; the words around the tables in the card are written by
a person who has looked at the sheets.
"""

from __future__ import annotations

import argparse
import csv
import json
import time
from pathlib import Path
from typing import Any

import cv2
import matplotlib as mpl
import numpy as np

from training import labels
from training.evaluate import Case, iou, open_model, report, run

mpl.use("Agg")
from matplotlib import pyplot as plt

TILE = 128
COLOURS = ((60, 60, 255), (60, 220, 60), (255, 80, 255), (0, 220, 255))


def curves(log: Path, out: Path) -> None:
    """Draw the losses and the learning rate of a run, smoothed."""
    with log.open() as file:
        rows = list(csv.DictReader(file))
    if not rows:  # fewer steps than from one line to the next
        return
    steps = np.array([int(r["step"]) for r in rows])
    _, axes = plt.subplots(1, 3, figsize=(12, 3))
    for axis, key in zip(axes, ("score", "box", "rate"), strict=True):
        values = np.array([float(r[key]) for r in rows])
        width = max(1, min(25, len(values) // 8))
        axis.plot(steps, values, alpha=0.25)
        axis.plot(steps[width - 1 :], np.convolve(values, np.ones(width) / width, "valid"))
        axis.set_title({"score": "score loss", "box": "box loss", "rate": "learning rate"}[key])
        axis.set_xlabel("step")
    plt.tight_layout()
    plt.savefig(out, dpi=80)
    plt.close()


def misses(cases: list[Case], threshold: float) -> list[tuple[float, Case, int]]:
    """List labelled objects without a detection of their class at IoU 0.5, the worst first."""
    worst = []
    for case in cases:
        for i, (box, cls) in enumerate(zip(case.truth, case.classes, strict=True)):
            mine = case.found.classes == cls
            best = (
                float(
                    (iou(box, case.found.xyxy[mine]) >= 0.5).astype(float) @ case.found.scores[mine]
                )
                if mine.any()
                else 0.0
            )
            if best < threshold:
                worst.append((best, case, i))
    return sorted(worst, key=lambda w: w[0])


def alarms(cases: list[Case], threshold: float) -> list[tuple[float, Case, int]]:
    """List detections that touch no labelled object of their class, the surest first."""
    worst = []
    for case in cases:
        for i, (box, score, cls) in enumerate(
            zip(case.found.xyxy, case.found.scores, case.found.classes, strict=True)
        ):
            truth = case.truth[case.classes == cls]
            if score >= threshold and (not len(truth) or iou(box, truth).max() < 0.1):
                worst.append((-float(score), case, i))
    return sorted(worst, key=lambda w: w[0])


def sheet(
    worst: list[tuple[float, Case, int]],
    images: Path,
    out: Path,
    *,
    of_truth: bool,
    count: int = 24,
) -> None:
    """Draw the worst as tiles: truth white, detections in their class's colour."""
    tiles, used = [], {}
    for _, case, i in worst:
        clip = case.name.rsplit("_", 1)[0]
        if not case.name.startswith("V_") or used.get(clip, 0) >= max(2, count // 6):
            continue  # only the clips' frames are CC0
        used[clip] = used.get(clip, 0) + 1
        box = case.truth[i] if of_truth else case.found.xyxy[i]
        picture = cv2.imread(str(images / case.name))
        half = max(32.0, float((box[2:] - box[:2]).max()) * 0.8)
        centre = (box[:2] + box[2:]) / 2
        corner = centre - half
        zoom = TILE / (2 * half)
        matrix = np.array([[zoom, 0, -corner[0] * zoom], [0, zoom, -corner[1] * zoom]])
        tile = cv2.warpAffine(
            picture, matrix, (TILE, TILE), flags=cv2.INTER_LINEAR, borderValue=(114, 114, 114)
        )

        def draw(
            xyxy: np.ndarray,
            colour: tuple[int, int, int],
            tile: np.ndarray = tile,
            corner: np.ndarray = corner,
            zoom: float = zoom,
        ) -> None:
            a, b = (
                ((xyxy[:2] - corner) * zoom).astype(int),
                ((xyxy[2:] - corner) * zoom).astype(int),
            )
            cv2.rectangle(tile, (int(a[0]), int(a[1])), (int(b[0]), int(b[1])), colour, 1)

        for truth in case.truth:
            draw(truth, (255, 255, 255))
        for found, score, cls in zip(
            case.found.xyxy, case.found.scores, case.found.classes, strict=True
        ):
            if score > 0.2:
                draw(found, COLOURS[cls])
        word = labels.NAMES[case.classes[i] if of_truth else case.found.classes[i]]
        cv2.putText(
            tile,
            word[:10],
            (2, TILE - 4),
            cv2.FONT_HERSHEY_SIMPLEX,
            0.35,
            (255, 255, 255),
            1,
            cv2.LINE_AA,
        )
        tiles.append(tile)
        if len(tiles) == count:
            break
    while len(tiles) % 8 or not tiles:
        tiles.append(np.full((TILE, TILE, 3), 40, np.uint8))
    cv2.imwrite(
        str(out),
        np.vstack([np.hstack(tiles[i : i + 8]) for i in range(0, len(tiles), 8)]),
        [cv2.IMWRITE_JPEG_QUALITY, 85],
    )


def speed(model: Path, side: int, threads: int = 2) -> float:
    """Give the median milliseconds of one inference."""
    session = open_model(model, threads)
    x = np.random.default_rng(0).random((1, 3, side, side), np.float32)
    took = []
    for _ in range(30):
        begun = time.perf_counter()
        session.run(None, {session.get_inputs()[0].name: x})
        took.append(time.perf_counter() - begun)
    return float(np.median(took[5:]) * 1000)


def tables(results: dict[str, dict[str, Any]]) -> str:
    """Lay reports out as Markdown, one block each."""
    lines: list[str] = []
    for name, r in results.items():
        lines += [f"**{name}**, score threshold {r['threshold']}", ""]
        lines += [
            "| class | labels | AP50 | AP | F1 | best F1 @ score | centre in box | any class |"
        ]
        lines += ["|---|---|---|---|---|---|---|---|"]
        for label, c in r["per_class"].items():
            best = f"{c['best_F1']:.3f} @ {c['best_at']:.2f}"
            figures = [f"{c[key]:.3f}" for key in ("AP50", "AP", "F1")]
            recalls = [f"{c[key]:.3f}" for key in ("centre_recall", "seen_as_any")]
            lines.append(_row(label, c["truths"], *figures, best, *recalls))
        lines.append(
            _row("mean", "", *(f"{r[key]:.3f}" for key in ("AP50", "AP", "F1")), "", "", "")
        )
        craft = f"AP50 {r['craft_AP50']:.3f}, best F1 {r['craft_best_F1']:.3f}"
        empty, per_100 = r["empty_pictures"], f"{r['false_alarms_per_100_empty']:.1f}"
        lines += ["", f"Aircraft of any class: {craft}."]
        lines += [f"False alarms per 100 aircraft-free pictures ({empty}): {per_100}."]
        lines += [
            "",
            "| label side (px) | labels | recall at IoU 0.5 | centre in box |",
            "|---|---|---|---|",
        ]
        for key, s in r["by_size"].items():
            lines.append(
                _row(key, s["truths"], f"{s['recall50']:.3f}", f"{s['centre_recall']:.3f}")
            )
        lines.append("")
    return "\n".join(lines)


def _row(*cells: object) -> str:
    return "| " + " | ".join(str(c) for c in cells) + " |"


def write(model: Path, data: Path, log: Path | None, out: Path, threshold: float) -> str:
    """Evaluate at 640 and at 416; write tables, curves, sheets."""
    out.mkdir(parents=True, exist_ok=True)
    if log:
        curves(log, out / "curves.png")
    results = {}
    for side in (640, 416):
        cases = [case for case, _ in run(open_model(model), data, side)]
        results[f"at {side}"] = report(cases, threshold)
        if len(results) == 1:
            images = data / "images"
            sheet(misses(cases, threshold), images, out / "misses.jpg", of_truth=True)
            sheet(alarms(cases, threshold), images, out / "alarms.jpg", of_truth=False)
    words = tables(results)
    for side in (640, 416):
        words += f"\n- at {side}: {speed(model, side):.1f} ms on 2 threads"
    (out / "tables.md").write_text(words + "\n")
    (out / "results.json").write_text(json.dumps(results, indent=1))
    return words


def main() -> None:
    """Write pictures and tables."""
    parser = argparse.ArgumentParser(prog="training.card", description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--log", type=Path, help="log.csv of the run")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--threshold", type=float, default=0.35)
    args = parser.parse_args()
    print(write(args.model, args.data, args.log, args.out, args.threshold))


if __name__ == "__main__":
    main()
