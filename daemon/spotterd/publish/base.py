"""What goes out, what comes in, and who keeps it meanwhile: what every file of this room speaks."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol


class Moment(NamedTuple):
    """One moment as messages tell it: UTC, a counter that never jumps, and whether to trust UTC.

    `synced` is false on a board without a clock battery until NTP has answered: 1970, then a jump.
    """

    wall_ns: int
    mono_ns: int
    synced: bool


@dataclass(frozen=True, slots=True)
class Message:
    """One message to publish. `retain` and `qos` decide its fate while the broker is away.

    - `retain`: current state; only the latest of a topic matters and is sent again on reconnect.
    - QoS 1 without `retain`: something that happened; waits in the outbox until acknowledged.
    - QoS 0 without `retain`: a running figure; dropped.

    Attributes:
        topic: full topic name.
        payload: bytes as they travel.
        qos: 0 or 1.
        retain: the broker keeps it for those who subscribe later.
        kind: what the outbox may drop first when it is full: "update" and "picture", then the rest.
        event: id of the event it tells about; those of one event are dropped together.
    """

    topic: str
    payload: bytes
    qos: int = 0
    retain: bool = False
    kind: str = ""
    event: str = ""


@dataclass(frozen=True, slots=True)
class Incoming:
    """One message that the broker delivered; nothing about it has been checked."""

    topic: str
    payload: bytes
    retained: bool


@dataclass(frozen=True, slots=True)
class Row:
    """A message of the outbox; rows are offered in the order of their ids."""

    id: int
    message: Message


def nobody() -> None:
    """Stands for a listener who has not come yet."""


class Durable(Protocol):
    """Keeps QoS 1 messages until the broker acknowledged them (see `outbox.Outbox`)."""

    on_ready: Callable[[], None]  # called, from any thread, when `take` has something new

    def put(self, message: Message) -> None:
        """Keep a message; never waits for the disk."""

    def take(self, most: int) -> Sequence[Row]:
        """The next rows that are safe on disk and were not taken since `rewind`."""

    def rewind(self) -> int:
        """A new connection: offer again what was taken and not done. Returns the newest id."""

    def done(self, row_id: int) -> None:
        """The broker has it."""

    def idle(self) -> bool:
        """Nothing waits to be taken or to become safe on disk."""
