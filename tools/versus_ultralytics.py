"""The same model and clip through Ultralytics and through spotterd, side by side.

usage: make bench ULTRALYTICS=/path/to/python CLIP=clip.mp4

Each against its own bare backend, too: Ultralytics lets ONNX Runtime's threads spin while they
wait, which spotterd does not. Ultralytics is AGPL-3.0 and no part of spotterd: it is measured in an
environment of its own, if you have made one. Run this file with that environment's Python;
$SPOTTERD is the command to measure.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

WARM_UP = 5
FRAMES = 200
INPUT = (1, 3, 640, 640)
TURNS = 3


@dataclass(frozen=True)
class Speed:
    """Frames/s, and CPU time of the process a frame."""

    fps: float
    cpu_ms: float


@dataclass(frozen=True)
class Told:
    """One system: from clip to results, against its backend alone."""

    fps: float
    efficiency: float
    outside_ms: float

    def __str__(self) -> str:
        return (
            f"{self.fps:6.2f} frames/s, {self.efficiency:.3f} of its bare backend, "
            f"{self.outside_ms:.1f} ms of CPU a frame outside inference"
        )


def measure(step: Callable[[], object]) -> Speed:
    """Of a step that does one frame."""
    for _ in range(WARM_UP):
        step()
    began_s, cpu_s = time.perf_counter(), time.process_time()
    for _ in range(FRAMES):
        step()
    took_s, spent_s = time.perf_counter() - began_s, time.process_time() - cpu_s
    return Speed(FRAMES / took_s, spent_s / FRAMES * 1e3)


def ultralytics(clip: str, model: str) -> Told:
    """`predict(stream=True)`, results read and thrown away; then a session as it opens one."""
    import numpy as np  # noqa: PLC0415 (only here)
    import onnxruntime  # noqa: PLC0415
    from ultralytics import YOLO  # noqa: PLC0415

    results = YOLO(model, task="detect").predict(
        clip, stream=True, verbose=False, conf=0.35, iou=0.6, imgsz=INPUT[2], device="cpu"
    )
    try:
        whole = measure(lambda: next(results))
    except StopIteration:
        raise SystemExit(f"{clip} is too short: {WARM_UP + FRAMES} pictures are needed.") from None
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    feed = {session.get_inputs()[0].name: np.zeros(INPUT, np.float32)}
    bare = measure(lambda: session.run(None, feed))
    return Told(whole.fps, whole.fps / bare.fps, whole.cpu_ms - bare.cpu_ms)


def spotterd(clip: str, command: list[str]) -> Told:
    """What `spotterd bench` says of the same clip."""
    bench = [*command, "bench", "--json", "--rounds", "3", "--source", clip]
    done = subprocess.run(bench, check=True, capture_output=True, text=True)  # noqa: S603
    told = json.loads(done.stdout)["precisions"]["fp32"]
    return Told(told["fps"], told["efficiency"], told["cpu_ms_outside_inference"])


def main() -> None:
    """Measure both in turns, so that a busy machine slows both."""
    clip, model = sys.argv[1:3]
    command = os.environ["SPOTTERD"].split()
    ratios, ours_alone, theirs_alone = [], [], []
    for _ in range(TURNS):
        ours, theirs = spotterd(clip, command), ultralytics(clip, model)
        ratios.append(ours.fps / theirs.fps)
        ours_alone.append(ours.efficiency)
        theirs_alone.append(theirs.efficiency)
        print(f"spotterd    {ours}\nultralytics {theirs}", flush=True)
    shown = ", ".join(f"{ratio:.2f}" for ratio in ratios)
    print(f"spotterd / ultralytics: {statistics.median(ratios):.3f} (turns: {shown})")
    ours_share, theirs_share = statistics.median(ours_alone), statistics.median(theirs_alone)
    print(f"of their own bare backends: {ours_share:.3f} and {theirs_share:.3f}")


main()
