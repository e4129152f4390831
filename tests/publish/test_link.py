"""What the link promises: last will, clean stop, refusals, and a thread that survives."""

import os
import queue
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from brokers import Broker, Mosquitto, free_port
from spotterd.config.schema import Mqtt
from spotterd.errors import BadInputError
from spotterd.publish import mqtt
from spotterd.publish.base import Incoming, Message
from spotterd.publish.broker import DemoBroker
from spotterd.publish.memory import MemoryOutbox
from spotterd.publish.mqtt import INBOX_SIZE, Backoff, MqttLink
from spotterd.publish.pending import VOLATILE_SIZE, Pending

QUICK = Backoff(0.02, 0.1)
Make = Callable[..., MqttLink]


@pytest.fixture
def make() -> Iterator[Make]:
    """Makes started links and stops them at the end."""
    links: list[MqttLink] = []

    def link(url: str, topic: str = "", **options: object) -> MqttLink:
        mqtt = Mqtt(url=url, **options)
        name = f"t{len(links)}-{os.getpid()}"
        heard = (topic,) if topic else ()
        made = MqttLink(mqtt, name, MemoryOutbox(), subscriptions=heard, backoff=QUICK)
        made.start()
        links.append(made)
        return made

    yield link
    for made in links:
        made.stop(timeout_s=0.2)


def hear(link: MqttLink, payload: bytes, timeout_s: float = 15) -> Incoming:
    """Wait for a payload, passing over others."""
    while True:
        incoming = link.inbox.get(timeout=timeout_s)
        if incoming.payload == payload:
            return incoming


def test_all_three_kinds_arrive(make: Make, broker: Broker) -> None:
    listener = make(broker.url, "three/#")
    sender = make(broker.url)
    assert listener.wait_connected(15)
    assert sender.wait_connected(15)
    sender.send(Message("three/figure", b"0"))
    sender.send(Message("three/happened", b'{"replayed":false}', qos=1))
    sender.send(Message("three/state", b"2", qos=1, retain=True))
    heard = {listener.inbox.get(timeout=15).topic for _ in range(3)}
    assert heard == {"three/figure", "three/happened", "three/state"}


def test_a_stop_sends_what_waits_and_waits_for_no_more(make: Make, broker: Broker) -> None:
    listener, sender = make(broker.url, "last/#"), make(broker.url)
    assert listener.wait_connected(15)
    assert sender.wait_connected(15)
    for number in range(50):
        sender.send(Message("last/figure", b"%d" % number))
    began_s = time.monotonic()
    sender.stop(Message("last/word", b"stopped", qos=1), timeout_s=40)
    assert time.monotonic() - began_s < 20  # 24 of them are for what is still to be acknowledged
    assert hear(listener, b"49").topic == "last/figure"
    assert hear(listener, b"stopped").topic == "last/word"


def test_the_demo_broker_and_its_lack_of_mqtt_5(make: Make) -> None:
    with DemoBroker() as own:
        listener = make(own.url, "a/#")
        assert listener.wait_connected(15)
        listener.send(Message("a/b", b"x", qos=1))
        assert hear(listener, b"x").topic == "a/b"


@pytest.mark.parametrize("knows", [b"\x04", b""])
def test_a_broker_that_says_nothing_about_mqtt_5(
    make: Make, monkeypatch: pytest.MonkeyPatch, knows: bytes
) -> None:
    """As amqtt does: it is asked for 3.1.1 as well, before it is called silent."""
    monkeypatch.setattr(mqtt, "FIRST_ANSWER_S", 0.2)
    monkeypatch.setattr(mqtt, "ANSWER_TIMEOUT_S", 0.4)
    with socket.create_server(("127.0.0.1", 0)) as silent, ExitStack() as callers:

        def serve() -> None:
            for _ in range(2):
                caller = callers.enter_context(silent.accept()[0])
                connect = caller.recv(4096)
                if connect[8:9] == knows:  # after header, length, and the name of the protocol
                    caller.sendall(b"\x20\x02\x00\x00")

        server = threading.Thread(target=serve)
        server.start()
        link = make(f"mqtt://127.0.0.1:{silent.getsockname()[1]}")
        assert link.wait_connected(15, patient=False) == bool(knows)
        server.join(15)
        assert knows or "said nothing" in link.last_error


def test_a_taken_port_is_told_in_a_sentence(broker: Broker) -> None:
    with pytest.raises(BadInputError, match="Is another broker running there"):
        DemoBroker(broker.port)


def test_what_waits_while_there_is_no_connection(make: Make, mosquitto: Mosquitto) -> None:
    listener = make(mosquitto.url, "#")
    assert listener.wait_connected(15)
    sender = MqttLink(Mqtt(url=mosquitto.url), "sender", MemoryOutbox(), backoff=QUICK)
    sender.send(Message("state", b"old", qos=1, retain=True))
    sender.send(Message("state", b"new", qos=1, retain=True))
    sender.send(Message("figure", b"lost"))
    sender.send(Message("happened", b'{"replayed":false}', qos=1))
    assert sender.dropped == 1
    sender.start()
    got = [listener.inbox.get(timeout=15).payload for _ in range(2)]
    assert sorted(got) == [b"new", b'{"replayed":true}']
    sender.stop()


def test_a_broker_that_forgot_everything_is_told_anew(make: Make, mosquitto: Mosquitto) -> None:
    sender = make(mosquitto.url)
    sender.send(Message("state", b"now", qos=1, retain=True))
    assert sender.wait_connected(15)
    mosquitto.kill()
    mosquitto.start()
    assert hear(make(mosquitto.url, "state"), b"now")


def test_a_defect_costs_one_connection_not_the_thread(make: Make, broker: Broker) -> None:
    link = make(broker.url, "defect")
    assert link.wait_connected(15)

    class Broken(queue.Queue):
        def put_nowait(self, item: object) -> None:
            link.inbox = queue.Queue()
            raise RuntimeError("defect of the test")

    link.inbox = Broken()
    link.send(Message("defect", b"1", qos=1))
    with link._changed:
        assert link._changed.wait_for(lambda: link.counts.connects == 2, 15)
    link.send(Message("defect", b"2", qos=1))
    assert hear(link, b"2")
    assert link.counts.crashes == 1


def test_nothing_there_is_told_once_and_stop_is_quick(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    link = make(f"mqtt://127.0.0.1:{free_port()}")
    assert not link.wait_connected(5, patient=False)
    assert not link.wait_connected(0.3)  # more attempts
    assert "check that the broker runs" in link.last_error
    assert [r.levelname for r in caplog.records if r.levelname == "WARNING"] == ["WARNING"]


def test_two_boards_of_one_name_are_told(make: Make, mosquitto: Mosquitto) -> None:
    first, second = (
        MqttLink(Mqtt(url=mosquitto.url), "twin", MemoryOutbox(), backoff=QUICK) for _ in range(2)
    )
    first.start()
    assert first.wait_connected(15)
    second.start()
    with first._changed:
        assert first._changed.wait_for(lambda: "two boards with the same" in first.last_error, 15)
    first.stop()
    second.stop()


def test_a_message_too_large_for_the_broker_stops_no_other(
    make: Make, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    limits = "allow_anonymous true\nmax_packet_size 2000\n"
    with Mosquitto(tmp_path, limits) as broker:
        link = make(broker.url, "size")
        assert link.wait_connected(15)
        link.send(Message("size", b"x" * 3000, qos=1))
        link.send(Message("size", b"small", qos=1))
        assert hear(link, b"small")
        assert (link.refused, link.counts.connects) == (1, 1)
        assert "larger than it takes" in caplog.text


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_both_versions_of_mqtt(make: Make, mosquitto: Mosquitto, protocol: str) -> None:
    link = make(mosquitto.url, "version", protocol=protocol)
    assert link.wait_connected(15)
    link.send(Message("version", b"1", qos=1))
    assert hear(link, b"1")
    level = {"5": "p5", "3.1.1": "p2"}[protocol]  # mosquitto counts 3.1.1 as its second
    assert any(f"({level}," in line for line in mosquitto.log)


def test_a_flood_drops_the_oldest_figures_and_says_so() -> None:
    pending = Pending()
    pending.open()
    for number in range(VOLATILE_SIZE + 10):
        pending.put(Message("t", b"%d" % number))
    assert pending.dropped == 10
    assert pending.take_volatile().payload == b"10"
    pending.shut()
    assert pending.take_volatile() is None
    assert pending.dropped == VOLATILE_SIZE + 9


def test_retained_topics_go_out_in_the_order_of_their_latest_changes() -> None:
    pending = Pending()
    for topic, payload in (("state", b"1"), ("report", b"1"), ("info", b"1"), ("state", b"2")):
        pending.put(Message(topic, payload, retain=True))
    in_order = [("report", b"1"), ("info", b"1"), ("state", b"2")]
    for _ in range(2):  # at the first connection, and anew at the next
        pending.open()
        assert [(one.topic, one.payload) for one in pending.take_retained(9)] == in_order


def test_an_inbox_nobody_serves_does_not_grow(make: Make, broker: Broker) -> None:
    link = make(broker.url, "full/+")
    assert link.wait_connected(15)
    for number in range(INBOX_SIZE + 20):
        link.send(Message(f"full/{number}", b"x", qos=1))
    deadline_s = time.monotonic() + 15
    while link.counts.inbox_dropped < 20 and time.monotonic() < deadline_s:
        time.sleep(0.01)
    assert link.counts.inbox_dropped == 20
    assert link.inbox.qsize() == INBOX_SIZE


WILL = """
import sys, time
from spotterd.config.schema import Mqtt
from spotterd.publish.base import Message
from spotterd.publish.mqtt import MqttLink
from spotterd.publish.memory import MemoryOutbox
topic = "will/availability"
link = MqttLink(Mqtt(url=sys.argv[1]), "will-test", MemoryOutbox(), availability=topic)
link.start()
print(link.wait_connected(15), flush=True)
sys.stdin.readline()
link.stop(Message(topic, b"stopped", qos=1, retain=True), timeout_s=20)
"""


@pytest.mark.parametrize(("how", "last"), [("kill", b"offline"), ("stop", b"stopped")])
def test_last_will_and_clean_stop(make: Make, broker: Broker, how: str, last: bytes) -> None:
    listener = make(broker.url, "will/#")
    assert listener.wait_connected(15)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "daemon")}
    child = subprocess.Popen(
        [sys.executable, "-c", WILL, broker.url],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
    )
    assert child.stdout.readline().strip() == b"True"
    assert hear(listener, b"online")
    if how == "kill":
        child.kill()
    else:
        child.stdin.write(b"\n")
        child.stdin.flush()
    assert hear(listener, last)
    child.communicate(timeout=30)
