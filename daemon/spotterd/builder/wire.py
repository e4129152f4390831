"""What a daemon and its building child say to each other: one JSON document a line."""

from typing import Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, TypeAdapter

from spotterd.config.schema import Detector, Engines, Precision


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Request(_Message):
    """What to build.

    Attributes:
        detector: configuration of the model, as is the next one.
        engines: as said.
        smaller: do with less memory.
        leave_out: precisions that killed an earlier child.
        only_look: build nothing, only see whether the model can be used.
    """

    detector: Detector
    engines: Engines
    smaller: bool = False
    leave_out: tuple[Precision, ...] = ()
    only_look: bool = False


class Progress(_Message):
    """How far a build is.

    Attributes:
        fraction: 0..1.
        step: what is being done, for people.
        eta_s: seconds until the end, guessed from what it took so far; None at the beginning.
    """

    kind: Literal["progress"] = "progress"
    fraction: float
    step: str
    eta_s: float | None = None


class Done(_Message):
    """The engine lies in the store."""

    kind: Literal["done"] = "done"


class Failed(_Message):
    """No engine.

    Attributes:
        reason: for people, sentences.
        again: a new child may do better, with less memory or without what failed.
    """

    kind: Literal["failed"] = "failed"
    reason: str
    again: bool = False


Message: TypeAlias = Progress | Done | Failed
messages: TypeAdapter[Message] = TypeAdapter(Message)
