"""What is on its way to the broker, and what becomes of it. Used by the link's thread only."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from spotterd.publish import reasons
from spotterd.publish.base import Durable, Message, Row
from spotterd.publish.build import as_replayed
from spotterd.publish.connection import Ack, Connection
from spotterd.publish.pending import Pending

REFUSED_PAUSE_S = 30.0  # before a message that the broker refused is offered again
# An administrator can mend these; with any other refusal the message itself is the problem.
MENDABLE = (reasons.NOT_AUTHORIZED, reasons.QUOTA_EXCEEDED)
PACKET_OVERHEAD = 64  # bytes of a PUBLISH beside topic and payload, generously


@dataclass(frozen=True, slots=True)
class _Sent:
    """A QoS 1 message without its acknowledgement yet."""

    since_s: float
    topic: str
    row: int  # in the outbox; 0: not from there


class Delivery:
    """Takes from the waiting rooms, hands to connections, and keeps account of acknowledgements.

    Args:
        outbox: QoS 1 messages; each is done when the broker acknowledged it.
        pending: retained and QoS 0 messages.
        tell: takes a clause about a refusal ("refuses TOPIC: why"), or "" once it is over.

    Attributes:
        refused: messages the broker refused for good, since start.
    """

    def __init__(self, outbox: Durable, pending: Pending, tell: Callable[[str], None]) -> None:
        self.refused = 0
        self._outbox = outbox
        self._pending = pending
        self._tell = tell
        self._sent: dict[int, _Sent] = {}  # by packet id, oldest first
        self._replayed_up_to = 0  # rows that waited for this connection
        self._pausing = False  # the outbox, after a mendable refusal
        self._pause_ends_s = 0.0
        self._complaint = ""  # topic of the last refusal

    def begin(self) -> None:
        """A connection is there: everything unacknowledged is offered anew."""
        self._replayed_up_to = self._outbox.rewind()
        self._pending.open()

    def end(self) -> None:
        """The connection is gone."""
        self._pending.shut()
        self._sent.clear()
        self._pausing = False

    def feed(self, connection: Connection) -> None:
        """Hand over what waits, as much as the broker and the network take now."""
        for message in self._pending.take_retained(connection.window - len(self._sent)):
            self.publish(connection, message)
        if self._may_offer_rows():
            for row in self._outbox.take(connection.window - len(self._sent)):
                self._publish_row(connection, row)
        while not connection.congested and (figure := self._pending.take_volatile()):
            self.publish(connection, figure)

    def publish(self, connection: Connection, message: Message, row_id: int = 0) -> None:
        """Hand one message to the network and wait for its acknowledgement, if it has one."""
        if len(message.topic) + len(message.payload) + PACKET_OVERHEAD > connection.max_bytes:
            self._give_up(message.topic, row_id, "the message is larger than it takes")
            return
        mid = connection.publish(message)
        if message.qos:
            self._sent[mid] = _Sent(time.monotonic(), message.topic, row_id)

    def acknowledged(self, ack: Ack) -> None:
        """The broker answered: it has the message, or does not want it."""
        sent = self._sent.pop(ack.mid, None)
        if sent is None:
            return  # nothing that we sent
        if ack.refusal and sent.row and ack.code in MENDABLE:
            # Nothing is lost by a wrong ACL: the row stays, and is offered again later.
            self._pausing = True
            self._pause_ends_s = time.monotonic() + REFUSED_PAUSE_S
            self._complain(sent.topic, f"refuses {sent.topic}: {ack.refusal}")
        elif ack.refusal:
            self._give_up(sent.topic, sent.row, ack.refusal)
        else:
            if sent.row:
                self._outbox.done(sent.row)
            if sent.topic == self._complaint:
                self._complain("", "")  # it is mended

    def overdue(self, limit_s: float) -> str:
        """Topic of a message that waits longer than this for its acknowledgement, or nothing."""
        oldest = next(iter(self._sent.values()), None)
        late = oldest and time.monotonic() - oldest.since_s > limit_s
        return oldest.topic if oldest and late else ""

    def due_in_s(self, most_s: float) -> float:
        """How long to wait for news before something is due without any, at most `most_s`."""
        left_s = self._pause_ends_s - time.monotonic()
        # After the pause it is acknowledgements that are awaited, and those are news.
        return min(most_s, left_s) if self._pausing and left_s > 0 else most_s

    @property
    def under_way(self) -> int:
        """Messages without their acknowledgement."""
        return len(self._sent)

    def idle(self) -> bool:
        """Everything that could be sent was sent and acknowledged."""
        return not self._sent and self._pending.idle() and self._outbox.idle()

    def _publish_row(self, connection: Connection, row: Row) -> None:
        waited = row.id <= self._replayed_up_to
        self.publish(connection, as_replayed(row.message) if waited else row.message, row.id)

    def _may_offer_rows(self) -> bool:
        """Not while a refusal is fresh; after the pause the refused rows are offered again."""
        if self._pausing and time.monotonic() >= self._pause_ends_s:
            if any(sent.row for sent in self._sent.values()):
                return False  # else those would be offered twice
            self._replayed_up_to = self._outbox.rewind()
            self._pausing = False
        return not self._pausing

    def _complain(self, topic: str, clause: str) -> None:
        self._complaint = topic
        self._tell(clause)

    def _give_up(self, topic: str, row_id: int, why: str) -> None:
        self.refused += 1
        self._complain(topic, f"refused {topic}: {why}")
        if row_id:
            self._outbox.done(row_id)
