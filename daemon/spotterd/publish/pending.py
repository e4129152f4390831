"""What waits for the network in memory: the latest value of retained topics, and QoS 0 messages."""

import threading
from collections import deque

from spotterd.publish.base import Message

VOLATILE_SIZE = 256  # the oldest goes first


class Pending:
    """Two waiting rooms behind one lock; filled by any thread, emptied by the link's.

    Attributes:
        dropped: QoS 0 messages that found no connection, or waited too long for a slow one.
    """

    def __init__(self) -> None:
        self.dropped = 0
        self._lock = threading.Lock()
        self._open = False
        # Both in the order of the latest changes: what is told first has happened first.
        self._latest: dict[str, Message] = {}
        self._unsent: dict[str, None] = {}  # topics of `_latest`
        self._volatile: deque[Message] = deque()

    def put(self, message: Message) -> None:
        """Keep the latest of a retained topic; queue the rest while there is a connection."""
        with self._lock:
            if message.retain:
                self._latest.pop(message.topic, None)
                self._latest[message.topic] = message
                self._unsent.pop(message.topic, None)
                self._unsent[message.topic] = None
                return
            if self._open:
                self._volatile.append(message)
            if not self._open or len(self._volatile) > VOLATILE_SIZE:
                self.dropped += 1
                if self._volatile:
                    self._volatile.popleft()

    def open(self) -> None:
        """A connection is there: every retained topic is sent anew, with its latest value."""
        with self._lock:
            self._open = True
            self._unsent = dict.fromkeys(self._latest)

    def shut(self) -> None:
        """The connection is gone: running figures are worth nothing later."""
        with self._lock:
            self._open = False
            self.dropped += len(self._volatile)
            self._volatile.clear()

    def take_retained(self, most: int) -> list[Message]:
        """Up to `most` retained messages to send now."""
        with self._lock:
            topics = list(self._unsent)[: max(most, 0)]
            for topic in topics:
                del self._unsent[topic]
            return [self._latest[topic] for topic in topics]

    def take_volatile(self) -> Message | None:
        """The next QoS 0 message, if any."""
        with self._lock:
            return self._volatile.popleft() if self._volatile else None

    def idle(self) -> bool:
        """Nothing waits to be sent."""
        with self._lock:
            return not self._unsent and not self._volatile
