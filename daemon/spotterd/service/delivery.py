"""Fetches, checks and builds a delivered model in a thread of its own; detection goes on."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from spotterd.builder.supervise import Build, look
from spotterd.builder.wanted import want
from spotterd.config.schema import Config
from spotterd.errors import BadInputError, RetryError, SpotterdError
from spotterd.events.settings import Settings
from spotterd.files import sha256_of
from spotterd.remote.fetch import Cancelled, Fetch
from spotterd.remote.model import PREPARING, Order, Phase, with_model
from spotterd.remote.modelroom import ModelRoom
from spotterd.remote.signature import check_signature

log = logging.getLogger(__name__)

LOOK_LIMIT_S = 120.0  # for a large model on a small board
TELL_S = 1.0  # between two words about progress


@dataclass(frozen=True, slots=True)
class Underway:
    """How far a phase is."""

    delivery: "Delivery"
    fraction: float
    doing: str


@dataclass(frozen=True, slots=True)
class PhaseDone:
    """A phase ended well."""

    delivery: "Delivery"
    phase: Phase


@dataclass(frozen=True, slots=True)
class Undelivered:
    """Nothing came of it."""

    delivery: "Delivery"
    why: str


ModelNews: TypeAlias = Underway | PhaseDone | Undelivered


@dataclass
class Delivery:
    """One order on its way, from a phase on.

    Args:
        order: what to fetch.
        phase: to begin with.
        config: in force; the engine is built for it.
        room: where the file goes; its record is not touched here.
        post: takes news, from the thread; must not block.
    """

    order: Order
    phase: Phase
    config: Config
    room: ModelRoom
    post: Callable[[ModelNews], None]
    _stop: threading.Event = field(default_factory=threading.Event)
    _build: Build | None = None
    _told_s: float = 0.0

    def start(self) -> None:
        """Begin."""
        threading.Thread(target=self._run, name="model", daemon=True).start()

    def cancel(self) -> None:
        """End soon, without further news."""
        self._stop.set()
        if self._build is not None:
            self._build.cancel()

    def fits(self, config: Config) -> bool:
        """Whether the engine that was built is the one that `config` wants."""
        built = self.config
        wanted = (config.engines, config.detector.input_size)
        return (built.engines, built.detector.input_size) == wanted

    def _run(self) -> None:
        works = (self._fetch, self._verify, self._construct)
        try:
            for phase, work in zip(PREPARING, works, strict=True):
                if PREPARING.index(phase) < PREPARING.index(self.phase):
                    continue
                work()
                if self._stop.is_set():
                    return
                self.post(PhaseDone(self, phase))
        except Cancelled:
            return
        except SpotterdError as error:
            self.post(Undelivered(self, str(error)))
        except Exception as error:  # outermost of this thread; whoever asked must hear
            log.exception("A defect while a model is delivered")
            self.post(Undelivered(self, f"A defect: {error!r}."))

    def _fetch(self) -> None:
        """Get the file, whole; a part of unknown origin that spoils it is thrown away once."""
        model, part = self.order.model, self.room.part(self.order)
        if not self.room.damage(model):
            return  # it was fetched before
        settings = self.config.remote.models
        fetch = Fetch(
            self.order.url,
            model.size,
            settings.download_s,
            settings.ca_file,
            self._stop,
            self._progress,
        )
        while True:
            resumed = part.exists()
            fetch.into(part)
            if sha256_of(part) == model.sha256:
                self.room.take_in(self.order)
                return
            part.unlink()
            if not resumed:
                raise BadInputError("The file's SHA-256 is not the one that was told.")

    def _verify(self) -> None:
        """See that it is the file that was ordered, by whom it should be, and usable here."""
        model, config = self.order.model, self._config
        if damage := self.room.damage(model):
            raise RetryError(f"The file that was fetched {damage}. Ask again.")
        if key := config.remote.models.public_key:
            check_signature(self.room.file(model), self.order.signature, Path(key).expanduser())
        look(config.detector, config.engines, LOOK_LIMIT_S)
        wanted = want(config.detector, config.engines)
        own = wanted.info.labels
        if key and own and own != wanted.labels:
            raise BadInputError(
                f"The labels are not those in the signed file: {', '.join(own)}. Leave them out."
            )
        for camera in config.cameras:
            Settings.of(config.events, camera, wanted.labels)

    def _construct(self) -> None:
        """Build its engine, which the gate compares with the model's own FP32."""
        config = self._config
        wanted = want(config.detector, config.engines)
        self._build = Build(wanted, lambda told: self._progress(told.fraction, told.step))
        if self._stop.is_set():
            raise Cancelled
        self._build.start()
        outcome = self._build.wait()
        if outcome is None or outcome.engine is None:
            raise RetryError(outcome.problem if outcome else "The build was ended.")

    @property
    def _config(self) -> Config:
        """With the new model in the place of the one in use."""
        model = self.order.model
        return with_model(self.config, model, str(self.room.file(model)))

    def _progress(self, fraction: float, doing: str) -> None:
        now_s = time.monotonic()
        if now_s - self._told_s >= TELL_S:
            self._told_s = now_s
            self.post(Underway(self, fraction, doing))
