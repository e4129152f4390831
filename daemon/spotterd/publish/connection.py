"""One connection to the broker, from dialling to loss. The only file that imports paho.

Used by one thread. paho's callbacks only note what happened and `turn` hands it over afterwards: an
exception inside a callback would end the network loop while `is_connected()` stays true.
"""

import selectors
import socket
import threading
import time
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from paho.mqtt import client as paho
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from spotterd.errors import RetryError
from spotterd.publish import reasons
from spotterd.publish.base import Incoming, Message
from spotterd.publish.endpoint import Endpoint

Version: TypeAlias = Literal["5", "3.1.1"]

ANSWER_TIMEOUT_S = 10.0  # for TCP, TLS and CONNACK each
WINDOW = 20  # messages under way without an acknowledgement; also mosquitto's default
MAX_INCOMING_BYTES = 1 << 20  # nobody sends a board a larger wish or request


@dataclass(frozen=True, slots=True)
class Ack:
    """The broker's answer to one publish: its packet id, and why not, or an empty sentence."""

    mid: int
    code: int = 0
    refusal: str = ""


@dataclass(slots=True)
class Happened:
    """What one turn brought."""

    acks: list[Ack] = field(default_factory=list)
    incoming: list[Incoming] = field(default_factory=list)
    refusals: list[str] = field(default_factory=list)  # of subscriptions, as sentences


class Connection:
    """Speaks to one broker, once.

    Attributes:
        window: how many QoS 1 messages the broker wants under way at most.
        max_bytes: the largest packet it takes.
    """

    def __init__(
        self, endpoint: Endpoint, client_id: str, version: Version, will: Message | None
    ) -> None:
        self.window = WINDOW
        self.max_bytes = 268_435_455  # of MQTT itself
        self._endpoint = endpoint
        self._version = version
        self._happened = Happened()
        self._answer: Any = None  # reason code of CONNACK
        self._lost_because = ""
        self._selector = selectors.DefaultSelector()
        self._client = self._make_client(client_id)
        if will:
            self._client.will_set(will.topic, will.payload, will.qos, will.retain)

    def _make_client(self, client_id: str) -> paho.Client:
        is_v5 = self._version == "5"
        client = paho.Client(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            protocol=paho.MQTTv5 if is_v5 else paho.MQTTv311,
            clean_session=None if is_v5 else True,
            reconnect_on_failure=False,
        )
        client.connect_timeout = ANSWER_TIMEOUT_S
        client.max_inflight_messages = 0  # whoever publishes keeps to `window`
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        client.on_subscribe = self._on_subscribe
        if self._endpoint.tls:
            client.tls_set_context(self._endpoint.tls)
        if self._endpoint.username is not None:
            client.username_pw_set(self._endpoint.username, self._endpoint.password)
        return client

    def dial(
        self,
        wake: socket.socket,
        keepalive_s: int,
        giving_up: threading.Event,
        patience_s: float = ANSWER_TIMEOUT_S,
    ) -> bool:
        """Connect and wait for the broker's yes.

        Args:
            wake: readable when somebody wants this thread's attention.
            keepalive_s: seconds between pings.
            giving_up: set when the connection is no longer wanted.
            patience_s: how long to wait for the broker's word once there is a connection.

        Returns:
            False where the broker does not speak this version of MQTT (it says so, hangs up, or
            says nothing), or `giving_up` was set.

        Raises:
            RetryError: no broker, no network, no trust, or the broker said no.
        """
        properties = None
        if self._version == "5":
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            properties.MaximumPacketSize = MAX_INCOMING_BYTES
        try:
            self._client.connect(
                self._endpoint.host, self._endpoint.port, keepalive_s, properties=properties
            )
        except (OSError, ValueError) as error:  # ValueError: a host name IDNA cannot encode
            why = reasons.of_network(error) if isinstance(error, OSError) else str(error)
            raise RetryError(
                f"No connection to the broker {self._endpoint.name}: {why}."
            ) from error
        self._watch(wake)
        deadline = time.monotonic() + patience_s
        while self._answer is None and not giving_up.is_set():
            left_s = deadline - time.monotonic()
            if left_s <= 0 or not self._turn_network(left_s):
                break
        if self._answer is None:
            # Brokers that know only 3.1.1 hang up on a CONNECT of version 5; amqtt is silent.
            return False
        if self._answer.value == reasons.UNSUPPORTED_PROTOCOL:
            return False
        if self._answer.is_failure:
            raise self._refused(reasons.in_words(self._answer.value, str(self._answer)))
        return True

    def _refused(self, why: str) -> RetryError:
        return RetryError(f"The broker {self._endpoint.name} refused the connection: {why}.")

    def _watch(self, wake: socket.socket) -> None:
        sock = self._client.socket()
        if sock is not None:
            # Else a small message waits for the acknowledgement of the one before (Nagle).
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # type: ignore[attr-defined]
            self._selector.register(sock, selectors.EVENT_READ)
        self._selector.register(wake, selectors.EVENT_READ)
        self._wake = wake

    @property
    def congested(self) -> bool:
        """Bytes wait for the network; more would pile up."""
        return self._client.want_write()

    def publish(self, message: Message) -> int:
        """Hand a message to the network; its `Ack` comes with a later turn if it has QoS 1."""
        sent = self._client.publish(message.topic, message.payload, message.qos, message.retain)
        return sent.mid

    def subscribe(self, topics: tuple[str, ...]) -> None:
        """Ask for topics with QoS 1."""
        self._client.subscribe([(topic, 1) for topic in topics])

    def turn(self, timeout_s: float) -> Happened:
        """Wait for the network or a wake-up, do what is due, and tell what happened.

        Raises:
            RetryError: the connection is gone.
        """
        alive = self._turn_network(timeout_s)
        happened, self._happened = self._happened, Happened()
        if not alive and not (happened.acks or happened.incoming):
            why = self._lost_because or "the other side hung up"
            raise RetryError(f"Lost the connection to the broker {self._endpoint.name}: {why}.")
        return happened

    def _turn_network(self, timeout_s: float) -> bool:
        """One round of waiting, reading and writing; False once the connection is gone."""
        sock = self._client.socket()
        if sock is None:
            return False
        wanted = selectors.EVENT_READ | (selectors.EVENT_WRITE if self.congested else 0)
        if self._selector.get_key(sock).events != wanted:
            self._selector.modify(sock, wanted)
        # What TLS has already decrypted does not show on the socket.
        buffered = self._endpoint.tls is not None and sock.pending() > 0  # type: ignore[attr-defined]
        readable = buffered
        for key, events in self._selector.select(0 if buffered else timeout_s):
            if key.fileobj is self._wake:
                self._wake.recv(4096)
                continue
            readable |= bool(events & selectors.EVENT_READ)
            if events & selectors.EVENT_WRITE:
                self._client.loop_write()
        if readable:
            # Only here: at QoS 0 paho would call it for what has left, which nobody needs to know,
            # and take a quarter longer for every message.
            self._client.on_publish = self._on_publish
            self._client.loop_read()
            self._client.on_publish = None
        self._client.loop_misc()
        return self._client.socket() is not None

    def close(self) -> None:
        """Say goodbye if there is still somebody, and free the sockets. The will is not sent."""
        self._client.disconnect()
        deadline = time.monotonic() + 1.0
        while self._client.socket() is not None and time.monotonic() < deadline:
            if not self._turn_network(0.1):
                break
        self.abandon()

    def abandon(self) -> None:
        """Free the sockets without a goodbye: the broker sends the will."""
        sock = self._client.socket()
        if sock is not None:
            sock.close()
        self._selector.close()

    # Called by paho, inside `_turn_network`. They note, and can hardly raise.

    def _on_connect(self, _c: Any, _u: Any, _flags: Any, code: Any, properties: Any) -> None:
        self._answer = code
        self.window = min(WINDOW, getattr(properties, "ReceiveMaximum", WINDOW))
        self.max_bytes = getattr(properties, "MaximumPacketSize", self.max_bytes)

    def _on_disconnect(self, _c: Any, _u: Any, flags: Any, code: Any, _p: Any) -> None:
        if flags.is_disconnect_packet_from_server:
            self._lost_because = reasons.in_words(code.value, str(code))

    def _on_message(self, _c: Any, _u: Any, message: Any) -> None:
        if len(message.payload) <= MAX_INCOMING_BYTES:
            incoming = Incoming(message.topic, bytes(message.payload), message.retain)
            self._happened.incoming.append(incoming)

    def _on_publish(self, _c: Any, _u: Any, mid: int, code: Any, _p: Any) -> None:
        refusal = reasons.in_words(code.value, str(code)) if code.is_failure else ""
        self._happened.acks.append(Ack(mid, code.value, refusal))

    def _on_subscribe(self, _c: Any, _u: Any, _mid: int, codes: Any, _p: Any) -> None:
        for code in codes:
            if code.is_failure:
                self._happened.refusals.append(reasons.in_words(code.value, str(code)))
