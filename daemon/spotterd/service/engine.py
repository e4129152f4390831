"""The engine for this device: loaded where it is there, else built while ONNX Runtime serves."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from spotterd.builder.store import Engine
from spotterd.builder.supervise import Build, Outcome
from spotterd.builder.wanted import engine_store, want
from spotterd.builder.wire import Progress
from spotterd.config.schema import Config
from spotterd.errors import RestartError, RetryError, SpotterdError
from spotterd.inference.base import Backend
from spotterd.inference.detector import Detector, Thresholds
from spotterd.inference.open import open_backend

log = logging.getLogger(__name__)

FAULTS_IN_A_ROW = 3  # ends of the daemon by one engine, before the plain model takes its place
PROVEN_S = 3600.0  # an engine that worked for so long does not fault every time


@dataclass(frozen=True, slots=True)
class Building:
    """A build goes on."""

    progress: Progress


@dataclass(frozen=True, slots=True)
class EngineReady:
    """A build has ended well; the detector runs on what it made and waits to be swapped in."""

    loaded: "Loaded"


@dataclass(frozen=True, slots=True)
class NoEngine:
    """A build has ended without an engine; what serves goes on serving."""

    problem: str


@dataclass(frozen=True, slots=True)
class EngineBroke:
    """What a build has made broke the GPU for this process when it was loaded."""

    error: RestartError


EngineNews: TypeAlias = Building | EngineReady | NoEngine | EngineBroke


@dataclass(frozen=True, slots=True)
class Loaded:
    """A detector and what it runs on.

    Attributes:
        detector: ready to use.
        key: of the engine's identity; empty while the plain model serves in its place.
        engine: with the figures of its gate; None as above.
        given_up: why it is the plain model that serves, though there is an engine; a sentence.
    """

    detector: Detector
    key: str = ""
    engine: Engine | None = None
    given_up: str = ""


class EngineKeeper:
    """Sees to it that the wanted engine runs: `open`, and `build` where that found no engine.

    Args:
        config: model, engines and thresholds.
        post: takes news, from the build's thread; must not block.
    """

    def __init__(self, config: Config, post: Callable[[EngineNews], None]) -> None:
        self._config = config
        self._post = post
        self._wanted = want(config.detector, config.engines)
        self._store = engine_store(config.engines)
        self._build: Build | None = None
        self._began_s = time.monotonic()

    def open(self) -> Loaded:
        """The wanted engine if it needs no building, else the plain model on ONNX Runtime.

        Raises:
            BadInputError: the model, its labels or the options cannot be used.
            RestartError: the engine has broken what only a new process can have again.
        """
        faults = self._store.faults(self._wanted.identity)
        if faults >= FAULTS_IN_A_ROW:
            return self._plain(
                f"The engine ended the daemon {faults} times in a row and is not used any more. "
                "`spotterd request NODE rebuild` builds it anew."
            )
        engine = self._wanted.find()
        if engine is not None:
            try:
                return self._loaded(engine)
            except RestartError:
                self.faulted()
                raise
            except SpotterdError as error:
                log.warning("The engine that is there does not run: %s Building it anew.", error)
                try:
                    self.drop()
                except RetryError as stays:
                    return self._plain(str(stays))
        return self._plain()

    def drop(self) -> None:
        """Forget the kept engine, so that the next `open` leads to a build.

        Raises:
            RetryError: the disk does not let it go.
        """
        self._store.drop(self._wanted.identity)

    def faulted(self) -> None:
        """Note that the engine ends this process, so that it cannot do so for ever."""
        proven = time.monotonic() - self._began_s >= PROVEN_S
        before = 0 if proven else self._store.faults(self._wanted.identity)
        self._store.note_faults(self._wanted.identity, before + 1)

    def build(self) -> None:
        """Build in the background; news tell how it goes."""
        self._build = Build(
            self._wanted, lambda progress: self._post(Building(progress)), self._ended
        )
        self._build.start()

    def cancel(self) -> None:
        """End a build that goes on."""
        if self._build is not None:
            self._build.cancel()

    def _ended(self, outcome: Outcome) -> None:
        """In the build's thread: loading takes a moment, and the old engine still works."""
        if outcome.engine is None:
            self._post(NoEngine(outcome.problem))
            return
        try:
            self._post(EngineReady(self._loaded(outcome.engine)))
        except RestartError as error:
            self.faulted()
            self._post(EngineBroke(error))
        except SpotterdError as error:
            self._post(NoEngine(str(error)))

    def _plain(self, given_up: str = "") -> Loaded:
        backend = open_backend(self._config.detector, self._config.engines)
        return Loaded(self._on(backend), given_up=given_up)

    def _loaded(self, engine: Engine) -> Loaded:
        self._began_s = time.monotonic()
        return Loaded(self._on(self._wanted.open(engine)), self._wanted.identity.key, engine)

    def _on(self, backend: Backend) -> Detector:
        wanted = thresholds(self._config)
        try:
            return Detector(
                backend, self._wanted.labels, wanted.score, wanted.iou, wanted.max_detections
            )
        except BaseException:
            backend.close()
            raise


def thresholds(config: Config) -> Thresholds:
    """What the detector should see."""
    wanted = config.detector
    # The tracker wants the weak sightings too: they prolong tracks, they never start one.
    weakest = min(config.tracking.low_score, wanted.score)
    return Thresholds(weakest, wanted.iou, wanted.max_detections)
