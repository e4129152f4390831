"""How much of the backend's speed reaches the broker, measured side by side in one run."""

import re
import statistics
import subprocess
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from queue import Empty, SimpleQueue
from tempfile import NamedTemporaryFile

import yaml
from typing_extensions import Self

from spotterd.config.load import Given
from spotterd.config.schema import Config
from spotterd.errors import RetryError
from spotterd.health.meters import Figures
from spotterd.service.bare import Bare
from spotterd.service.leash import started
from spotterd.service.ledger import Ledger
from spotterd.service.supervisor import Daemon
from spotterd.service.systemd import Notifier

START_S = 5.0  # until a daemon works, generously
WARM_UP_S = 1.0  # of which nothing is told: tracks begin, pools fill


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
    """Frames/s of the daemon for a while, and of the backend alone: mean of before and after."""

    fps: float
    bare_fps: float

    @property
    def efficiency(self) -> float:
        """End-to-end frames/s over bare frames/s."""
        return self.fps / self.bare_fps


@dataclass(frozen=True, slots=True)
class Measured:
    """What came of all rounds.

    Attributes:
        rounds: in their order.
        bare_ms: median of an inference in the backend alone.
        cpu_ms: CPU time a frame outside of inference, by thread.
        figures: the daemon's own meters at the end.
    """

    rounds: list[Round]
    bare_ms: float
    cpu_ms: dict[str, float]
    figures: Figures

    @property
    def middle(self) -> Round:
        """The round of median efficiency; of two, the lower."""
        return sorted(self.rounds, key=lambda one: one.efficiency)[(len(self.rounds) - 1) // 2]


def measure(
    config: Config, seconds: float, count: int, progress: Callable[[float, str], None]
) -> Measured:
    """Let a daemon work, and halt it every few seconds to measure its backend alone.

    So both are the same process, memory and model, and a machine that slows down slows both.

    Args:
        config: its cameras must be recordings that loop, or live ones faster than the backend.
        seconds: for each measurement.
        count: rounds; there is one halt more.
        progress: told how far it is, 0..1, and what comes next.

    Raises:
        BadInputError: the source or the model will never work.
        RetryError: no picture came.
    """
    with _Subject(config) as subject:
        subject.work(WARM_UP_S)
        progress(0.0, "the bare backend")
        halts = [subject.halt(seconds)]
        for number in range(count):
            progress(number / count, "camera to broker")
            subject.work(seconds)
            progress((number + 0.5) / count, "the bare backend")
            halts.append(subject.halt(seconds))
    progress(1.0, "")
    first, last = halts[0], halts[-1]
    if last.done == first.done:
        raise RetryError("The source gave no picture; `spotterd doctor --camera` tells why.")
    return Measured(
        [after.round_since(before) for before, after in pairwise(halts)],
        statistics.median(halt.bare.median_ms for halt in halts),
        last.cpu_ms_since(first),
        last.figures,
    )


@dataclass(frozen=True, slots=True)
class _Halt:
    """A measurement of the backend alone, and what the daemon had done and spent at its end."""

    bare: Bare
    done: int
    ledger: Ledger
    figures: Figures

    def round_since(self, before: "_Halt") -> Round:
        """The daemon between two halts."""
        fps = (self.done - before.done) / (self.bare.began_s - before.bare.ended_s)
        return Round(fps, (before.bare.fps + self.bare.fps) / 2)

    def cpu_ms_since(self, before: "_Halt") -> dict[str, float]:
        """CPU time a frame outside of inference, by thread."""
        infer_s = self.figures.cpu_s["infer"] - before.figures.cpu_s["infer"]
        outside_s = self.ledger.since(before.ledger, infer_s)
        return {name: s * 1e3 / (self.done - before.done) for name, s in outside_s.items()}


class _Subject:
    """A daemon that runs in this process, in a thread of its own."""

    def __init__(self, config: Config) -> None:
        self._daemon = Daemon(Given(None, config.model_dump(mode="json"), {}), Notifier())
        self._news: SimpleQueue[Bare | Exception] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="main")

    def __enter__(self) -> Self:
        self._thread.start()
        self._daemon.running.wait(START_S)
        return self

    def __exit__(self, *_: object) -> None:
        self._daemon.stop("the measurement is over")
        self._thread.join()

    def _run(self) -> None:
        try:
            self._daemon.run()
            self._news.put(RetryError("The daemon that was to be measured ended by itself."))
        except Exception as error:  # noqa: BLE001 (outermost of this thread; raised by who waits)
            self._news.put(error)

    def work(self, seconds: float) -> None:
        """Let it work undisturbed for so long; raises what ended it before."""
        with suppress(Empty):
            self._heard(seconds)

    def halt(self, seconds: float) -> _Halt:
        """Measure its backend alone for so long; raises what ended it before."""
        self._daemon.measure(seconds, self._news.put)
        measured = self._heard(None)
        figures = self._daemon.figures()
        done = sum(camera.done for camera in figures.cameras)
        return _Halt(measured, done, Ledger.now(), figures)

    def _heard(self, timeout_s: float | None) -> Bare:
        news = self._news.get(timeout=timeout_s)
        if isinstance(news, Exception):
            raise news
        return news


def memory(config: Config, seconds: float) -> Memory:
    """Let a plain `spotterd run` work for so long, and look at its memory.

    Raises:
        RetryError: it ended by itself.
    """
    with NamedTemporaryFile("w", suffix=".yaml", encoding="utf-8") as file:
        yaml.safe_dump(config.model_dump(mode="json", exclude_unset=True), file)
        file.flush()
        with started(["run", "--config", file.name], stderr=subprocess.DEVNULL) as child:
            try:
                child.wait(START_S + seconds)
            except subprocess.TimeoutExpired:
                return Memory.of(child.pid)
            finally:
                child.terminate()
    raise RetryError("The daemon that was to be measured ended; `spotterd run` will tell why.")
