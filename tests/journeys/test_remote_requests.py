"""An operator asks a running daemon for things, and floods it."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
from paho.mqtt import publish

import tiny_models
from brokers import Broker
from journeys.daemon import SOON_S, Daemon, daemon
from spotterd.config.schema import Mqtt
from spotterd.publish.base import Message
from spotterd.publish.memory import MemoryOutbox
from spotterd.publish.mqtt import MqttLink
from spotterd.service.answer import REFUSALS_PER_S, REQUESTS_AT_ONCE, REQUESTS_PER_S

FLOOD = 5000  # requests at once; `make flood-test` measures the frame rate under them


def tree(folder: Path) -> dict[str, Any]:
    """A made-up sky, and a model that takes next to no time."""
    return {
        "cameras": {"main": {"source": "sim:", "max_fps": 10}},
        "detector": {"model": str(tiny_models.sees_bright(folder / "tiny.onnx"))},
        "engines": {"precision": "fp32", "harvest": {"interval_s": 1}},
    }


def ask(one: Daemon, verb: str, token: str = "t", **args: Any) -> None:
    payload = json.dumps({"token": token, "args": args}).encode()
    one.send(Message(one.topics.request(verb), payload, qos=1))


def answered(one: Daemon, verb: str, token: str = "t") -> dict[str, Any]:
    return one.wait_for(
        f"response/{verb}", lambda told: told["token"] == token and told["progress"] is None
    )


@pytest.fixture
def watching(broker: Broker, tmp_path: Path):
    with daemon(broker, tmp_path, tree(tmp_path)) as one:
        one.wait_for_state("running")
        yield one


def test_quick_requests_wrong_ones_and_a_new_process(watching: Daemon) -> None:
    ask(watching, "ping", token="p")
    assert answered(watching, "ping", "p")["result"]["uptime_s"] > 0
    ask(watching, "logs", lines=3)
    lines = answered(watching, "logs")["result"]["lines"]
    assert len(lines) == 3
    ask(watching, "snapshot")
    assert answered(watching, "snapshot")["ok"]
    ask(watching, "snapshot", token="none", camera="west")
    assert "there are main" in answered(watching, "snapshot", "none")["message"]
    ask(watching, "explode")
    assert not answered(watching, "explode")["ok"]
    watching.send(Message(watching.topics.request("ping"), b"\xff", qos=1))
    assert "UTF-8" in answered(watching, "ping", "")["message"]

    boot = watching.of("state")[-1]["boot"]
    ask(watching, "restart")
    assert answered(watching, "restart")["ok"]
    watching.wait_for("availability", lambda told: told == "stopped")
    watching.wait_for("state", lambda told: told["state"] == "running" and told["boot"] != boot)


def test_an_engine_is_built_anew_and_from_harvested_pictures(watching: Daemon) -> None:
    ask(watching, "rebuild")
    assert answered(watching, "rebuild")["ok"]
    ask(watching, "recalibrate", token="r")
    told = answered(watching, "recalibrate", "r")
    assert told["ok"], told
    assert told["result"]["pictures"] > 0


def test_the_engine_is_measured_while_it_runs(watching: Daemon) -> None:
    watching.wait_for("health", lambda told: told["fps"] > 1)
    ask(watching, "bench", seconds=0.2)
    told = answered(watching, "bench")
    assert told["ok"], told
    result = told["result"]
    assert result["bare_fps"] > result["fps"] > 0
    assert 0 < result["efficiency"] < 1, result
    assert (result["precision"], result["backend"]) == ("fp32", "onnxruntime")
    assert set(result["latency_ms"]) == {"p50", "p95", "p99"}
    progress = [told["progress"] for told in watching.of("response/bench")]
    assert progress == [0.0, None]


@pytest.fixture
def answers(watching: Daemon, broker: Broker):
    """What is answered to pings; the fixture `watching` is deaf when it also hears the flood."""
    topics = (watching.topics.response("ping"),)
    link = MqttLink(Mqtt(url=broker.url), "answers", MemoryOutbox(), subscriptions=topics)
    link.start()
    assert link.wait_connected(SOON_S)
    yield link.inbox
    link.stop(timeout_s=1)


def test_a_flood_is_refused_and_costs_no_memory_and_is_over_when_it_is_over(
    watching: Daemon, broker: Broker, answers
) -> None:
    before, began_s = watching.wait_for("health"), time.monotonic()
    ping = (watching.topics.request("ping"), b'{"token":"f"}', 0, False)
    # Not through a link of ours, which drops what it cannot send at once.
    publish.multiple([ping] * FLOOD, hostname="127.0.0.1", port=broker.port)
    while "Too many requests" not in json.loads(answers.get(timeout=SOON_S).payload)["message"]:
        pass
    later = before["mono_ns"] + 2 * 10**9
    after = watching.wait_for("health", lambda told: told["mono_ns"] > later)
    assert after["cameras"]["main"]["frames"] > before["cameras"]["main"]["frames"]
    assert after["host"]["rss_mib"] - before["host"]["rss_mib"] < 40
    answered_s = time.monotonic() - began_s
    assert answers.qsize() <= REQUESTS_AT_ONCE + 1 + answered_s * (REQUESTS_PER_S + REFUSALS_PER_S)
    ask(watching, "snapshot", token="after")
    assert answered(watching, "snapshot", "after")["ok"]
