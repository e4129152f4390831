"""In the machine: a real V4L2 driver loses its camera in every way, again and again.

A camera of `vivid` is unplugged while it streams and plugged in again, breaks its stream, is
disconnected, and falls silent; the others must not notice. usage: cycles.py [CYCLES]
"""

import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from spotterd.camera.base import CameraStatus
from spotterd.camera.open import open_source
from spotterd.camera.reader import CameraReader
from spotterd.config.schema import Camera
from spotterd.data import Frame, is_nv12

DRIVER = Path("/sys/bus/platform/drivers/vivid")
STALL_S = 2.0
RECOVER_S = 5.0
WAIT_S = 0.5
MODE = "width=320&height=180&fps=15"
KEEPS = 0.95
MODPROBE = "modprobe vivid n_devs=2 node_types=0x1,0x1 input_types=0x00,0x00 num_inputs=1,1"


@dataclass(eq=False)
class Watched:
    """A camera and what came of it."""

    source: str
    told: list[CameraStatus] = field(default_factory=list)
    stamps: list[int] = field(default_factory=list)
    other: int = 0
    judged: list[tuple[int, int]] = field(default_factory=list)
    news: threading.Condition = field(default_factory=threading.Condition)

    def __post_init__(self) -> None:
        config = Camera(source=self.source, stall_timeout_s=STALL_S)
        name = self.source.partition("?")[0].strip("/:").replace("/", "-")
        self.reader = CameraReader(name, config, self._take, self._tell)
        self.reader.start()

    def _take(self, frame: Frame, _live: bool) -> None:
        frame.release()
        with self.news:
            self.other += not is_nv12(frame.pixels)
            self.stamps.append(time.monotonic_ns())
            self.news.notify_all()

    def _tell(self, status: CameraStatus) -> None:
        with self.news:
            self.told.append(status)
            self.news.notify_all()

    def wait(self, what: Callable[[], object], timeout_s: float = 30.0) -> bool:
        with self.news:
            return bool(self.news.wait_for(what, timeout_s))

    def count(self, since_ns: int, until_ns: int) -> int:
        return sum(since_ns <= stamp < until_ns for stamp in self.stamps)

    def kept(self, normal_fps: float) -> float:
        """Share of its normal rate in the spans that are judged."""
        expected = sum(until_ns - since_ns for since_ns, until_ns in self.judged) / 1e9 * normal_fps
        return sum(self.count(*span) for span in self.judged) / expected


def v4l2_ctl(*words: str) -> None:
    subprocess.run(["v4l2-ctl", "-d", "/dev/video0", *words], check=False, capture_output=True)


def unplug() -> None:
    (DRIVER / "unbind").write_text("vivid.0")
    time.sleep(1.0)  # out of the socket
    (DRIVER / "bind").write_text("vivid.0")


FAULTS: dict[str, Callable[[], None]] = {
    "unplugged": unplug,
    "stream error": lambda: v4l2_ctl("-c", "inject_fatal_streaming_error=1"),
    "disconnected": lambda: v4l2_ctl("-c", "disconnect=1"),
    "silent": lambda: v4l2_ctl("-c", "percentage_of_dropped_buffers=100"),
}


def cycle(camera: Watched, fault: str) -> float:
    """Make the fault; seconds from when pictures were possible again until the first one."""
    told, reconnects = len(camera.told), camera.reader.reconnects
    FAULTS[fault]()
    if fault == "silent":
        noticed = camera.wait(lambda: any(one.state == "stalled" for one in camera.told[told:]))
        assert noticed, "silence was not noticed"
        v4l2_ctl("-c", "percentage_of_dropped_buffers=0")
    possible_ns = time.monotonic_ns()
    back = camera.wait(lambda: camera.reader.reconnects > reconnects)
    assert back, f"not back from '{fault}': {camera.told[-1]}"
    return (time.monotonic_ns() - possible_ns) / 1e9


def age_of_one_that_waited() -> float:
    """Seconds since a picture was taken that waited in the driver: its stamp is the driver's."""
    # By default vivid stamps the end of a picture that is not over yet.
    start = {"timestamp_source": 1}
    source = open_source(Camera(source=f"/dev/video0?{MODE}", controls=start))
    source.read(None)
    time.sleep(WAIT_S)
    shot = source.read(None)
    age_ns = time.monotonic_ns() - (shot.captured_ns if shot else 0)
    source.close()
    return age_ns / 1e9


def leakable() -> tuple[int, int]:
    """Open files and threads of this process."""
    return len(list(Path("/proc/self/fd").iterdir())), threading.active_count()


def main() -> int:
    cycles = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    subprocess.run(MODPROBE.split(), check=True)
    waited_s = age_of_one_that_waited()
    print(f"a picture that waited {WAIT_S} s in the driver is {waited_s:.2f} s old", flush=True)
    bad = Watched(f"/dev/video0?{MODE}")
    # One vivid is one device with two cameras: pulled out, it takes the second one along. That one
    # is judged by the other faults, the made-up sky by all.
    twin = Watched(f"/dev/video1?{MODE}")
    sky = Watched("sim:?size=320x180&fps=15")
    cameras = (bad, twin, sky)
    for camera in cameras:
        assert camera.wait(lambda camera=camera: len(camera.stamps) > 15), "no pictures"
    began_ns = time.monotonic_ns()
    time.sleep(8)
    until_ns = time.monotonic_ns()
    normal = {
        one: one.count(began_ns, until_ns) * 1e9 / (until_ns - began_ns) for one in (twin, sky)
    }
    before = leakable()
    rates = ", ".join(f"{fps:.1f}" for fps in normal.values())
    print(f"normal: {rates} fps; {before[0]} files, {before[1]} threads", flush=True)

    took_s = []
    for n in range(cycles):
        fault, began_ns = list(FAULTS)[n % len(FAULTS)], time.monotonic_ns()
        took_s.append(cycle(bad, fault))
        time.sleep(1.0)
        until_ns = time.monotonic_ns()
        sky.judged.append((began_ns, until_ns))
        if fault != "unplugged":
            twin.judged.append((began_ns, until_ns))
        assert twin.wait(lambda: twin.told[-1].state == "online"), "the twin did not come back"
        print(f"{n + 1:2d} {fault:13s} back after {took_s[-1]:.2f} s", flush=True)

    kept = [one.kept(fps) for one, fps in normal.items()]
    time.sleep(1.0)
    leaks = [after - now for now, after in zip(before, leakable(), strict=True)]
    leaks.append(bad.reader.hung)
    print(f"slowest recovery {max(took_s):.2f} s (at most {RECOVER_S})")
    print(f"others kept {kept[0]:.3f} and {kept[1]:.3f} of their rate (at least {KEEPS})")
    print(
        f"pictures that are not NV12 as the driver gave them: {[one.other for one in (bad, twin)]}"
    )
    print(f"leaks of files, threads and hung reads: {leaks}", flush=True)
    for camera in cameras:
        camera.reader.stop(3.0)
    good = max(took_s) <= RECOVER_S and min(kept) >= KEEPS and not any(leaks)
    good &= waited_s > WAIT_S / 2 and not (bad.other or twin.other)
    print("vm-test:", "passed" if good else "FAILED", flush=True)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
