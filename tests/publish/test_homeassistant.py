"""Home Assistant accepts the announcement, and its templates find their values in our payloads."""

import json
import re

import pytest
from ha_schema import Discovery
from jinja2.sandbox import ImmutableSandboxedEnvironment

from spotterd.data import Event
from spotterd.publish import build
from spotterd.publish.base import Moment
from spotterd.publish.homeassistant import Announcement
from spotterd.publish.payloads import (
    HealthPayload,
    HostHealth,
    Latency,
    OutboxHealth,
    Payload,
    StatePayload,
)
from spotterd.publish.topics import Topics

TOPICS = Topics("spotter/roof-1")
ORIGIN = build.Origin("roof-1", "b3f1a2c4")
NOW = Moment(1_764_000_000_000_000_000, 5_000_000_000, synced=True)
LABELS = ("airplane", 'odd "name" é', "helicopter")


@pytest.fixture
def said() -> Discovery:
    announcement = Announcement(
        "homeassistant", "roof-1", TOPICS, ("north", "south"), LABELS, "0.1.0", 10
    )
    message = announcement.message()
    assert (message.topic, message.qos, message.retain) == (
        "homeassistant/device/roof-1/config",
        1,
        True,
    )
    return Discovery.model_validate_json(message.payload)


def rendered(template: str, payload: bytes) -> str:
    """As Home Assistant renders: `value` is the text, `value_json` what it parses to."""
    value = payload.decode()
    values = {"value": value}
    if value.startswith("{"):
        values["value_json"] = json.loads(value)
    return ImmutableSandboxedEnvironment().from_string(template).render(values)


def test_every_camera_and_class_has_a_sensor(said: Discovery) -> None:
    assert said.components["north_online"].device_class == "connectivity"
    assert said.components["south_picture"].image_topic == "spotter/roof-1/camera/south/snapshot"
    classes = [key for key in said.components if key.startswith("south_") and "name" in key]
    assert classes == ["south_odd__name___"]


def test_it_names_only_topics_of_the_contract(said: Discovery) -> None:
    ours = {TOPICS.state, TOPICS.health, TOPICS.event}
    for camera in ("north", "south"):
        ours |= {TOPICS.camera_status(camera), TOPICS.camera_count(camera)}
        ours.add(TOPICS.camera_snapshot(camera))
    ours |= {TOPICS.request(verb) for verb in ("snapshot", "rebuild", "restart")}
    for component in said.components.values():
        named = component.model_dump(exclude_none=True)
        assert {value for key, value in named.items() if key.endswith("_topic")} <= ours


@pytest.mark.parametrize(
    ("word", "shown"), [(b"online", "online"), (b"offline", "offline"), (b"stopped", "offline")]
)
def test_a_stopped_board_is_not_available(said: Discovery, word: bytes, shown: str) -> None:
    (availability,) = said.availability
    assert rendered(availability.value_template, word) == shown


@pytest.mark.parametrize(
    ("key", "payload", "shown"),
    [
        ("north_airplane", b'{"airplane": 2}', "ON"),
        ("north_airplane", b'{"helicopter": 2}', "OFF"),
        ("north_airplane", b"{}", "OFF"),
        ("north_odd__name___", json.dumps({LABELS[1]: 1}).encode(), "ON"),
        (
            "north_online",
            build.camera_status(ORIGIN, NOW, "north", "stalled", reason="", since_ns=0),
            "OFF",
        ),
        ("state", StatePayload(**ORIGIN.stamp(NOW), state="running"), "running"),
    ],
)
def test_templates_find_states(said: Discovery, key: str, payload: object, shown: str) -> None:
    text = payload.to_bytes() if isinstance(payload, Payload) else payload
    assert rendered(said.components[key].value_template, text) == shown


FULL = HealthPayload(
    **ORIGIN.stamp(NOW),
    uptime_s=60,
    fps=29.9,
    dropped=0,
    latency_ms=Latency(p50=31, p95=44.5, p99=60),
    outbox=OutboxHealth(depth=3, bytes=900, dropped=0, durable=True),
    host=HostHealth(
        cpu_percent=41,
        gpu_percent=80,
        ram_available_mib=900,
        disk_free_mib=5000,
        power_w=9.5,
        temperatures_c={"cpu": 51.5, "gpu": 49},
    ),
)
EMPTY = HealthPayload(**ORIGIN.stamp(NOW), uptime_s=1, fps=0, dropped=0)


def test_every_figure_is_found_and_unknown_ones_are_none(said: Discovery) -> None:
    figures = {
        key: component.value_template
        for key, component in said.components.items()
        if component.platform == "sensor" and component.state_topic == TOPICS.health
    }
    shown = {key: rendered(template, FULL.to_bytes()) for key, template in figures.items()}
    assert shown == {
        "fps": "29.9",
        "latency": "44.5",
        "cpu": "41.0",
        "gpu": "80.0",
        "ram": "900",
        "disk": "5000",
        "temperature": "51.5",
        "power": "9.5",
        "outbox": "3",
    }
    for template in figures.values():
        assert re.fullmatch(r"None|0.0", rendered(template, EMPTY.to_bytes()))


def test_events_have_the_type_home_assistant_wants(said: Discovery) -> None:
    happened = Event("end", "north", 4, "airplane", 0.8, 0.9, (0.5, 0.5, 0.1, 0.1), 0, 0)
    timeline = build.Timeline(0, 0, synced=True)
    told = build.event(ORIGIN, 1, happened, timeline, engine=None, latency_ms=3).to_bytes()
    event = said.components["event"]
    shown = json.loads(rendered(event.value_template, told))
    assert shown == {**json.loads(told), "event_type": "end"}
    assert shown["event_type"] in event.event_types


def test_a_withdrawal_is_an_empty_retained_message() -> None:
    message = Announcement("ha", "n", TOPICS, (), (), "1", 10).withdrawal()
    assert (message.topic, message.payload, message.retain) == ("ha/device/n/config", b"", True)
