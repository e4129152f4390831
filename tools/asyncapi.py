"""Writes docs/asyncapi.yaml (AsyncAPI 3) from the payload schemas and the topic names.

usage: python tools/asyncapi.py     A test tells when the file is old.
"""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic.json_schema import models_json_schema

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "daemon"))

from spotterd.publish import payloads  # noqa: E402
from spotterd.publish.topics import Topics  # noqa: E402
from spotterd.version import __version__  # noqa: E402

FILE = ROOT / "docs" / "asyncapi.yaml"
TOPICS = Topics("{root}")
PARAMETERS = {
    "root": "topic root: `mqtt.root`, by default `spotter/<node>`",
    "camera": "name of a camera in the configuration",
    "event": "id of an event",
    "verb": "what to do: ping, snapshot, logs, rebuild, recalibrate, bench, model, restart",
    "prefix": "`publish.homeassistant.prefix`",
    "node": "name of the board",
}


@dataclass(frozen=True)
class Channel:
    """One row of the contract's table."""

    name: str
    address: str
    says: str
    payload: type[payloads.Payload] | dict[str, Any]
    qos: int
    retain: bool = False
    incoming: bool = False


JPEG = {"type": "string", "format": "binary", "contentMediaType": "image/jpeg"}
AVAILABILITY = {"type": "string", "enum": ["online", "offline", "stopped"]}
COUNT = {"type": "object", "additionalProperties": {"type": "integer", "minimum": 1}}
DISCOVERY = {"type": "object", "description": "see Home Assistant's documentation"}

CHANNELS = (
    Channel(
        "availability",
        TOPICS.availability,
        "Plain text. `offline` is the last will, `stopped` a clean stop.",
        AVAILABILITY,
        qos=1,
        retain=True,
    ),
    Channel("info", TOPICS.info, "What runs here.", payloads.InfoPayload, qos=1, retain=True),
    Channel(
        "state",
        TOPICS.state,
        "What the daemon is doing.",
        payloads.StatePayload,
        qos=1,
        retain=True,
    ),
    Channel("health", TOPICS.health, "Figures, every few seconds.", payloads.HealthPayload, qos=0),
    Channel(
        "cameraStatus",
        TOPICS.camera_status("{camera}"),
        "How a camera is.",
        payloads.CameraStatusPayload,
        qos=1,
        retain=True,
    ),
    Channel(
        "cameraCount",
        TOPICS.camera_count("{camera}"),
        "Confirmed tracks now in view, by class.",
        COUNT,
        qos=1,
        retain=True,
    ),
    Channel(
        "cameraSnapshot",
        TOPICS.camera_snapshot("{camera}"),
        "Picture of the latest event.",
        JPEG,
        qos=0,
        retain=True,
    ),
    Channel(
        "detections",
        TOPICS.detections("{camera}"),
        "One message a frame with detections.",
        payloads.DetectionsPayload,
        qos=0,
    ),
    Channel(
        "event",
        TOPICS.event,
        "The life of a track. Durable: waits in the outbox while the broker is away.",
        payloads.EventPayload,
        qos=1,
    ),
    Channel(
        "eventSnapshot",
        TOPICS.event_snapshot("{event}"),
        "Best view of an event. Durable.",
        JPEG,
        qos=1,
    ),
    Channel(
        "configDesired",
        TOPICS.config_desired,
        "A wish for another configuration.",
        payloads.DesiredPayload,
        qos=1,
        retain=True,
        incoming=True,
    ),
    Channel(
        "configReported",
        TOPICS.config_reported,
        "The configuration in force, and what became of the last wish.",
        payloads.ReportedPayload,
        qos=1,
        retain=True,
    ),
    Channel(
        "modelStatus",
        TOPICS.model_status,
        "How far the last order of a model is, and which models are in use.",
        payloads.ModelStatusPayload,
        qos=1,
        retain=True,
    ),
    Channel(
        "request",
        TOPICS.request("{verb}"),
        "Something to do now.",
        payloads.RequestPayload,
        qos=1,
        incoming=True,
    ),
    Channel(
        "response",
        TOPICS.response("{verb}"),
        "What came of a request; before that, with QoS 0 and `progress`, how far a long one is.",
        payloads.ResponsePayload,
        qos=1,
    ),
    Channel(
        "homeAssistant",
        "{prefix}/device/{node}/config",
        "Device discovery, where `publish.homeassistant.discovery` is on.",
        DISCOVERY,
        qos=1,
        retain=True,
    ),
)


def document() -> dict[str, Any]:
    """The whole AsyncAPI document."""
    models = [
        (c.payload, "validation" if c.incoming else "serialization")
        for c in CHANNELS
        if isinstance(c.payload, type)
    ]
    _, schemas = models_json_schema(models, ref_template="#/components/schemas/{model}")
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "spotterd",
            "version": __version__,
            "description": "What a board says over MQTT, and what it listens to. "
            "Made by tools/asyncapi.py from the payload schemas; do not edit.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/json",
        "channels": {channel.name: _channel(channel) for channel in CHANNELS},
        "operations": {
            ("hear" if channel.incoming else "say") + channel.name[0].upper() + channel.name[1:]: {
                "action": "receive" if channel.incoming else "send",
                "channel": {"$ref": f"#/channels/{channel.name}"},
                "bindings": {"mqtt": {"qos": channel.qos, "retain": channel.retain}},
            }
            for channel in CHANNELS
        },
        "components": {"schemas": _draft_7(schemas["$defs"])},
    }


def _draft_7(schema: Any) -> Any:
    """AsyncAPI's own schemas are JSON Schema draft 7, where a tuple is `items` with a list."""
    if isinstance(schema, dict):
        return {"items" if k == "prefixItems" else k: _draft_7(v) for k, v in schema.items()}
    return [_draft_7(item) for item in schema] if isinstance(schema, list) else schema


def _channel(channel: Channel) -> dict[str, Any]:
    named = [name for name in PARAMETERS if f"{{{name}}}" in channel.address]
    if isinstance(channel.payload, dict):
        kind = {"availability": "text/plain"}.get(channel.name, "application/json")
        kind = channel.payload.get("contentMediaType", kind)
        message = {"contentType": kind, "payload": channel.payload}
    else:
        ref = f"#/components/schemas/{channel.payload.__name__}"
        message = {"contentType": "application/json", "payload": {"$ref": ref}}
    return {
        "address": channel.address,
        "description": channel.says,
        "parameters": {name: {"description": PARAMETERS[name]} for name in named},
        "messages": {channel.name: message},
    }


def text() -> str:
    """The document as the file holds it."""
    return yaml.safe_dump(document(), sort_keys=False, allow_unicode=True, width=100)


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
