"""Keeps one camera going: reads, notices silence, reconnects, and says how it is."""

import random
import threading
import time
from collections.abc import Callable
from typing import Final, Literal

from spotterd.camera.base import CameraStatus, Shot, Source, Vitals
from spotterd.camera.chronicle import Chronicle
from spotterd.camera.open import open_source
from spotterd.camera.pace import Pace, Rate
from spotterd.camera.pool import FramePool
from spotterd.camera.quality import IS_FROZEN, Quality
from spotterd.camera.recovery import Recovery, State
from spotterd.camera.session import Session
from spotterd.config.schema import Camera
from spotterd.data import Frame
from spotterd.errors import BadInputError, RetryError

CONNECTING = "Connecting."
POOL_SIZE = 8  # frames between the camera and the last stage that looks at pixels
CONNECT_LIMIT_S = 15.0  # longer than the time-outs of the libraries that connect
GRACE_S = 1.0  # for a stalled read to end after it was aborted
MOST_HUNG = 4  # reads left behind in a dead driver; no more attempts until one returns

TOLD: Final[dict[State, Literal["online", "stalled", "offline"]]] = {
    State.CONNECTING: "offline",
    State.STREAMING: "online",
    State.STALLED: "stalled",
    State.BACKING_OFF: "offline",
}


class CameraReader:
    """Reads one camera for ever, or one recording to its end.

    Two threads: one reads (and is left behind if a driver hangs, see `Session`), one watches it.

    Args:
        name: the camera's name in topics.
        config: what to read and how.
        deliver: called in the reading thread with every frame and whether it is live; the frame
            must be released once. For recordings it may block until there is room.
        on_status: called whenever the state changes; must not block.
        opener: opens what `config` names.

    Attributes:
        ended: set when the recording is over, after `stop`, or together with `error`.
        error: why this camera will never work, if that is so.
        frames: read so far.
        reconnects: times it came back after having been lost.
    """

    def __init__(
        self,
        name: str,
        config: Camera,
        deliver: Callable[[Frame, bool], None],
        on_status: Callable[[CameraStatus], None],
        opener: Callable[[Camera], Source] = open_source,
    ) -> None:
        self.ended = threading.Event()
        self.error: BadInputError | None = None
        self.frames = 0
        self.reconnects = 0
        self.pool = FramePool(POOL_SIZE)
        self._name = name
        self._config = config
        self._deliver = deliver
        self._on_status = on_status
        self._opener = opener
        self._pace = Pace(config.max_fps)
        self._rate = Rate()
        self._quality = Quality()
        self._warnings: tuple[str, ...] = ()
        self._recovery = Recovery.start(time.monotonic_ns())
        self._moving = threading.Lock()  # both threads move the state
        self._progress_ns = time.monotonic_ns()
        self._chronicle = Chronicle(name)
        self._session: Session | None = None
        self._left_behind: list[Session] = []
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._stop_timeout_s = GRACE_S
        self._thread = threading.Thread(
            target=self._watch, name=f"camera-{name}-watch", daemon=True
        )

    @property
    def hung(self) -> int:
        """Reads that hang in a driver now, in threads left behind."""
        return sum(not session.done for session in self._left_behind)

    @property
    def progress_ns(self) -> int:
        """CLOCK_MONOTONIC when it last got on: a frame, or a step of recovery.

        In good order never older than `stall_timeout_s` (15 s while connecting) plus 3 s. While
        downstream has the turn the camera is not to blame: then it is now.
        """
        now_ns = time.monotonic_ns()
        session = self._session
        if session is not None and session.silent_ns(now_ns) is None and not session.done:
            return now_ns
        return self._progress_ns

    def vitals(self) -> Vitals:
        """How the camera does now."""
        now_ns = time.monotonic_ns()
        age_ns = self._rate.age_ns(now_ns)
        return Vitals(self._rate.fps(now_ns), age_ns, self.reconnects, self.hung)

    def start(self) -> None:
        """Begin to connect; returns at once."""
        self._thread.start()

    def stop(self, timeout_s: float) -> None:
        """End both threads; a read that hangs in a driver is left behind after `timeout_s`."""
        self._stop_timeout_s = timeout_s
        self._stopping.set()
        self._wake.set()
        self._thread.join(timeout_s + GRACE_S)

    # The watching thread

    def _watch(self) -> None:
        self._tell()
        while self._attempt() and self._pause():
            self._move(Recovery.retry)
        self.ended.set()

    def _attempt(self) -> bool:
        """Open and read until that is over; whether to try again."""
        session = Session(
            self._name,
            lambda: self._opener(self._config),
            self.pool,
            self._on_shot,
            self._wake.set,
        )
        self._session = session
        session.start()
        while not session.done:
            if self._stopping.is_set():
                self._abandon(session, self._stop_timeout_s)
                return False
            if self._gave_up(session):
                return True
        return self._conclude(session.error)

    def _gave_up(self, session: Session) -> bool:
        """Wait for the session to end or to be silent for too long; then leave it."""
        now_ns = time.monotonic_ns()
        stall_s = self._config.stall_timeout_s
        if self._recovery.state is State.CONNECTING:
            stall_s = max(stall_s, CONNECT_LIMIT_S)
        silent_s = (session.silent_ns(now_ns) or 0) / 1e9
        if silent_s < stall_s:
            self._wake.wait(stall_s - silent_s)
            self._wake.clear()
            return False
        reason = f"No picture for {silent_s:.1f} s; the camera is opened again."
        self._move(lambda was, now_ns: was.silent(now_ns, reason))
        self._abandon(session, GRACE_S)
        self._lose(reason)
        return True

    def _abandon(self, session: Session, timeout_s: float) -> None:
        if session.abandon(timeout_s):
            return
        self._left_behind = [one for one in self._left_behind if not one.done] + [session]
        self._chronicle.hung()

    def _conclude(self, error: Exception | None) -> bool:
        """A session ended by itself; whether to try again."""
        if error is not None and not isinstance(error, BadInputError):
            self._lose(str(error))
            return True
        self.error = error
        if error is not None:
            self._chronicle.failed(str(error))
        reason = str(error or "The recording is over.")
        self.ended.set()  # before it is told: who hears that it is offline may ask for how long
        self._on_status(CameraStatus("offline", reason, time.monotonic_ns()))
        return False

    def _lose(self, reason: str) -> None:
        jitter = random.random()  # noqa: S311 (no secret)
        self._move(lambda was, now_ns: was.lost(now_ns, reason, jitter))
        fresh = self._recovery.failures == 1
        self._chronicle.lost(reason, self._recovery.since_ns, fresh=fresh)

    def _pause(self) -> bool:
        """Wait until the next attempt is due and the driver is not full of hung reads."""
        wait_ns = self._recovery.retry_ns - time.monotonic_ns()
        stopped = self._stopping.wait(max(0, wait_ns) / 1e9)
        while self.hung >= MOST_HUNG and not stopped:
            self._progress_ns = time.monotonic_ns()
            stopped = self._stopping.wait(1.0)
        return not stopped

    # The reading thread

    def _on_shot(self, source: Source, shot: Shot) -> None:
        self._progress_ns = time.monotonic_ns()
        if self._recovery.state is not State.STREAMING:
            self._connected()
        seq, self.frames = self.frames, self.frames + 1
        self._rate.step(shot.captured_ns)
        if source.live:
            self._judge(shot)
        release = self.pool.lend(shot.pixels)
        if not self._passes(shot, live=source.live):
            release()
            return
        stamps = (shot.captured_ns, shot.stream_ns, shot.wall_ns)
        self._deliver(Frame(self._name, seq, *stamps, shot.pixels, release), source.live)
        self._progress_ns = time.monotonic_ns()

    def _passes(self, shot: Shot, *, live: bool) -> bool:
        """Keep to `max_fps`: skip frames of a camera, hold those of a recording back."""
        if live:
            return self._pace.passes(shot.captured_ns)
        stopped = self._stopping.wait(self._pace.wait_ns(time.monotonic_ns()) / 1e9)
        return not stopped

    def _judge(self, shot: Shot) -> None:
        """Look at the picture; one that is frozen is a reason to open the camera again, once."""
        self._quality.step(shot.pixels, shot.captured_ns)
        warnings = self._quality.warnings(shot.captured_ns)
        if warnings != self._warnings:
            self._warnings = warnings
            self._tell()
        if self._quality.stuck(shot.captured_ns):
            raise RetryError(IS_FROZEN)

    def _connected(self) -> None:
        # Before it is told: who hears that it is back may ask how often it was away.
        self.reconnects += self._chronicle.picture(time.monotonic_ns())
        self._move(Recovery.picture)
        self._wake.set()  # silence is now measured by `stall_timeout_s`

    # Both

    def _move(self, transition: Callable[[Recovery, int], Recovery]) -> None:
        with self._moving:
            now_ns = time.monotonic_ns()
            self._recovery = transition(self._recovery, now_ns)
            self._progress_ns = now_ns
        self._tell()

    def _tell(self) -> None:
        now = self._recovery
        reason = now.reason or ("" if now.state is State.STREAMING else CONNECTING)
        self._on_status(CameraStatus(TOLD[now.state], reason, now.since_ns, self._warnings))
