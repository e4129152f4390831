"""The way of a delivered model: what was ordered, how far it is, what is in use. Pure.

    at rest -> downloading -> verifying -> building -> built -> canary -> current
                    |             |           |                    |
                    +-------------+-----------+-> failed           +-> rolled_back

What is in use changes only with `canary` (on trial) and `current` (for good), so whatever is lost
in between, the record still names a model that works. `Record` is what lies on disk; each step
gives a new one, and a step that does not follow from the last one raises.
"""

from enum import Enum
from typing import Annotated, TypeAlias

from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import Self

from spotterd.config.patterns import matching
from spotterd.config.schema import Config, Name

UNPROVEN = "The daemon ended before the model had proved itself; the one before is back."
REPLACED = "Somebody asked for the model before."

Sha256: TypeAlias = Annotated[
    str, matching(r"[0-9a-f]{64}", "64 hexadecimal digits, as `sha256sum` prints them")
]
Labels: TypeAlias = Annotated[
    tuple[Annotated[str, Field(min_length=1, max_length=64)], ...],
    Field(min_length=1, max_length=1000),
]


class Phase(str, Enum):
    """How far an order is; the values are those of `model/status`."""

    IDLE = "idle"  # nothing was ever ordered
    DOWNLOADING = "downloading"
    VERIFYING = "verifying"
    BUILDING = "building"
    BUILT = "built"  # waits for its trial
    CANARY = "canary"
    CURRENT = "current"
    ROLLED_BACK = "rolled_back"
    FAILED = "failed"


PREPARING = (Phase.DOWNLOADING, Phase.VERIFYING, Phase.BUILDING)
AT_REST = (Phase.IDLE, Phase.CURRENT, Phase.ROLLED_BACK, Phase.FAILED)


class _Saved(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Delivered(_Saved):
    """A model file that came from afar.

    Attributes:
        name: what people call it.
        sha256: of the file.
        size: of the file, bytes.
        labels: class names by index; None: those in the model's metadata.
    """

    name: Name
    sha256: Sha256
    size: int
    labels: Labels | None = None


class Order(_Saved):
    """What somebody asked for.

    Attributes:
        token: of the request; its answer comes when the order is at rest.
        url: where the file is; empty once the order is at rest (it may hold a password).
        signature: Ed25519 over the file, base64; empty: none.
        model: what will be there.
    """

    token: str
    url: str
    signature: str = ""
    model: Delivered


class Before(_Saved):
    """How the model before did, when the order came; what was not known is not judged.

    Attributes:
        latency_ms: median from capture to publishing.
        objects: mean number of objects in a frame.
    """

    latency_ms: float | None = None
    objects: float | None = None


class Record(_Saved):
    """All that is kept of delivered models.

    Attributes:
        phase: of the last order.
        reason: why it failed or was rolled back.
        order: the last one.
        history: models that proved themselves, the newest first, at most two; None stands for the
            configuration's own.
        before: what the model on trial is compared with.
    """

    phase: Phase = Phase.IDLE
    reason: str = ""
    order: Order | None = None
    history: tuple[Delivered | None, ...] = (None,)
    before: Before = Before()

    @property
    def current(self) -> Delivered | None:
        """The newest model that proved itself; None: the configuration's own."""
        return self.history[0]

    @property
    def in_use(self) -> Delivered | None:
        """What detects, or should: the model on trial, else the current one."""
        return self.order.model if self.order and self.phase is Phase.CANARY else self.current

    @property
    def fulfilled(self) -> bool:
        """At rest: whether the last request got what it asked for."""
        return self.phase is Phase.CURRENT or self.reason == REPLACED

    @property
    def wanted(self) -> Order:
        """The order that is worked on."""
        if self.order is None:
            raise ValueError(f"nothing was ordered ({self.phase.value})")
        return self.order

    def ordered(self, order: Order, before: Before) -> Self:
        """Somebody asks for a model."""
        return self._step(AT_REST, Phase.DOWNLOADING, order=order, before=before)

    def downloaded(self) -> Self:
        """The file is there, whole."""
        return self._step((Phase.DOWNLOADING,), Phase.VERIFYING)

    def verified(self) -> Self:
        """It is what was ordered, and a model that can be used."""
        return self._step((Phase.VERIFYING,), Phase.BUILDING)

    def built(self) -> Self:
        """Its engine has passed the gate."""
        return self._step((Phase.BUILDING,), Phase.BUILT)

    def outdated(self) -> Self:
        """The engine was built for options that have changed meanwhile."""
        return self._step((Phase.BUILT,), Phase.BUILDING)

    def tried(self) -> Self:
        """It is about to be used."""
        return self._step((Phase.BUILT,), Phase.CANARY)

    def paused(self) -> Self:
        """The daemon ends in order; a trial begins anew at the next start."""
        return self._step((Phase.CANARY,), Phase.BUILT) if self.phase is Phase.CANARY else self

    def proven(self) -> Self:
        """The trial went well."""
        new = self.wanted.model
        history = (new, self.current) if new != self.current else self.history
        return self._rest((Phase.CANARY,), Phase.CURRENT, "", history=history)

    def failed(self, why: str) -> Self:
        """It came to nothing before it was used."""
        return self._rest((*PREPARING, Phase.BUILT), Phase.FAILED, why)

    def back(self, why: str) -> Self:
        """It was used and did not prove itself: the model before is in use again."""
        return self._rest((Phase.CANARY,), Phase.ROLLED_BACK, why)

    def swapped(self, token: str) -> Self:
        """Back to the model before, and this one is now the one before.

        Raises:
            ValueError: there is none.
        """
        now, before = self.history
        order = self.order.model_copy(update={"token": token}) if self.order else None
        return self._step(
            AT_REST, Phase.ROLLED_BACK, reason=REPLACED, order=order, history=(before, now)
        )

    def lost(self, why: str) -> Self:
        """The current model's file is damaged or gone: what was before is in use.

        An order that is worked on goes on.
        """
        history = self.history[1:] or (None,)
        if self.phase not in AT_REST:
            return self.model_copy(update={"history": history})
        return self._step(AT_REST, Phase.ROLLED_BACK, history=history, reason=why, order=None)

    def at_start(self) -> Self:
        """After a crash, a power cut, or an end in order."""
        return self.back(UNPROVEN) if self.phase is Phase.CANARY else self

    def _rest(
        self,
        at: tuple[Phase, ...],
        to: Phase,
        reason: str,
        *,
        history: tuple[Delivered | None, ...] | None = None,
    ) -> Self:
        over = self.wanted.model_copy(update={"url": "", "signature": ""})
        return self._step(at, to, reason=reason, order=over, history=history or self.history)

    def _step(self, at: tuple[Phase, ...], to: Phase, **update: object) -> Self:
        if self.phase not in at:
            raise ValueError(f"from {self.phase.value} no way leads to {to.value}")
        return self.model_copy(update={"phase": to, "reason": "", **update})


def with_model(config: Config, model: Delivered | None, file: str) -> Config:
    """A configuration whose own model yields to a delivered one, which lies in `file`."""
    if model is None:
        return config
    detector = config.detector.model_copy(update={"model": file, "labels": model.labels})
    return config.model_copy(update={"detector": detector})
