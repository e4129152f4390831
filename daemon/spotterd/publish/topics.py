"""Names of all topics, pure. The contract is docs/mqtt.md."""

import re
from dataclasses import dataclass

_TAILS = re.compile(
    r"(?P<root>.+?)/(?P<tail>availability|info|state|health|event|event/[^/]+/snapshot"
    r"|model/status|detections/[^/]+|camera/[^/]+/(status|count|snapshot)|config/(desired|reported)"
    r"|(request|response)/[^/]+)"
)


def split(topic: str) -> tuple[str, tuple[str, ...]] | None:
    """Root and the levels below it, e.g. `("spotter/roof", ("detections", "north"))`.

    None where the topic is none of this contract.
    """
    found = _TAILS.fullmatch(topic)
    return (found["root"], tuple(found["tail"].split("/"))) if found else None


@dataclass(frozen=True, slots=True)
class Topics:
    """Topics below one root, e.g. `spotter/roof-1` (no slash at either end)."""

    root: str

    @property
    def availability(self) -> str:
        """`online`, `offline` (last will) or `stopped`; retained."""
        return f"{self.root}/availability"

    @property
    def info(self) -> str:
        """What runs here; retained."""
        return f"{self.root}/info"

    @property
    def state(self) -> str:
        """What the daemon is doing; retained."""
        return f"{self.root}/state"

    @property
    def health(self) -> str:
        """Figures, every few seconds."""
        return f"{self.root}/health"

    @property
    def event(self) -> str:
        """Starts, updates and ends of tracks; durable."""
        return f"{self.root}/event"

    def event_snapshot(self, event_id: str) -> str:
        """JPEG of an event's best view."""
        return f"{self.root}/event/{event_id}/snapshot"

    def detections(self, camera: str) -> str:
        """One message a frame."""
        return f"{self.root}/detections/{camera}"

    def camera_status(self, camera: str) -> str:
        """`online`, `stalled` or `offline` with a reason; retained."""
        return f"{self.root}/camera/{camera}/status"

    def camera_count(self, camera: str) -> str:
        """Confirmed tracks in view by class; retained."""
        return f"{self.root}/camera/{camera}/count"

    def camera_snapshot(self, camera: str) -> str:
        """JPEG of the latest event; retained."""
        return f"{self.root}/camera/{camera}/snapshot"

    @property
    def config_desired(self) -> str:
        """In: configuration somebody wishes for; retained."""
        return f"{self.root}/config/desired"

    @property
    def config_reported(self) -> str:
        """Out: configuration in force and what became of the last wish; retained."""
        return f"{self.root}/config/reported"

    @property
    def model_status(self) -> str:
        """What became of the last model that was delivered; retained."""
        return f"{self.root}/model/status"

    def request(self, verb: str) -> str:
        """In: something to do now; `+` for all verbs."""
        return f"{self.root}/request/{verb}"

    def response(self, verb: str) -> str:
        """Out: what came of a request."""
        return f"{self.root}/response/{verb}"

    @property
    def incoming(self) -> tuple[str, ...]:
        """What the daemon subscribes to: never `<root>/#`, it would hear itself."""
        return (self.config_desired, self.request("+"))

    @property
    def watched(self) -> tuple[str, ...]:
        """What somebody who watches wants to hear, no pictures; the root may hold a `+`."""
        cameras = (self.camera_status("+"), self.camera_count("+"), self.detections("+"))
        told = (self.availability, self.state, self.health, self.event, self.model_status)
        return (*told, *cameras)
