"""An operator changes a running daemon over MQTT; what does not work is taken back."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest

import tiny_models
from brokers import Broker
from journeys.daemon import Daemon, daemon
from spotterd.publish.base import Message


def tree(folder: Path, probation_s: float = 60) -> dict[str, Any]:
    """A made-up sky, and a model that takes next to no time."""
    return {
        "cameras": {"main": {"source": "sim:", "max_fps": 10}},
        "detector": {"model": str(tiny_models.sees_bright(folder / "tiny.onnx"))},
        "remote": {"probation_s": probation_s, "probation_frames": 5},
    }


REPORTED = "config/reported"
ZONE = {"polygon": [[0, 0], [1, 0], [1, 1], [0, 1]]}


def wish(one: Daemon, version: int, patch: Any, token: str = "t", *, retain: bool = True) -> None:
    payload = json.dumps({"version": version, "token": token, "set": patch}).encode()
    one.send(Message(one.topics.config_desired, payload, qos=1, retain=retain))


def answer(one: Daemon, version: int, status: str) -> dict[str, Any]:
    return one.wait_for(
        "config/reported", lambda told: (told["version"], told["status"]) == (version, status)
    )


@pytest.fixture
def watching(broker: Broker, tmp_path: Path):
    with daemon(broker, tmp_path, tree(tmp_path)) as one:
        one.wait_for_state("running")
        yield one


def test_threshold_zone_precision_and_camera_change_while_it_runs(watching: Daemon) -> None:
    wish(watching, 1, {"detector": {"score": 0.5}}, token="threshold")
    told = answer(watching, 1, "applied")
    assert told["token"] == "threshold"
    assert told["config"]["detector"]["score"] == 0.5

    wish(watching, 2, {"events": {"zones": {"all": ZONE}}})
    assert answer(watching, 2, "applied")["config"]["detector"]["score"] == 0.5
    opened = [status["state"] for status in watching.of("camera/main/status")].count("online")
    assert opened == 1, "live changes take no new pipeline"

    wish(watching, 3, {"cameras": {"two": {"source": "sim:", "max_fps": 5}}})
    watching.wait_for("camera/two/status", lambda status: status["state"] == "online")
    assert set(answer(watching, 3, "applied")["config"]["cameras"]) == {"main", "two"}

    wish(watching, 4, {"detector": {"scor": 1}, "mqtt": {"url": "mqtt://x"}, "tracking": {"x": 1}})
    paths = [error["path"] for error in answer(watching, 4, "rejected")["errors"]]
    assert sorted(paths) == ["detector.scor", "mqtt.url", "tracking.x"]

    wish(watching, 5, {"events": {"classes": ["zeppelin"]}})
    assert "zeppelin" in answer(watching, 5, "rejected")["errors"][0]["message"]
    watching.signal(signal.SIGTERM)
    status, stderr = watching.end()
    assert status == 0
    assert "Traceback" not in stderr


def test_a_camera_that_never_works_is_taken_back(broker: Broker, tmp_path: Path) -> None:
    with daemon(broker, tmp_path, tree(tmp_path, probation_s=6)) as one:
        one.wait_for_state("running")
        wish(one, 1, {"cameras": {"main": {"source": "/dev/video99"}}})
        told = answer(one, 1, "rolled_back")
        assert told["errors"][0]["message"]
        assert told["config"]["cameras"]["main"]["source"] == "sim:"
        one.wait_for_state("running")


def test_a_kill_during_probation_comes_up_on_the_last_good_one(
    broker: Broker, tmp_path: Path
) -> None:
    with daemon(broker, tmp_path, tree(tmp_path)) as one:
        one.wait_for_state("running")
        wish(one, 1, {"detector": {"score": 0.5}})
        answer(one, 1, "applied")
        wish(one, 2, {"cameras": {"main": {"source": "/dev/video99"}}})
        one.wait_for("camera/main/status", lambda status: status["state"] == "offline")
        one.signal(signal.SIGKILL)
        one.end()
        one.start()
        told = answer(one, 2, "rolled_back")
        assert told["config"]["detector"]["score"] == 0.5
        assert "ended before" in told["errors"][0]["message"]
        one.wait_for_state("running")


def test_versions_only_rise_and_what_is_no_wish_is_answered(watching: Daemon) -> None:
    wish(watching, 5, {"detector": {"score": 0.5}}, token="first")
    answer(watching, 5, "applied")
    for version in (5, 4):
        wish(watching, version, {"detector": {"score": 0.9}}, token="second")
        told = answer(watching, 5, "applied")
        assert (told["token"], told["config"]["detector"]["score"]) == ("first", 0.5)
    watching.send(Message(watching.topics.config_desired, b'{"version": 6, "set": NaN}', qos=1))
    assert "NaN" in answer(watching, 5, "rejected")["errors"][0]["message"]


def test_a_stale_wish_that_the_broker_keeps_changes_nothing_at_boot(watching: Daemon) -> None:
    wish(watching, 5, {"detector": {"score": 0.5}}, token="latest")
    answer(watching, 5, "applied")
    wish(watching, 3, {"detector": {"score": 0.9}}, token="stale")
    watching.signal(signal.SIGTERM)
    assert watching.end()[0] == 0
    heard = len(watching.heard)
    watching.start()
    # Said at the start, and once more as the answer to what the broker kept.
    for _ in range(2):
        told = answer(watching, 5, "applied")
        assert (told["token"], told["config"]["detector"]["score"]) == ("latest", 0.5)
    watching.signal(signal.SIGTERM)
    watching.wait_for("availability", lambda payload: payload == "stopped")
    versions = {told["version"] for tail, told in watching.heard[heard:] if tail == REPORTED}
    assert versions == {5}


def test_of_two_operators_who_race_each_gets_an_answer(broker: Broker, tmp_path: Path) -> None:
    with daemon(broker, tmp_path, tree(tmp_path)) as one:
        one.wait_for_state("running")
        camera = {"source": "sim:", "max_fps": 5}
        # Not retained: of those, a sender's own link would only let the latest go.
        wish(one, 1, {"cameras": {"two": camera}}, token="a", retain=False)
        wish(one, 1, {"cameras": {"three": camera}}, token="b", retain=False)
        wish(one, 2, {"detector": {"score": 0.5}}, token="c", retain=False)
        first = answer(one, 1, "applied")
        second = answer(one, 2, "applied")
    assert (first["token"], second["token"]) == ("a", "c")
    assert set(second["config"]["cameras"]) == {"main", "two"}, "one of version 1 won, whole"
    assert second["config"]["detector"]["score"] == 0.5


def test_home_assistant_hears_of_the_board_again_when_it_starts(
    broker: Broker, tmp_path: Path
) -> None:
    prefix = f"ha-{tmp_path.name}"
    told = {**tree(tmp_path), "publish": {"homeassistant": {"discovery": True, "prefix": prefix}}}
    with daemon(broker, tmp_path, told, hears=(f"{prefix}/#",)) as one:
        topic = f"{prefix}/device/{one.node}/config"
        assert "main_drone" in one.wait_for(topic)["components"]
        one.send(Message(f"{prefix}/status", b"online", qos=1))
        assert "main_drone" in one.wait_for(topic)["components"]


def test_a_precision_that_cannot_be_built_later_is_taken_back(watching: Daemon) -> None:
    wish(watching, 1, {"engines": {"precision": "int8"}}, token="int8")
    told = answer(watching, 1, "rolled_back")
    assert told["token"] == "int8"
    assert told["config"]["engines"]["precision"] == "fp32"
    assert [error["path"] for error in told["errors"]] == ["engines.precision"]
    assert "INT8" in told["errors"][0]["message"]
    watching.wait_for_state("running")
    # Its engine, FP32 for want of better, is in the store now: known at once.
    wish(watching, 2, {"engines": {"precision": "int8"}})
    assert answer(watching, 2, "rolled_back")["config"]["engines"]["precision"] == "fp32"
