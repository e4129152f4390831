"""CPU time of a frame from a driver's memory to the network's input: NV12 as it is, and as BGR.

usage: PYTHONPATH=daemon:tests python tests/camera/measure.py
Thread time in ms, the best of seven medians of 40; the tensors' difference in grey levels.
"""

import time
from collections.abc import Callable
from statistics import median

import cv2
import numpy as np

from helpers import nv12, real_pictures
from spotterd.camera.planes import Layout, copied
from spotterd.camera.quality import Quality
from spotterd.vision.letterbox import Letterbox
from spotterd.vision.pixels import as_bgr

INPUT_HW = (512, 640)


def cost_ms(work: Callable[[], object]) -> float:
    def once() -> float:
        began = time.thread_time()
        work()
        return time.thread_time() - began

    return min(median(once() for _ in range(40)) for _ in range(7)) * 1e3


def measure(width: int, height: int) -> None:
    frames = [nv12(picture) for picture in real_pictures((width, height))]
    layout = Layout("NV12", width, height, (width, width), (0, width * height))
    memory = memoryview(frames[0].tobytes())
    luma, pairs = frames[0][:height], frames[0][height:].reshape(height // 2, width // 2, 2)
    planes, bgr = np.empty_like(frames[0]), as_bgr(frames[0])
    direct, converted = (np.zeros((1, 3, *INPUT_HW), np.float32) for _ in range(2))
    letterbox, quality = Letterbox((width, height), INPUT_HW), Quality()
    steps: dict[str, Callable[[], object]] = {
        "as BGR: convert it all": lambda: cv2.cvtColorTwoPlane(
            luma, pairs, cv2.COLOR_YUV2BGR_NV12, dst=bgr
        ),
        "as BGR: letterbox": lambda: letterbox.fill(bgr, converted, padded=True),
        "as it is: copy it": lambda: copied(memory, layout, planes),
        "as it is: letterbox": lambda: letterbox.fill(planes, direct, padded=True),
        "both: look at its quality": lambda: quality.step(planes, 1),
    }
    print(f"{width}x{height} into {INPUT_HW[1]}x{INPUT_HW[0]}")
    for name, work in steps.items():
        print(f"  {name:26s} {cost_ms(work):.2f} ms")
    levels = []
    for frame in frames:
        letterbox.fill(frame, direct)
        letterbox.fill(as_bgr(frame), converted)
        levels.append(np.abs(direct - converted).ravel() * 255)
    off = np.concatenate(levels)
    tail = np.percentile(off, 99.9)
    print(f"  tensors differ by {off.mean():.2f}, {tail:.1f} at p99.9, {off.max():.0f} at most")


if __name__ == "__main__":
    cv2.setNumThreads(1)
    print(f"OpenCV {cv2.__version__}")
    for size_wh in ((1920, 1080), (1280, 720), (640, 512)):
        measure(*size_wh)
