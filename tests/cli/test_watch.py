"""`spotterd watch`: what people see of one board and of several."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from brokers import Broker, free_port
from spotterd.cli.linked import interrupts
from spotterd.cli.live import LiveTable
from spotterd.config.schema import Mqtt
from spotterd.data import Detections, Event, Frame
from spotterd.publish import build
from spotterd.publish.base import Message, Moment
from spotterd.publish.memory import MemoryOutbox
from spotterd.publish.mqtt import MqttLink
from spotterd.publish.payloads import (
    DeliveredModel,
    HealthPayload,
    Latency,
    ModelStatusPayload,
    StatePayload,
)
from spotterd.publish.topics import Topics

ORIGIN = build.Origin("roof", "b3f1a2c4")
NOW = Moment(1_764_000_000_000_000_000, 5_000_000_000, synced=True)
TOPICS = Topics("spotter/roof")
DAEMON = Path(__file__).parents[2] / "daemon"


def frame() -> Frame:
    return Frame("north", 7, 0, 0, NOW.wall_ns, np.zeros((100, 200, 3), np.uint8))


def a_detection() -> bytes:
    seen = Detections(np.array([[0, 0, 20, 20]], "f4"), np.array([0.9], "f4"), np.array([0]))
    return build.detections(ORIGIN, frame(), seen, ["airplane"], synced=True, latency_ms=31)


def an_event() -> bytes:
    happened = Event("start", "north", 4, "airplane", 0.8, 0.9, (0.5, 0.5, 0.1, 0.1), 0, 0)
    timeline = build.Timeline.of(frame(), synced=True)
    return build.event(ORIGIN, 1, happened, timeline, engine=None, latency_ms=3).to_bytes()


@pytest.mark.parametrize(
    ("topic", "payload", "line"),
    [
        (TOPICS.availability, b"offline", "roof offline"),
        (
            TOPICS.state,
            StatePayload(**ORIGIN.stamp(NOW), state="building", reason="int8", progress=0.3),
            "roof building 30% int8",
        ),
        (
            TOPICS.camera_status("north"),
            build.camera_status(ORIGIN, NOW, "north", "stalled", reason="silent", since_ns=0),
            "roof camera north stalled silent",
        ),
        (
            TOPICS.health,
            HealthPayload(
                **ORIGIN.stamp(NOW),
                uptime_s=1,
                fps=29.97,
                dropped=0,
                latency_ms=Latency(p50=31, p95=44, p99=50),
            ),
            "roof 30 fps, latency p50/p95 31/44 ms",
        ),
        (TOPICS.detections("north"), a_detection(), "north #7: airplane 0.90"),
        (TOPICS.event, an_event(), "start airplane 0.90 at north"),
        (
            TOPICS.model_status,
            ModelStatusPayload(
                **ORIGIN.stamp(NOW),
                state="canary",
                reason="on trial",
                progress=0.5,
                ordered=DeliveredModel(name="sky-v3", sha256="", size=1),
                rollback=False,
            ),
            "roof model sky-v3 canary 50% on trial",
        ),
        (TOPICS.state, b"{broken", "roof '{broken'"),
        (TOPICS.state, b'{"a": 1}', "roof state is not as expected"),
        (TOPICS.state, b"[1]", "roof state is not as expected"),
    ],
)
def test_each_message_is_one_plain_line(
    topic: str, payload: object, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with LiveTable(plain=True) as table:
        table.feed(topic, payload if isinstance(payload, bytes) else payload.to_bytes())
    said = capsys.readouterr().out
    assert line in said
    assert said.count("\n") == 1


@pytest.mark.parametrize("topic", ["other/topic", "spotter/roof/camera/north/snapshot/x"])
def test_foreign_topics_are_passed_over(topic: str, capsys: pytest.CaptureFixture[str]) -> None:
    with LiveTable(plain=True) as table:
        table.feed(topic, b"{}")
    assert capsys.readouterr().out == ""
    assert not table.boards


def test_boards_are_summed_up_one_by_one() -> None:
    with LiveTable(plain=True) as table:
        for _ in range(3):
            table.feed(TOPICS.detections("north"), a_detection())
        table.feed("spotter/other/event", an_event())
    roof, other = table.boards["spotter/roof"], table.boards["spotter/other"]
    assert (roof.frames, roof.by_class["airplane"], list(roof.latencies_ms)) == (3, 3, [31, 31, 31])
    assert (other.frames, other.events["start"]) == (0, 1)


ENVIRONMENT = {**os.environ, "PYTHONPATH": str(DAEMON)}


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "spotterd", "watch", *arguments]


def watch(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*arguments),
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_json_lines_through_a_broker(broker: Broker) -> None:
    sender = MqttLink(Mqtt(url=broker.url), "watch-test", MemoryOutbox())
    sender.start()
    sender.send(Message(TOPICS.availability, b"online", qos=1, retain=True))
    sender.send(Message("spotter/other/availability", b"online", qos=1, retain=True))
    assert sender.wait_connected(30)
    sender.stop(timeout_s=20)
    done = watch("--broker", broker.url, "--node", "roof", "--json", "--for", "3")
    assert [json.loads(line) for line in done.stdout.splitlines()] == [
        {"topic": TOPICS.availability, "retained": True, "payload": "online"}
    ]


def test_interrupted_it_ends_in_order(broker: Broker) -> None:
    sender = MqttLink(Mqtt(url=broker.url), "watch-test", MemoryOutbox())
    sender.start()
    sender.send(Message("spotter/ended/availability", b"online", qos=1, retain=True))
    assert sender.wait_connected(30)
    sender.stop(timeout_s=20)
    arguments = ("--broker", broker.url, "--node", "ended", "--json")
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command(*arguments), env=ENVIRONMENT, stdout=pipe, stderr=pipe, text=True
    ) as one:
        assert one.stdout is not None
        assert "online" in one.stdout.readline()
        one.send_signal(signal.SIGINT)
        assert one.communicate(timeout=60) == ("", "")
    assert one.returncode == 0


def test_an_interrupt_is_asked_for_once_and_insisted_on_twice() -> None:
    before = signal.getsignal(signal.SIGINT)
    with interrupts() as interrupted:
        signal.raise_signal(signal.SIGINT)
        assert interrupted.is_set()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is before


def test_no_broker_is_one_sentence() -> None:
    done = watch("--broker", f"mqtt://127.0.0.1:{free_port()}", "--for", "1")
    assert done.returncode == 2
    assert done.stderr.count("check that the broker runs") == 1
    assert "Traceback" not in done.stderr
