"""When a live picture was taken."""

import time

from spotterd.camera.base import Shot
from spotterd.data import Pixels

OLDEST_NS = 2_000_000_000  # a driver's stamp further back is of another clock


def taken_ns(stamp_ns: int, now_ns: int) -> int:
    """The driver's stamp if it can be of CLOCK_MONOTONIC, else now."""
    return stamp_ns if 0 <= now_ns - stamp_ns < OLDEST_NS else now_ns


def live_shot(pixels: Pixels, stamp_ns: int = 0) -> Shot:
    """A picture that just came from a camera, with the driver's stamp if it gave one."""
    now_ns, wall_ns = time.monotonic_ns(), time.time_ns()
    captured_ns = taken_ns(stamp_ns, now_ns)
    return Shot(pixels, captured_ns, captured_ns, wall_ns - (now_ns - captured_ns))
