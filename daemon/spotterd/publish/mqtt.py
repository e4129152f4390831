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
from spotterd.publish.base import Durable, Incoming, Message
from spotterd.publish.connection import ANSWER_TIMEOUT_S, Connection, Version
from spotterd.publish.delivery import Delivery
from spotterd.publish.endpoint import Endpoint
from spotterd.publish.pending import Pending

log = logging.getLogger(__name__)

INBOX_SIZE = 64
FIRST_ANSWER_S = 5.0  # for a word about MQTT 5, where 3.1.1 is still to be tried
STABLE_S = 30.0  # a connection that lived this long was a good one
TWINS_AFTER = 3  # connections in a row that did not
DRAIN_SHARE = 0.6  # of the time to stop; the rest is for the final message

_RANDOM = random.SystemRandom()  # boards that boot together must not count together


@dataclass(frozen=True, slots=True)
class Backoff:
    """Waiting time between attempts: doubled each time, with jitter so that a fleet spreads out."""

    first_s: float = 1.0
    most_s: float = 30.0

    def delay_s(self, failures: int) -> float:
        """Seconds to wait after so many failures in a row."""
        longest = min(self.most_s, self.first_s * 2.0 ** min(failures - 1, 16))
        return _RANDOM.uniform(0.5, 1.0) * longest


@dataclass(slots=True)
class LinkCounts:
    """What happened since start."""

    connects: int = 0
    inbox_dropped: int = 0
    crashes: int = 0  # defects of ours that were survived


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
        self._delivery = Delivery(outbox, self._pending, self._refuses)
        self._up = False
        self._changed = threading.Condition()  # guards `_up` and `last_error`
        self._said = ""  # the last problem, for the log
        self._short_lives = 0
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

    @property
    def refused(self) -> int:
        """Messages the broker refused for good, since start."""
        return self._delivery.refused

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
        if not self._thread.is_alive():
            self._wake_r.close()
            self._wake_w.close()

    def _wake(self) -> None:
        with suppress(OSError):  # enough wake-ups are waiting, or the link was stopped
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
                self._tell(f"{error}{self._suspicion(began_s)}")
            except Exception as error:
                # Outermost loop of the thread: a defect costs one connection, not all to come.
                self.counts.crashes += 1
                log.exception("A defect in the MQTT link; connecting anew")
                self._set(up=False, error=f"A defect in the MQTT link: {error!r}.")
            finally:
                self._went_down()
            if time.monotonic() - began_s > STABLE_S:
                failures, self._said = 0, ""
            failures += 1
            self._stopping.wait(self._backoff.delay_s(failures))

    def _suspicion(self, began_s: float) -> str:
        """A guess for a broker that says yes and hangs up, again and again, without a reason."""
        short = self._up and time.monotonic() - began_s < STABLE_S
        self._short_lives = self._short_lives + 1 if short else 0
        if self._short_lives < TWINS_AFTER:
            return ""
        return " It keeps doing that: are there two boards with the same node name?"

    def _live(self) -> None:
        """One connection, from dialling to its loss or `stop`."""
        connection = self._connect()
        if connection is None:
            return
        try:
            self._went_up(connection)
            while not self._stopping.is_set():
                self._progress_ns = time.monotonic_ns()
                self._delivery.feed(connection)
                self._turn(connection, self._delivery.due_in_s(self._mqtt.keepalive_s / 4))
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
                accepted = connection.dial(
                    self._wake_r,
                    self._mqtt.keepalive_s,
                    self._stopping,
                    ANSWER_TIMEOUT_S if version == versions[-1] else FIRST_ANSWER_S,
                )
            finally:
                if not accepted:
                    connection.abandon()
            if accepted:
                return connection
            if self._stopping.is_set():
                return None
        raise RetryError(
            f"The broker {endpoint.name} hung up on MQTT {' and '.join(versions)} or said nothing. "
            "Check mqtt.url (is this an MQTT port, is it one for mqtts://?) and mqtt.protocol."
        )

    def _availability_is(self, what: bytes) -> Message:
        return Message(self._availability, what, qos=1, retain=True)

    def _went_up(self, connection: Connection) -> None:
        self._delivery.begin()
        if self._availability:
            self._delivery.publish(connection, self._availability_is(b"online"))
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
        self._delivery.end()

    def _tell(self, sentence: str) -> None:
        """Keep a problem where health finds it; log it once, not at every attempt."""
        if sentence:
            log.log(logging.DEBUG if sentence == self._said else logging.WARNING, "%s", sentence)
            self._said = sentence
        self._set(up=self._up, error=sentence)

    def _turn(self, connection: Connection, timeout_s: float) -> None:
        """Wait for news, and act on it."""
        happened = connection.turn(timeout_s)
        for ack in happened.acks:
            self._delivery.acknowledged(ack)
        for refusal in happened.refusals:
            self._refuses(f"refused a subscription: {refusal}")
        for incoming in happened.incoming:
            self._received(incoming)
        late = self._delivery.overdue(self._mqtt.keepalive_s)
        if late:
            raise RetryError(
                f"The broker {self.broker} has not acknowledged {late} for "
                f"{self._mqtt.keepalive_s} s; connecting anew."
            )

    def _received(self, incoming: Incoming) -> None:
        try:
            self.inbox.put_nowait(incoming)
        except queue.Full:
            self.counts.inbox_dropped += 1

    def _refuses(self, clause: str) -> None:
        self._tell(f"The broker {self.broker} {clause}." if clause else "")

    def _farewell(self, connection: Connection) -> None:
        """Bring out what waits, then the final message, then DISCONNECT (so: no last will)."""
        now_s = time.monotonic()
        drain_by_s = now_s + (self._stop_by_s - now_s) * DRAIN_SHARE
        self._delivery.feed(connection)
        # Asked after feeding: of QoS 0 messages that are out there is no more news to wait for.
        while not self._delivery.idle() and (left_s := drain_by_s - time.monotonic()) > 0:
            self._turn(connection, left_s)
            self._delivery.feed(connection)
        if self._final:
            self._delivery.publish(connection, self._final)
        while self._delivery.under_way and (left_s := self._stop_by_s - time.monotonic()) > 0:
            self._turn(connection, left_s)
        connection.close()
