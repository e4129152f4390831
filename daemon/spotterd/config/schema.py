"""The configuration: one immutable, validated value.

Every field carries its unit in its name and its meaning in its description; `config.yaml` at the
top level shows the same defaults with comments, and a test holds the two equal. Unknown keys are
errors.
"""

import re
import socket
from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, field_validator

Name: TypeAlias = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9_-]{1,64}$", description="letters, digits, - and _; part of topics"),
]
Fraction: TypeAlias = Annotated[float, Field(ge=0.0, le=1.0)]
Precision: TypeAlias = Literal["fp32", "fp16", "int8"]


def default_node() -> str:
    """The host name, made fit for a topic."""
    return re.sub(r"[^A-Za-z0-9_-]", "-", socket.gethostname())[:64] or "board"


class Section(BaseModel):
    """A part of the configuration: frozen, and strict about unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)


class Camera(Section):
    """One camera (the key in `cameras` is its name in topics)."""

    source: str = Field(
        "sim:",
        min_length=1,
        description="file, folder, usb:0, /dev/video0, csi:0, rtsp://, gst:PIPELINE or sim:",
    )
    max_fps: float = Field(0.0, ge=0, le=1000, description="slow the camera down to this; 0: never")
    max_age_ms: int = Field(500, ge=10, description="a live frame older than this is dropped")
    stall_timeout_s: float = Field(5.0, gt=0, description="no frame for this long: reconnect")
    loop: bool = Field(False, description="files: start again at the end")


class Detector(Section):
    """The model and what counts as seen."""

    model: str = Field("sky", description="'sky' (bundled), or the path of a YOLO .onnx")
    labels: tuple[str, ...] | str | None = Field(
        None, description="list or text file of class names; none: those in the model's metadata"
    )
    input_size: int | tuple[int, int] | None = Field(
        None, description="side, or [width, height], multiples of 32; none: the model's own"
    )
    score: Fraction = Field(0.35, description="detections below this score are not seen")
    iou: Fraction = Field(0.6, description="NMS: boxes of one class overlapping more are one")
    max_detections: int = Field(100, ge=1, le=1000, description="best ones kept per frame")


class Engines(Section):
    """What runs the model."""

    backend: Literal["auto", "onnxruntime", "tensorrt"] = Field(
        "auto", description="auto: TensorRT where it works, else ONNX Runtime"
    )
    precision: Literal["auto"] | Precision = Field(
        "auto", description="auto: the fastest that passes the accuracy gate"
    )
    threads: int = Field(0, ge=0, le=256, description="CPU threads of ONNX Runtime; 0: all cores")


class Mqtt(Section):
    """The broker. Not remotely writable."""

    url: str = Field(
        "mqtt://127.0.0.1:1883", pattern=r"^mqtts?://[^\s]+$", description="mqtt:// or mqtts://"
    )
    username: str | None = Field(None, description="user name, if the broker wants one")
    password_file: str | None = Field(None, description="file whose first line is the password")
    ca_file: str | None = Field(None, description="CA certificate; none: the system's")
    cert_file: str | None = Field(None, description="client certificate")
    key_file: str | None = Field(None, description="key of the client certificate")
    protocol: Literal["auto", "5", "3.1.1"] = Field("auto", description="auto: 5, else 3.1.1")
    keepalive_s: int = Field(30, ge=5, le=3600, description="seconds between pings")
    root: str | None = Field(
        None, pattern=r"^[^#+\s]+$", description="topic root; none: spotter/<node>"
    )

    @field_validator("root")
    @classmethod
    def _no_outer_slash(cls, value: str | None) -> str | None:
        return value.strip("/") if value else value


class Publish(Section):
    """What is sent, and how often."""

    detections: Literal["off", "changes", "all"] = Field(
        "all",
        description="all: each frame with detections; changes: when the tracks change",
    )


class Health(Section):
    """Figures about the daemon and the board."""

    interval_s: float = Field(10.0, ge=0.2, le=3600, description="seconds between health messages")


class Config(Section):
    """The whole configuration of one daemon."""

    node: Name = Field(default_factory=default_node, description="name of this board in topics")
    cameras: dict[Name, Camera] = Field(
        default_factory=lambda: {"main": Camera()}, min_length=1, description="one entry a camera"
    )
    detector: Detector = Detector()
    engines: Engines = Engines()
    mqtt: Mqtt = Mqtt()
    publish: Publish = Publish()
    health: Health = Health()

    @property
    def root(self) -> str:
        """Topic root, without a slash at either end."""
        return self.mqtt.root or f"spotter/{self.node}"
