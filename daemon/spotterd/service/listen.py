"""The turns of the remote thread: what strangers send, made into notes for the supervisor."""

import logging
import queue
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from spotterd.errors import BadInputError
from spotterd.publish.base import Incoming
from spotterd.publish.homeassistant import ONLINE
from spotterd.publish.payloads import DesiredPayload
from spotterd.publish.topics import Topics
from spotterd.remote.bucket import Bucket
from spotterd.remote.desired import parse
from spotterd.service.stage import IDLE_S

log = logging.getLogger(__name__)

WISHES_PER_S = 2.0  # each may be written to the disk
WISHES_AT_ONCE = 10.0


@dataclass(frozen=True, slots=True)
class Wished:
    """Somebody wishes for another configuration."""

    desired: DesiredPayload


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Somebody sent what is no wish."""

    sentence: str


@dataclass(frozen=True, slots=True)
class HomeAssistantUp:
    """Home Assistant has started, and knows nothing yet."""


Heard: TypeAlias = Wished | Unreadable | HomeAssistantUp


class Listen:
    """Serves the link's inbox.

    Wishes that come too fast wait; of those, the newest stands for all.

    Args:
        inbox: of the link.
        topics: names below the root.
        ha_status: where Home Assistant says `online`; empty: nobody cares.
        request: takes a request's verb, and the message.
        post: takes notes; must not block.
    """

    def __init__(
        self,
        inbox: "queue.Queue[Incoming]",
        topics: Topics,
        ha_status: str,
        request: Callable[[str, Incoming], None],
        post: Callable[[Heard], None],
    ) -> None:
        self._inbox = inbox
        self._topics = topics
        self._ha_status = ha_status
        self._request = request
        self._post = post
        self._bucket = Bucket(WISHES_PER_S, WISHES_AT_ONCE)
        self._waiting: bytes | None = None

    def turn(self) -> None:
        """Take in one message, or wait for one."""
        try:
            incoming = self._inbox.get(timeout=IDLE_S)
        except queue.Empty:
            pass
        else:
            self._sort(incoming)
        if self._waiting is not None and self._bucket.takes(time.monotonic()):
            payload, self._waiting = self._waiting, None
            self._wish(payload)

    def _sort(self, incoming: Incoming) -> None:
        if incoming.topic == self._topics.config_desired:
            # An empty payload takes a retained wish from the broker; it wishes for nothing.
            self._waiting = incoming.payload or None
        elif incoming.topic == self._ha_status and incoming.payload == ONLINE:
            self._post(HomeAssistantUp())
        elif incoming.topic.startswith(self._topics.request("")):
            self._request(incoming.topic.removeprefix(self._topics.request("")), incoming)

    def _wish(self, payload: bytes) -> None:
        try:
            self._post(Wished(parse(payload)))
        except BadInputError as error:
            log.warning("Somebody's wish is refused. %s", error)
            self._post(Unreadable(str(error)))
