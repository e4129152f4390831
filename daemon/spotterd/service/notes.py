"""What the main thread is told by people and by the rooms, beside news of pipeline and engine."""

from collections.abc import Callable
from dataclasses import dataclass

from spotterd.config.load import Given
from spotterd.service.bare import Bare


@dataclass(frozen=True, slots=True)
class Stop:
    """Somebody asked the daemon to stop."""

    why: str


@dataclass(frozen=True, slots=True)
class PictureTaken:
    """A picture of an event, to be kept; written here, since a disk may take its time."""

    name: str
    jpeg: bytes


@dataclass(frozen=True, slots=True)
class Measure:
    """Somebody wants the backend measured alone; `reply` gets it in the detect thread."""

    seconds: float
    reply: Callable[[Bare], None]


@dataclass(frozen=True, slots=True)
class Reload:
    """Somebody asked to read the configuration again, with this."""

    read: Callable[[], Given]
