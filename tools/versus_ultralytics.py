"""The same model and clip through Ultralytics and through spotterd, side by side.

usage: make bench ULTRALYTICS=/path/to/python CLIP=clip.mp4

Ultralytics is AGPL-3.0 and no part of spotterd: it is measured in an environment of its own, if you
have made one. Run this file with that environment's Python; $SPOTTERD is the command to measure.
"""

import json
import os
import subprocess
import sys
import time

WARM_UP = 5
FRAMES = 200


def ultralytics_fps(clip: str, model: str) -> float:
    """Frames/s of `predict(stream=True)`, results read and thrown away."""
    from ultralytics import YOLO  # noqa: PLC0415 (only here)

    results = YOLO(model, task="detect").predict(
        clip, stream=True, verbose=False, conf=0.35, iou=0.6, imgsz=640, device="cpu"
    )
    for _ in range(WARM_UP):
        next(results)
    began_s = time.perf_counter()
    count = sum(1 for _ in zip(range(FRAMES), results, strict=False))
    return count / (time.perf_counter() - began_s)


def spotterd_told(clip: str, spotterd: list[str]) -> dict[str, float]:
    """What `spotterd bench` says of the same clip."""
    command = [*spotterd, "bench", "--json", "--rounds", "1", "--source", clip]
    done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603
    told: dict[str, float] = json.loads(done.stdout)["precisions"]["fp32"]
    return told


def main() -> None:
    """Measure both in turns, so that a busy machine slows both."""
    clip, model = sys.argv[1:3]
    spotterd = os.environ["SPOTTERD"].split()
    ratios, efficiencies = [], []
    for _ in range(3):
        theirs = ultralytics_fps(clip, model)
        told = spotterd_told(clip, spotterd)
        ratios.append(told["fps"] / theirs)
        efficiencies.append(theirs / told["bare_fps"])
        print(f"spotterd {told['fps']:.2f} frames/s, ultralytics {theirs:.2f} frames/s")
    print(
        f"spotterd / ultralytics: {sorted(ratios)[1]:.3f} (rounds {[round(r, 2) for r in ratios]})"
    )
    print(f"ultralytics / bare backend: {sorted(efficiencies)[1]:.3f}")


main()
