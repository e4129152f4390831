"""How much of the backend's speed reaches the broker, measured side by side in one run."""

import re
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile

import yaml

from spotterd.config.load import Given
from spotterd.config.schema import Config
from spotterd.errors import RetryError
from spotterd.health.meters import Figures
from spotterd.service.bare import Bare, bare
from spotterd.service.engine import EngineKeeper
from spotterd.service.ledger import Ledger
from spotterd.service.supervisor import Daemon
from spotterd.service.systemd import Notifier

START_S = 5.0  # until a daemon works, generously


@dataclass(frozen=True, slots=True)
class Whole:
    """The daemon from camera to broker.

    Attributes:
        fps: frames that went the whole way, per second.
        cpu_ms: CPU time a frame outside of inference, by thread.
        figures: the daemon's own meters at the end.
    """

    fps: float
    cpu_ms: dict[str, float]
    figures: Figures


@dataclass(frozen=True, slots=True)
class Memory:
    """Resident memory of a process, now and at most."""

    rss_mib: float
    peak_mib: float

    @classmethod
    def of(cls, pid: int) -> "Memory":
        """As the kernel tells it."""
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
        kib = dict(re.findall(r"^(VmRSS|VmHWM):\s*(\d+) kB$", status, re.MULTILINE))
        return cls(int(kib["VmRSS"]) / 1024, int(kib["VmHWM"]) / 1024)


@dataclass(frozen=True, slots=True)
class Round:
    """One pair of measurements, one right after the other."""

    bare: Bare
    whole: Whole

    @property
    def efficiency(self) -> float:
        """End-to-end frames/s over bare frames/s."""
        return self.whole.fps / self.bare.fps


def rounds(
    config: Config, seconds: float, count: int, progress: Callable[[float, str], None]
) -> list[Round]:
    """Measure in turns, so that a machine that slows down slows both.

    Args:
        config: its cameras must be recordings that loop, or live ones faster than the backend.
        seconds: for each measurement.
        count: pairs of measurements.
        progress: told how far it is, 0..1, and what comes next.
    """
    measured = []
    for number in range(count):
        progress(number / count, "the bare backend")
        alone = _bare(config, seconds)
        progress((number + 0.5) / count, "camera to broker")
        measured.append(Round(alone, _whole(config, seconds)))
    progress(1.0, "")
    return measured


def middle(measured: list[Round]) -> Round:
    """The round of median efficiency."""
    median = statistics.median_low(round_.efficiency for round_ in measured)
    return next(round_ for round_ in measured if round_.efficiency == median)


def _bare(config: Config, seconds: float) -> Bare:
    detector = EngineKeeper(config, lambda _news: None).open().detector
    try:
        return bare(detector, seconds)
    finally:
        detector.backend.close()


def _whole(config: Config, seconds: float) -> Whole:
    """Run the daemon in this process and look at it from outside."""
    daemon = Daemon(Given(None, config.model_dump(mode="json"), {}), Notifier())
    failure: list[Exception] = []

    def run() -> None:
        try:
            daemon.run()
        except Exception as error:  # noqa: BLE001 (outermost of this thread; raised below)
            failure.append(error)

    thread = threading.Thread(target=run, name="main")
    thread.start()
    try:
        daemon.running.wait(30)
        began = _Sample.take(daemon)
        thread.join(seconds)
        ended = _Sample.take(daemon)
    finally:
        daemon.stop("the measurement is over")
        thread.join()
    if failure:
        raise failure[0]
    frames = max(1, ended.done - began.done)
    infer_s = ended.figures.cpu_s["infer"] - began.figures.cpu_s.get("infer", 0.0)
    outside_s = ended.ledger.since(began.ledger, infer_s)
    return Whole(
        (ended.done - began.done) / (ended.at_s - began.at_s),
        {name: s * 1e3 / frames for name, s in outside_s.items()},
        ended.figures,
    )


@dataclass(frozen=True, slots=True)
class _Sample:
    at_s: float
    done: int
    ledger: Ledger
    figures: Figures

    @classmethod
    def take(cls, daemon: Daemon) -> "_Sample":
        figures = daemon.figures()
        done = sum(camera.done for camera in figures.cameras)
        return cls(time.perf_counter(), done, Ledger.now(), figures)


def memory(config: Config, seconds: float) -> Memory:
    """Let a plain `spotterd run` work for so long, and look at its memory.

    Raises:
        RetryError: it ended by itself.
    """
    with NamedTemporaryFile("w", suffix=".yaml", encoding="utf-8") as file:
        yaml.safe_dump(config.model_dump(mode="json", exclude_unset=True), file)
        file.flush()
        command = [sys.executable, "-m", "spotterd", "run", "--config", file.name]
        child = subprocess.Popen(command, stderr=subprocess.DEVNULL)  # noqa: S603 (ourselves)
        try:
            child.wait(START_S + seconds)
        except subprocess.TimeoutExpired:
            return Memory.of(child.pid)
        finally:
            child.terminate()
            child.wait()
    raise RetryError("The daemon that was to be measured ended; `spotterd run` will tell why.")
