"""Home Assistant's MQTT device discovery: one message that announces the board and its entities.

Follows https://www.home-assistant.io/integrations/mqtt/#device-discovery-payload. Home Assistant
reads the topics that exist anyway; nothing else is published for it. Pure.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

from spotterd.publish.base import Message
from spotterd.publish.topics import Topics

ONLINE = b"online"  # what Home Assistant says on its status topic when it has started
EXPIRES_AFTER_INTERVALS = 3  # without a health message figures are unknown, not the last ones

Component: TypeAlias = dict[str, Any]

# Object id: name, template, unit, device class. Of `<root>/health`.
_FIGURES: Mapping[str, tuple[str, str, str | None, str | None]] = {
    "fps": ("Frame rate", "value_json.fps", "fps", None),
    "latency": ("Latency p95", "(value_json.latency_ms or {}).get('p95')", "ms", "duration"),
    "cpu": ("Processor", "value_json.host.cpu_percent", "%", None),
    "gpu": ("GPU", "value_json.host.gpu_percent", "%", None),
    "ram": ("Free memory", "value_json.host.ram_available_mib", "MiB", "data_size"),
    "disk": ("Free disk", "value_json.host.disk_free_mib", "MiB", "data_size"),
    "temperature": (
        "Hottest sensor",
        "value_json.host.temperatures_c.values() | max | default(none)",
        "°C",
        "temperature",
    ),
    "power": ("Power", "value_json.host.power_w", "W", "power"),
    "outbox": ("Waiting messages", "(value_json.outbox or {}).get('depth')", None, None),
}
# Verb: name, icon, device class. Of `<root>/request/<verb>`.
_REQUESTS: Mapping[str, tuple[str, str, str | None]] = {
    "snapshot": ("Take a picture", "mdi:camera", None),
    "rebuild": ("Rebuild the engine", "mdi:cog-refresh", None),
    "restart": ("Restart", "mdi:restart", "restart"),
}


@dataclass(frozen=True, slots=True)
class Announcement:
    """What Home Assistant should know of a board.

    Attributes:
        prefix: Home Assistant's discovery prefix.
        node: name of the board; letters, digits, - and _.
        topics: where the board speaks.
        cameras: their names.
        labels: classes to have a sensor for, at every camera.
        version: of spotterd.
        health_interval_s: seconds between health messages.
    """

    prefix: str
    node: str
    topics: Topics
    cameras: Sequence[str]
    labels: Sequence[str]
    version: str
    health_interval_s: float

    @property
    def status_topic(self) -> str:
        """Where Home Assistant says `online`; then the message is sent again."""
        return f"{self.prefix}/status"

    def message(self) -> Message:
        """The announcement itself."""
        payload = {
            "device": {
                "identifiers": [f"spotterd_{self.node}"],
                "name": self.node,
                "manufacturer": "spotterd",
                "model": "Sky camera",
                "sw_version": self.version,
            },
            "origin": {"name": "spotterd", "sw_version": self.version},
            "availability": [
                {
                    "topic": self.topics.availability,
                    # `stopped` is not `offline`, and both mean that nobody watches.
                    "value_template": "{{ 'online' if value == 'online' else 'offline' }}",
                }
            ],
            "components": self._components(),
        }
        topic = f"{self.prefix}/device/{self.node}/config"
        body = json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()
        return Message(topic, body, qos=1, retain=True)

    def withdrawal(self) -> Message:
        """Makes Home Assistant forget the board."""
        return Message(f"{self.prefix}/device/{self.node}/config", b"", qos=1, retain=True)

    def _components(self) -> dict[str, Component]:
        found: dict[str, Component] = {"state": self._state(), "event": self._event()}
        for camera in self.cameras:
            found |= self._of_camera(camera)
        for key, (name, template, unit, device_class) in _FIGURES.items():
            found[key] = self._figure(name, template, unit, device_class)
        for verb, (name, icon, device_class) in _REQUESTS.items():
            found[f"request_{verb}"] = {
                "platform": "button",
                "name": name,
                "icon": icon,
                "command_topic": self.topics.request(verb),
                "payload_press": '{"token":"homeassistant"}',
                "qos": 1,
                "entity_category": "config",
                **({"device_class": device_class} if device_class else {}),
            }
        for key, component in found.items():
            component["unique_id"] = f"spotterd_{self.node}_{key}"
        return found

    def _state(self) -> Component:
        return {
            "platform": "sensor",
            "name": "State",
            "icon": "mdi:telescope",
            "state_topic": self.topics.state,
            "value_template": "{{ value_json.state }}",
            "json_attributes_topic": self.topics.state,
            "device_class": "enum",
            "options": ["starting", "building", "running", "degraded", "failed"],
            "entity_category": "diagnostic",
        }

    def _event(self) -> Component:
        return {
            "platform": "event",
            "name": "Track",
            "icon": "mdi:airplane",
            "state_topic": self.topics.event,
            "event_types": ["start", "update", "end"],
            "value_template": "{{ dict(value_json, event_type=value_json.type) | tojson }}",
            "qos": 1,
        }

    def _of_camera(self, camera: str) -> dict[str, Component]:
        found: dict[str, Component] = {
            f"{camera}_online": {
                "platform": "binary_sensor",
                "name": f"Camera {camera}",
                "state_topic": self.topics.camera_status(camera),
                "value_template": "{{ 'ON' if value_json.state == 'online' else 'OFF' }}",
                "device_class": "connectivity",
                "entity_category": "diagnostic",
            },
            f"{camera}_picture": {
                "platform": "image",
                "name": f"Latest at {camera}",
                "image_topic": self.topics.camera_snapshot(camera),
                "content_type": "image/jpeg",
            },
        }
        for label in self.labels:
            found[f"{camera}_{_object_id(label)}"] = {
                "platform": "binary_sensor",
                "name": f"{label} at {camera}",
                "state_topic": self.topics.camera_count(camera),
                "value_template": (
                    f"{{{{ 'ON' if value_json.get({json.dumps(label)}, 0) > 0 else 'OFF' }}}}"
                ),
                "device_class": "occupancy",
            }
        return found

    def _figure(
        self, name: str, template: str, unit: str | None, device_class: str | None
    ) -> Component:
        return {
            "platform": "sensor",
            "name": name,
            "state_topic": self.topics.health,
            "value_template": f"{{{{ {template} }}}}",
            "state_class": "measurement",
            "entity_category": "diagnostic",
            "expire_after": max(1, round(EXPIRES_AFTER_INTERVALS * self.health_interval_s)),
            **({"unit_of_measurement": unit} if unit else {}),
            **({"device_class": device_class} if device_class else {}),
        }


def _object_id(label: str) -> str:
    """Home Assistant takes letters, digits, - and _ only; class names may have more."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", label)
