"""How much of the backend's speed reaches the broker, measured side by side in one run."""

import statistics
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

import psutil

from spotterd.config.load import Given
from spotterd.config.schema import Config
from spotterd.health.meters import Figures
from spotterd.service.bare import Bare, bare
from spotterd.service.engine import EngineKeeper
from spotterd.service.supervisor import Daemon
from spotterd.service.systemd import Notifier


@dataclass(frozen=True, slots=True)
class Whole:
    """The daemon from camera to broker.

    Attributes:
        fps: frames that went the whole way, per second.
        cpu_ms: CPU time a frame outside of inference, by thread.
        rss_mib: resident memory of the process at the end.
        figures: the daemon's own meters at the end.
    """

    fps: float
    cpu_ms: dict[str, float]
    rss_mib: float
    figures: Figures


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
    cpu_ms = {
        name: (s - began.cpu_s.get(name, 0.0)) * 1e3 / frames for name, s in ended.cpu_s.items()
    }
    letterbox = next((s.took.p50_ms for s in ended.figures.stages if s.name == "letterbox"), 0.0)
    cpu_ms["letterbox"] = letterbox
    return Whole(
        (ended.done - began.done) / (ended.at_s - began.at_s), cpu_ms, ended.rss_mib, ended.figures
    )


@dataclass(frozen=True, slots=True)
class _Sample:
    at_s: float
    done: int
    cpu_s: dict[str, float]
    rss_mib: float
    figures: Figures

    @classmethod
    def take(cls, daemon: Daemon) -> "_Sample":
        figures = daemon.figures()
        process = psutil.Process()
        return cls(
            time.perf_counter(),
            sum(camera.done for camera in figures.cameras),
            _cpu_by_thread(process),
            process.memory_info().rss / 2**20,
            figures,
        )


def _cpu_by_thread(process: psutil.Process) -> dict[str, float]:
    """CPU seconds of the threads with Python names; `detect` runs the inference and is left out."""
    names = {thread.native_id: thread.name for thread in threading.enumerate()}
    spent: dict[str, float] = {}
    for thread in process.threads():
        name = names.get(thread.id)
        if name and name not in ("detect", "MainThread"):
            spent[name] = spent.get(name, 0.0) + thread.user_time + thread.system_time
    return spent
