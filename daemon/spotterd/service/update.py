"""Model updates: takes orders, drives them on, judges the trial, and goes back where need be."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from spotterd.config.schema import Config
from spotterd.errors import RetryError
from spotterd.publish.payloads import ResponsePayload
from spotterd.remote.model import AT_REST, PREPARING, Delivered, Phase, Record, with_model
from spotterd.remote.modelroom import ModelRoom
from spotterd.remote.requests import ModelArgs
from spotterd.service.delivery import Delivery, ModelNews, Undelivered, Underway
from spotterd.service.trial import Moment, Trial

log = logging.getLogger(__name__)

VERB = "model"
STOPPED = "Somebody asked to leave it."
ON_TRIAL = "on trial"


@dataclass(frozen=True, slots=True)
class ModelAsked:
    """Somebody asked for another model, or for the one before."""

    token: str
    args: ModelArgs


class Say(Protocol):
    """What is told to the world; see `Report`."""

    def model(self, record: Record, progress: float | None, doing: str) -> None:
        """How far the last order is."""

    def response(self, payload: ResponsePayload) -> None:
        """What came of a request, or how far it is."""


class ModelUpdate:
    """Knows which model is in use, and who wants another one. Used by the main thread.

    Args:
        room: where models and the record of them lie.
        say: tells how it goes.
        post: takes news of a delivery, from any thread; must not block.
        span_s: how long a model is remembered for the comparison with the next one.
    """

    def __init__(
        self, room: ModelRoom, say: Say, post: Callable[[ModelNews], None], span_s: float
    ) -> None:
        self._room = room
        self._say = say
        self._post = post
        self._trial = Trial(span_s)
        self._delivery: Delivery | None = None
        self._overdue = self._settled()

    @property
    def on_trial(self) -> bool:
        """A new model is in use that has not proved itself."""
        return self._record.phase is Phase.CANARY

    @property
    def in_use(self) -> Delivered | None:
        """The delivered model that detects; None: the configuration's own does."""
        return self._record.in_use

    def applied_to(self, config: Config) -> Config:
        """The configuration with the model that is in use."""
        model = self._record.in_use
        return with_model(config, model, str(self._room.file(model)) if model else "")

    def start(self, config: Config) -> None:
        """Tell how things are, and go on with what was under way."""
        self._tell()
        if self._overdue and self._record.phase in AT_REST:
            self._answer()
        if self._record.phase in PREPARING:
            log.info("Going on with the delivery of a model (%s).", self._record.phase.value)
            self._deliver(config)

    def asked(self, note: ModelAsked, config: Config) -> bool:
        """Take an order; True: another model is in use from now on."""
        if note.args.rollback:
            return self._asked_back(note.token)
        order, limit = note.args.order(note.token), config.remote.models.max_mb << 20
        if self._record.phase not in AT_REST:
            doing = self._record.phase.value.replace("_", " ")
            self._refuse(note.token, f"Another model is under way ({doing}). Wait, or roll back.")
        elif order.model.size > limit:
            self._refuse(note.token, f"The model is larger than {limit} bytes, the most here.")
        else:
            self._go(self._record.ordered(order, self._trial.before))
            self._room.sweep()
            self._deliver(config)
        return False

    def heard(self, news: ModelNews, config: Config) -> bool:
        """Take in news of a delivery; True: the new model is due."""
        if news.delivery is not self._delivery:
            return False  # of one that was cancelled
        if isinstance(news, Underway):
            self._tell(news.fraction, news.doing)
            return False
        if isinstance(news, Undelivered):
            self._go(self._record.failed(news.why))
            return False
        record = self._record
        done = {
            Phase.DOWNLOADING: record.downloaded,
            Phase.VERIFYING: record.verified,
            Phase.BUILDING: record.built,
        }
        self._go(done[news.phase]())
        if self._record.phase is Phase.BUILT and not news.delivery.fits(config):
            self._go(self._record.outdated())
            self._deliver(config)
        return self._record.phase is Phase.BUILT

    def try_out(self) -> None:
        """Before a pipeline is made: if a new model waits, it is used from now on.

        Noted before anything of the model is loaded: should that end the daemon, the next start
        takes the model before.
        """
        if self._record.phase is Phase.BUILT:
            self._go(self._record.tried())

    def begun(self, moment: Moment, config: Config) -> None:
        """A pipeline has started; if it is one with a new model, its trial begins."""
        if self.on_trial:
            self._trial.begin(moment, self._record.before, config)
            self._tell(0.0, ON_TRIAL)

    def look(self, moment: Moment) -> bool:
        """See how the model does; True: it must go, and the one before is due."""
        verdict = self._trial.look(moment)
        if verdict.passed:
            self._trial.end()
            self._go(self._record.proven())
            self._room.sweep()
        elif verdict.fraction is not None:
            self._tell(verdict.fraction, ON_TRIAL)
        return bool(verdict.failed) and self.back(verdict.failed)

    def back(self, why: str) -> bool:
        """Leave a model on trial; False where there is none."""
        self._trial.end()
        if not self.on_trial:
            return False
        log.warning("The model before is taken again. %s", why)
        self._go(self._record.back(why))
        return True

    def stop(self) -> None:
        """The daemon ends in order; what was under way goes on at the next start."""
        self._cancel()
        if self.on_trial:
            self._keep(self._record.paused())

    @property
    def _record(self) -> Record:
        return self._room.record

    def _settled(self) -> bool:
        """What became of it while the daemon was away; True: something, and who asked must know."""
        record = self._record
        current = record.current
        if current is not None and (damage := self._room.damage(current)):
            why = f"The model {current.name} {damage}; the one before is in use."
            log.error("%s", why)
            record = record.lost(why)
        record = record.at_start()
        if record == self._record:
            return False
        self._keep(record)
        return True

    def _asked_back(self, token: str) -> bool:
        record = self._record
        if record.phase is Phase.CANARY:
            self.back(STOPPED)
            self._respond(token, ok=True, message="The model before is back.")
            return True
        if record.phase not in AT_REST:
            self._go(record.failed(STOPPED))
            self._respond(token, ok=True, message="The update has ended.")
            return False
        problem = self._why_not_back(record)
        if problem:
            self._refuse(token, problem)
            return False
        self._go(record.swapped(token))
        return True

    def _why_not_back(self, record: Record) -> str:
        if len(record.history) == 1:
            return "There is no model before this one."
        before = record.history[1]
        damage = self._room.damage(before) if before is not None else ""
        return f"The model before {damage}; order it anew." if damage else ""

    def _deliver(self, config: Config) -> None:
        if self._record.phase in PREPARING:
            order = self._record.wanted
            self._delivery = Delivery(order, self._record.phase, config, self._room, self._post)
            self._delivery.start()

    def _cancel(self) -> None:
        """End a delivery; its further news is not heard."""
        if self._delivery is not None:
            self._delivery.cancel()
            self._delivery = None

    def _go(self, record: Record) -> None:
        """The next step: kept first, then told; a disk that does not take it ends the update."""
        if not self._keep(record) and record.phase not in AT_REST:
            back = record.back if record.phase is Phase.CANARY else record.failed
            self._keep(back("The disk does not take the state of the update."))
        phase = self._record.phase
        log.info("Model update: %s. %s", phase.value.replace("_", " "), self._record.reason)
        self._tell()
        if phase in AT_REST:
            self._cancel()
            self._answer()

    def _keep(self, record: Record) -> bool:
        try:
            self._room.keep(record)
        except RetryError as error:
            log.error("%s", error)  # noqa: TRY400 (a sentence, not a defect)
            return False
        return True

    def _tell(self, progress: float | None = None, doing: str = "") -> None:
        self._say.model(self._record, progress, doing)
        if progress is not None and self._record.order is not None:
            self._respond(self._record.order.token, ok=True, message=doing, progress=progress)

    def _answer(self) -> None:
        """To whoever asked for what is over now."""
        record = self._record
        if record.order is None:
            return
        message = record.reason or f"{record.order.model.name} is in use."
        self._respond(record.order.token, ok=record.fulfilled, message=message)

    def _refuse(self, token: str, message: str) -> None:
        self._respond(token, ok=False, message=message)

    def _respond(
        self, token: str, *, ok: bool, message: str, progress: float | None = None
    ) -> None:
        result = {"state": self._record.phase.value}
        self._say.response(
            ResponsePayload(
                verb=VERB, token=token, ok=ok, message=message, progress=progress, result=result
            )
        )
