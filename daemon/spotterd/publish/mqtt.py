"""The link to the broker: comes back for ever, and knows what to do with a message meanwhile."""

import logging
import queue
import random
import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass

from spotterd.config.schema import Mqtt
from spotterd.errors import RetryError, SpotterdError
from spotterd.publish import reasons
from spotterd.publish.base import Durable, Incoming, Message, Row
from spotterd.publish.build import as_replayed
from spotterd.publish.connection import ANSWER_TIMEOUT_S, Ack, Connection, Version
from spotterd.publish.endpoint import Endpoint
from spotterd.publish.pending import Pending

log = logging.getLogger(__name__)

INBOX_SIZE = 64
REFUSED_PAUSE_S = 30.0  # before a message that the broker refused is offered again
# An administrator can mend these; with any other refusal the message itself is the problem.
MENDABLE = (reasons.NOT_AUTHORIZED, reasons.QUOTA_EXCEEDED)
DRAIN_SHARE = 0.6  # of the time to stop; the rest is for the final message
PACKET_OVERHEAD = 64  # bytes of a PUBLISH beside topic and payload, generously


@dataclass(frozen=True, slots=True)
class Backoff:
    """Waiting time between attempts: doubled each time, with jitter so that a fleet spreads out."""

    first_s: float = 1.0
    most_s: float = 30.0

    def delay_s(self, failures: int) -> float:
        """Seconds to wait after so many failures in a row."""
        longest = min(self.most_s, self.first_s * 2.0 ** min(failures - 1, 16))
        return random.uniform(0.5, 1.0) * longest  # noqa: S311 (no secret)


@dataclass(slots=True)
class LinkCounts:
    """What happened since start."""

    connects: int = 0
    refused: int = 0  # messages the broker refused for good
    inbox_dropped: int = 0
    crashes: int = 0  # defects of ours that were survived


@dataclass(frozen=True, slots=True)
class _UnderWay:
    """A QoS 1 message without its acknowledgement yet."""

    since_s: float
    topic: str
    row: int  # in the outbox; 0: not from there


class MqttLink:
    """Publishes and subscribes; its thread is the only one that touches the network.

    Args:
        mqtt: where the broker is.
        client_id: unique at the broker; two clients with one id throw each other out.
        outbox: keeps QoS 1 messages until they are acknowledged.
        subscriptions: topics to hear, asked for again at every connection.
        availability: topic that says `online` and, by last will, `offline`; empty: none.
        backoff: waiting between attempts.

    Attributes:
        inbox: what was heard; whoever serves it takes it from here. When full, news is dropped.
        last_error: why there is no connection, or what the broker refused; empty when all is well.
        counts: since start.

    Raises:
        BadInputError: a file the configuration names is missing or wrong.
    """

    def __init__(
        self,
        mqtt: Mqtt,
        client_id: str,
        outbox: Durable,
        *,
        subscriptions: tuple[str, ...] = (),
        availability: str = "",
        backoff: Backoff = Backoff(),
    ) -> None:
        self.broker = Endpoint.of(mqtt).name
        self.inbox: queue.Queue[Incoming] = queue.Queue(INBOX_SIZE)
        self.last_error = ""
        self.counts = LinkCounts()
        self._mqtt = mqtt
        self._client_id = client_id
        self._outbox = outbox
        self._subscriptions = subscriptions
        self._availability = availability
        self._backoff = backoff
        self._pending = Pending()
        self._under_way: dict[int, _UnderWay] = {}  # by packet id
        self._replayed_up_to = 0  # rows that waited for this connection
        self._refused = ""  # topic the broker does not take now; the outbox pauses
        self._paused_until_s = 0.0
        self._up = False
        self._changed = threading.Condition()  # guards `_up` and `last_error`
        self._down_since_s = time.monotonic()
        self._progress_ns = time.monotonic_ns()
        self._stopping = threading.Event()
        self._final: Message | None = None
        self._stop_by_s = 0.0
        self._wake_r, self._wake_w = socket.socketpair()
        self._wake_r.setblocking(False)
        self._wake_w.setblocking(False)
        self._thread = threading.Thread(target=self._run, name="mqtt", daemon=True)

    # For any thread.

    def start(self) -> None:
        """Start connecting; returns at once."""
        self._outbox.on_ready = self._wake
        self._thread.start()

    def send(self, message: Message) -> None:
        """Publish, or keep, or drop: see `Message`. Never waits for network or disk."""
        if message.qos and not message.retain:
            self._outbox.put(message)  # wakes the link once it is safe
        else:
            self._pending.put(message)
            self._wake()

    @property
    def connected(self) -> bool:
        """The broker said yes, and the connection is not known to be gone."""
        return self._up

    @property
    def progress_ns(self) -> int:
        """CLOCK_MONOTONIC of the link's last step; attempts to come back are steps too."""
        return self._progress_ns

    @property
    def patience_s(self) -> float:
        """A link that makes no step for longer than this hangs."""
        # The longest pause, then name look-up, TCP, TLS and CONNACK of two protocol versions.
        return self._backoff.most_s + self._mqtt.keepalive_s / 4 + 6 * ANSWER_TIMEOUT_S

    @property
    def dropped(self) -> int:
        """QoS 0 messages that were not sent, since start."""
        return self._pending.dropped

    def wait_connected(self, timeout_s: float, *, patient: bool = True) -> bool:
        """Wait for the broker's yes; False when it takes longer, or not `patient`, at a no."""
        with self._changed:
            self._changed.wait_for(lambda: self._up or (not patient and self.last_error), timeout_s)
            return self._up

    def stop(self, final: Message | None = None, timeout_s: float = 2.0) -> None:
        """Send what waits and then `final`, wait for acknowledgements, say goodbye, join.

        Without a connection, or after `timeout_s`, it leaves at once; the outbox keeps the rest.
        """
        self._final = final
        self._stop_by_s = time.monotonic() + timeout_s
        self._stopping.set()
        self._wake()
        if self._thread.is_alive():
            self._thread.join(timeout_s + 0.5)

    def _wake(self) -> None:
        with suppress(BlockingIOError):  # enough wake-ups are waiting
            self._wake_w.send(b"!")

    # The link's own thread.

    def _run(self) -> None:
        failures = 0
        while not self._stopping.is_set():
            began_s = time.monotonic()
            self._progress_ns = time.monotonic_ns()
            try:
                self._live()
            except SpotterdError as error:
                self._tell(str(error))
            except Exception as error:
                # Outermost loop of the thread: a defect costs one connection, not all to come.
                self.counts.crashes += 1
                log.exception("A defect in the MQTT link; connecting anew")
                self._set(up=False, error=f"A defect in the MQTT link: {error!r}.")
            finally:
                self._went_down()
            stable = time.monotonic() - began_s > self._backoff.most_s
            failures = 1 if stable else failures + 1
            self._stopping.wait(self._backoff.delay_s(failures))

    def _live(self) -> None:
        """One connection, from dialling to its loss or `stop`."""
        connection = self._connect()
        if connection is None:
            return
        try:
            self._went_up(connection)
            while not self._stopping.is_set():
                self._progress_ns = time.monotonic_ns()
                self._feed(connection)
                self._turn(connection, self._patience_s())
            self._farewell(connection)
        finally:
            connection.abandon()

    def _connect(self) -> Connection | None:
        """A connection in the newest version the broker speaks; None: no longer wanted."""
        endpoint = Endpoint.of(self._mqtt)  # anew each time: files may have changed
        will = self._availability_is(b"offline") if self._availability else None
        asked = self._mqtt.protocol
        versions: tuple[Version, ...] = ("5", "3.1.1") if asked == "auto" else (asked,)
        for version in versions:
            connection = Connection(endpoint, self._client_id, version, will)
            accepted = False
            try:
                accepted = connection.dial(self._wake_r, self._mqtt.keepalive_s, self._stopping)
            finally:
                if not accepted:
                    connection.abandon()
            if accepted:
                return connection
            if self._stopping.is_set():
                return None
        raise RetryError(
            f"The broker {endpoint.name} hung up on MQTT {' and '.join(versions)}. "
            "Check mqtt.url (is this an MQTT port, is it one for mqtts://?) and mqtt.protocol."
        )

    def _availability_is(self, what: bytes) -> Message:
        return Message(self._availability, what, qos=1, retain=True)

    def _went_up(self, connection: Connection) -> None:
        self._replayed_up_to = self._outbox.rewind()
        self._pending.open()
        if self._availability:
            self._publish(connection, self._availability_is(b"online"))
        if self._subscriptions:
            connection.subscribe(self._subscriptions)
        self.counts.connects += 1
        down_s = time.monotonic() - self._down_since_s
        log.info("Connected to the broker %s after %.1f s", self.broker, down_s)
        self._set(up=True)

    def _set(self, *, up: bool, error: str = "") -> None:
        with self._changed:
            self._up, self.last_error = up, error
            self._changed.notify_all()

    def _went_down(self) -> None:
        if self._up:
            self._down_since_s = time.monotonic()
        self._set(up=False, error=self.last_error)
        self._pending.shut()
        self._under_way.clear()
        self._refused = ""

    def _tell(self, sentence: str) -> None:
        """Keep a problem where health finds it; log it once, not at every attempt."""
        log.log(logging.DEBUG if sentence == self.last_error else logging.WARNING, "%s", sentence)
        self._set(up=self._up, error=sentence)

    def _feed(self, connection: Connection) -> None:
        """Hand over what waits, as much as the broker and the network take now."""
        for message in self._pending.take_retained(connection.window - len(self._under_way)):
            self._publish(connection, message)
        if self._may_offer_rows():
            for row in self._outbox.take(connection.window - len(self._under_way)):
                waited = row.id <= self._replayed_up_to
                self._publish(connection, as_replayed(row.message) if waited else row.message, row)
        while not connection.congested and (volatile := self._pending.take_volatile()):
            self._publish(connection, volatile)

    def _may_offer_rows(self) -> bool:
        """Not while a refusal is fresh; after the pause the refused rows are offered again."""
        if self._refused and time.monotonic() >= self._paused_until_s:
            if any(sent.row for sent in self._under_way.values()):
                return False  # else those would be offered twice
            self._replayed_up_to = self._outbox.rewind()
            self._refused = ""
        return not self._refused

    def _patience_s(self) -> float:
        """How long to wait for news before something is due without any."""
        due_s = self._mqtt.keepalive_s / 4
        pause_s = self._paused_until_s - time.monotonic()
        # After the pause it is acknowledgements that are awaited, and those are news.
        return min(due_s, pause_s) if self._refused and pause_s > 0 else due_s

    def _publish(self, connection: Connection, message: Message, row: Row | None = None) -> None:
        row_id = row.id if row else 0
        if len(message.topic) + len(message.payload) + PACKET_OVERHEAD > connection.max_bytes:
            self._refused_for_good(message.topic, row_id, "the message is larger than it takes")
            return
        mid = connection.publish(message)
        if message.qos:
            self._under_way[mid] = _UnderWay(time.monotonic(), message.topic, row_id)

    def _turn(self, connection: Connection, timeout_s: float) -> None:
        """Wait for news, and act on it."""
        happened = connection.turn(timeout_s)
        for ack in happened.acks:
            self._acknowledged(ack)
        for refusal in happened.refusals:
            self._tell(f"The broker {self.broker} refused a subscription: {refusal}.")
        for incoming in happened.incoming:
            self._received(incoming)
        oldest = next(iter(self._under_way.values()), None)
        if oldest and time.monotonic() - oldest.since_s > self._mqtt.keepalive_s:
            raise RetryError(
                f"The broker {self.broker} has not acknowledged {oldest.topic} for "
                f"{self._mqtt.keepalive_s} s; connecting anew."
            )

    def _received(self, incoming: Incoming) -> None:
        try:
            self.inbox.put_nowait(incoming)
        except queue.Full:
            self.counts.inbox_dropped += 1

    def _acknowledged(self, ack: Ack) -> None:
        sent = self._under_way.pop(ack.mid, None)
        if sent is None:
            return  # of QoS 0: paho tells that it left
        if ack.refusal and sent.row and ack.code in MENDABLE:
            # Nothing is lost by a wrong ACL: the row stays, and is offered again later.
            self._refused = sent.topic
            self._paused_until_s = time.monotonic() + REFUSED_PAUSE_S
            self._tell(f"The broker {self.broker} refuses {sent.topic}: {ack.refusal}.")
        elif ack.refusal:
            self._refused_for_good(sent.topic, sent.row, ack.refusal)
        elif sent.row:
            self._outbox.done(sent.row)

    def _refused_for_good(self, topic: str, row: int, why: str) -> None:
        self.counts.refused += 1
        self._tell(f"The broker {self.broker} refused {topic}: {why}.")
        if row:
            self._outbox.done(row)

    def _farewell(self, connection: Connection) -> None:
        """Bring out what waits, then the final message, then DISCONNECT (so: no last will)."""
        now_s = time.monotonic()
        drain_by_s = now_s + (self._stop_by_s - now_s) * DRAIN_SHARE
        while not self._idle() and (left_s := drain_by_s - time.monotonic()) > 0:
            self._feed(connection)
            self._turn(connection, left_s)
        if self._final:
            self._publish(connection, self._final)
        while self._under_way and (left_s := self._stop_by_s - time.monotonic()) > 0:
            self._turn(connection, left_s)
        connection.close()

    def _idle(self) -> bool:
        return not self._under_way and self._pending.idle() and self._outbox.idle()
