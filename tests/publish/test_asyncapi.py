"""docs/asyncapi.yaml is current, sound, and what we really send is what it says."""

import importlib.util
import re
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
import yaml

from spotterd.data import Detections, Event, Frame
from spotterd.publish import build, topics
from spotterd.publish.base import Moment
from spotterd.publish.payloads import (
    DetectionsPayload,
    HealthPayload,
    InfoPayload,
    Payload,
    StatePayload,
)

ROOT = Path(__file__).parents[2]
FILE = ROOT / "docs" / "asyncapi.yaml"
ORIGIN = build.Origin("roof-1", "b3f1a2c4")
NOW = Moment(1_764_000_000_000_000_000, 5_000_000_000, synced=True)


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return yaml.safe_load(FILE.read_text(encoding="utf-8"))


def test_the_file_is_current() -> None:
    spec = importlib.util.spec_from_file_location("asyncapi_tool", ROOT / "tools" / "asyncapi.py")
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    old = "docs/asyncapi.yaml is old; run: python tools/asyncapi.py"
    assert FILE.read_text(encoding="utf-8") == tool.text(), old


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    for pointer in set(re.findall(r"\$ref: '?#/([^'\n]+)", FILE.read_text(encoding="utf-8"))):
        place = document
        for key in pointer.split("/"):
            place = place[key]
    assert document["asyncapi"] == "3.0.0"
    assert len(document["operations"]) == len(document["channels"])


def test_it_has_every_topic_of_ours(document: dict[str, Any]) -> None:
    addresses = {channel["address"] for channel in document["channels"].values()}
    ours = topics.Topics("{root}")
    names = [name for name in vars(topics.Topics) if not name.startswith("_")]
    values = [getattr(ours, name) for name in names]
    plain = {value for value in values if isinstance(value, str)} - {"{root}"}
    with_camera = {ours.detections("{camera}"), ours.camera_status("{camera}")}
    assert plain | with_camera <= addresses


HAPPENED = Event("start", "north", 4, "airplane", 0.8, 0.9, (0.5, 0.5, 0.1, 0.1), 0, 0)
FRAME = Frame("north", 7, 0, 0, NOW.wall_ns, np.zeros((100, 200, 3), np.uint8))
SEEN = Detections(np.array([[0, 0, 20, 20]], "f4"), np.array([0.9], "f4"), np.array([0]))


@pytest.mark.parametrize(
    "payload",
    [
        InfoPayload(**ORIGIN.stamp(NOW), versions={"spotterd": "1"}, cameras=("north",)),
        StatePayload(**ORIGIN.stamp(NOW), state="building", progress=0.5),
        HealthPayload(**ORIGIN.stamp(NOW), uptime_s=1, fps=0, dropped=0),
        build.camera_status(ORIGIN, NOW, "north", "online", reason="", since_ns=0),
        DetectionsPayload.model_validate_json(
            build.detections(ORIGIN, FRAME, SEEN, ["airplane"], synced=True, latency_ms=31)
        ),
        build.event(
            ORIGIN, 1, HAPPENED, build.Timeline.of(FRAME, synced=True), engine=None, latency_ms=3
        ),
    ],
    ids=lambda payload: type(payload).__name__,
)
def test_what_we_send_is_what_it_says(document: dict[str, Any], payload: Payload) -> None:
    sent = yaml.safe_load(payload.to_bytes())
    schema = {"$ref": f"#/components/schemas/{type(payload).__name__}", **document}
    # `$ref` beside other keys is ignored by draft 7; wrapped, the whole document is at hand.
    schema = {"allOf": [{"$ref": schema.pop("$ref")}], "components": schema["components"]}
    jsonschema.Draft7Validator.check_schema(schema)
    jsonschema.Draft7Validator(schema).validate(sent)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft7Validator(schema).validate({**sent, "surprise": 1})


def test_the_page_for_people_has_every_topic_too(document: dict[str, Any]) -> None:
    page = (ROOT / "docs" / "mqtt.md").read_text(encoding="utf-8")
    for channel in document["channels"].values():
        assert f"| `{channel['address'].replace('{', '<').replace('}', '>')}` |" in page
