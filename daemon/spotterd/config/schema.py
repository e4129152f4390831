"""The configuration: one immutable, validated value.

Every field carries its unit in its name and its meaning in its description; `config.yaml` at the
top level shows the same defaults with comments, and a test holds the two equal. Unknown keys are
errors.
"""

import re
import socket
from typing import Annotated, Literal, TypeAlias
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from typing_extensions import Self

from spotterd.config.patterns import matching

Name: TypeAlias = Annotated[
    str,
    matching(r"[A-Za-z0-9_-]{1,64}", "1 to 64 letters, digits, - and _"),
    Field(description="letters, digits, - and _; part of topics"),
]
TopicPrefix: TypeAlias = Annotated[
    str, matching(r"[^#+\s]+", "the beginning of a topic, without spaces, # and +")
]
Fraction: TypeAlias = Annotated[float, Field(ge=0.0, le=1.0)]
Side: TypeAlias = Annotated[int, Field(ge=32, le=4096, multiple_of=32)]
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
    controls: dict[str, int] = Field(
        default_factory=dict, description="USB: V4L2 controls by name, set in this order"
    )
    credentials_file: str | None = Field(
        None, description="rtsp, http: file whose first line is user:password"
    )
    rtsp_transport: Literal["tcp", "udp"] = Field("tcp", description="udp: less delay, more losses")


class Detector(Section):
    """The model and what counts as seen."""

    model: str = Field("sky", description="'sky' or 'sky-s' (bundled), or the path of a YOLO .onnx")
    labels: tuple[str, ...] | str | None = Field(
        None, description="list or text file of class names; none: those in the model's metadata"
    )
    input_size: Side | tuple[Side, Side] | None = Field(
        None, description="side, or [width, height], multiples of 32; none: the model's own"
    )
    score: Fraction = Field(0.35, description="detections below this score are not seen")
    iou: Fraction = Field(0.6, description="NMS: boxes of one class overlapping more are one")
    max_detections: int = Field(100, ge=1, le=1000, description="best ones kept per frame")

    @property
    def input_hw(self) -> tuple[int, int] | None:
        """`input_size` as height and width."""
        size = self.input_size
        return (size, size) if isinstance(size, int) else size and (size[1], size[0])


class Tracking(Section):
    """How detections become tracks (docs/tracking.md tells when to change what)."""

    low_score: Fraction = Field(
        0.1, description="weaker sightings, from here to detector.score, prolong a track"
    )
    confirm_score: Fraction | None = Field(
        None, description="mean score that confirms a track; none: detector.score"
    )
    confirm_hits: int = Field(3, ge=1, le=100, description="sightings that confirm a track")
    confirm_s: float = Field(0.3, ge=0, le=60, description="age that confirms a track")
    tentative_s: float = Field(0.3, gt=0, le=60, description="unconfirmed, unseen this long: gone")
    lost_s: float = Field(2.0, gt=0, le=60, description="confirmed, unseen this long: gone")
    reach: float = Field(0.5, ge=0, le=5, description="search this many object sizes around")
    agility: float = Field(2.0, gt=0, le=100, description="acceleration, object sizes per s^2")
    label_hold_s: float = Field(1.0, ge=0, le=60, description="sureness it takes to rename a track")


class Gate(Section):
    """How near a built engine must come to the FP32 model to be used."""

    recall: Fraction = Field(0.95, description="share of the FP32 model's detections it finds")
    agreement: Fraction = Field(
        0.9, description="AP50 with the FP32 model's detections as the truth"
    )
    score_shift: Fraction = Field(0.05, description="mean change of a score, at most")


class Harvest(Section):
    """Pictures of the board's own cameras, kept for a later calibration."""

    keep: int = Field(240, ge=0, le=10_000, description="pictures kept on disk; 0: none")
    interval_s: float = Field(60.0, ge=1, description="least time between two of one kind")


class Engines(Section):
    """What runs the model."""

    backend: Literal["auto", "onnxruntime", "tensorrt"] = Field(
        "auto", description="auto: TensorRT where it works, else ONNX Runtime"
    )
    precision: Literal["auto"] | Precision = Field(
        "auto", description="auto: the fastest that passes the accuracy gate"
    )
    threads: int = Field(0, ge=0, le=256, description="CPU threads of ONNX Runtime; 0: all cores")
    slots: int = Field(
        3, ge=1, le=16, description="frames held by the GPU path: copied, computed, decoded"
    )
    zero_copy: Literal["auto", "on", "off"] = Field(
        "auto", description="the GPU reads the CPU's memory; auto: where they share it (Jetson)"
    )
    letterbox: Literal["auto", "cpu", "gpu"] = Field(
        "auto", description="who scales frames for TensorRT; auto: the faster one, timed at start"
    )
    dla_core: int | None = Field(
        None, ge=0, le=3, description="deep learning accelerator of a Jetson; none: the GPU"
    )
    max_bytes: int = Field(
        2_000_000_000, ge=0, description="disk space for built engines; the oldest go first"
    )
    calibration: str | None = Field(
        None, description="folder of INT8 calibration pictures; none: imported, else bundled ones"
    )
    gate: Gate = Gate()
    harvest: Harvest = Harvest()


class Mqtt(Section):
    """The broker. Not remotely writable."""

    url: str = Field("mqtt://127.0.0.1:1883", description="mqtt:// or mqtts://")
    username: str | None = Field(None, description="user name, if the broker wants one")
    password_file: str | None = Field(None, description="file whose first line is the password")
    ca_file: str | None = Field(None, description="CA certificate; none: the system's")
    cert_file: str | None = Field(None, description="client certificate")
    key_file: str | None = Field(None, description="key of the client certificate")
    protocol: Literal["auto", "5", "3.1.1"] = Field("auto", description="auto: 5, else 3.1.1")
    keepalive_s: int = Field(30, ge=5, le=3600, description="seconds between pings")
    root: TopicPrefix | None = Field(None, description="topic root; none: spotter/<node>")

    @field_validator("url")
    @classmethod
    def _host_and_port_only(cls, value: str) -> str:
        parts = urlsplit(value)  # ValueError: half of an IPv6 address
        named = parts.hostname and (parts.port is None or parts.port > 0)  # the same: no port
        if parts.scheme not in ("mqtt", "mqtts") or not named or re.search(r"\s", value):
            raise ValueError("should be mqtt://HOST[:PORT] or mqtts://HOST[:PORT]")
        if parts.path.strip("/") or parts.query or parts.fragment or "@" in parts.netloc:
            raise ValueError(
                "should be mqtt://HOST[:PORT] or mqtts://HOST[:PORT] and no more; user and "
                "password go into mqtt.username and mqtt.password_file"
            )
        return value

    @field_validator("root")
    @classmethod
    def _no_outer_slash(cls, value: str | None) -> str | None:
        return value.strip("/") if value else value


class Outbox(Section):
    """Events that wait for the broker; over the limits updates and pictures go first."""

    max_messages: int = Field(10_000, ge=10, le=1_000_000, description="messages kept at most")
    max_mb: int = Field(64, ge=1, le=10_000, description="their size at most, in MiB")


class HomeAssistant(Section):
    """Home Assistant finds the board by itself."""

    discovery: bool = Field(False, description="announce the board under the prefix")
    prefix: TopicPrefix = Field("homeassistant", description="discovery prefix of Home Assistant")


class Publish(Section):
    """What is sent, and how often."""

    detections: Literal["off", "changes", "all"] = Field(
        "all",
        description="all: each frame with detections; changes: when the tracks change",
    )
    outbox: Outbox = Outbox()
    homeassistant: HomeAssistant = HomeAssistant()


Point: TypeAlias = tuple[Fraction, Fraction]
QuietHours: TypeAlias = Annotated[
    str,
    matching(
        r"([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d", "HH:MM-HH:MM, such as 22:00-06:00"
    ),
]


class Zone(Section):
    """A part of the picture (the key in `zones` is its name in events)."""

    camera: Name | None = Field(None, description="in this camera's picture; none: in every one")
    polygon: tuple[Point, ...] = Field(
        min_length=3, description="corners [x, y], 0..1 of the picture, 0, 0 at the top left"
    )
    classes: tuple[str, ...] | None = Field(None, description="only these; none: all that alert")
    dwell_s: float = Field(0.5, ge=0, le=3600, description="seconds inside before it counts")


class Line(Section):
    """A line to cross (the key in `lines` is its name in events)."""

    camera: Name | None = Field(None, description="in this camera's picture; none: in every one")
    start: Point = Field(description="one end [x, y], 0..1 of the picture")
    end: Point = Field(description="the other end")
    towards: Literal["left", "right", "both"] = Field(
        "both", description="side it must be crossed to, looking from start to end"
    )
    classes: tuple[str, ...] | None = Field(None, description="only these; none: all that alert")

    @model_validator(mode="after")
    def _has_length(self) -> Self:
        if self.start == self.end:
            raise ValueError("start and end of a line must differ")
        return self


class Pictures(Section):
    """The JPEG pictures of events."""

    max_kb: int = Field(100, ge=5, le=10_000, description="size of one picture")
    max_width: int = Field(1280, ge=64, le=10_000, description="wider frames are scaled down")
    keep: int = Field(500, ge=0, le=1_000_000, description="pictures kept on disk; 0: none")
    keep_mb: int = Field(50, ge=1, description="disk space for them")


class Clips(Section):
    """Short recordings around the start of events, kept on the board."""

    enabled: bool = Field(False, description="record them")
    before_s: float = Field(5.0, ge=0, le=60, description="seconds before the event")
    after_s: float = Field(5.0, ge=0, le=60, description="seconds after its start")
    fps: float = Field(10.0, gt=0, le=60, description="pictures a second")
    width: int = Field(960, ge=64, le=10_000, description="wider frames are scaled down")
    keep_mb: int = Field(500, ge=1, description="disk space a camera; the oldest go first")


class Events(Section):
    """What people are told about."""

    classes: tuple[str, ...] | None = Field(
        None, description="labels that alert; none: all of the model but 'bird'"
    )
    cool_down_s: float = Field(
        60.0, ge=0, description="no new event where one ended, until empty this long"
    )
    better_view: float = Field(1.5, ge=1.05, description="a view this many times better: update")
    update_s: float = Field(5.0, ge=0, description="least time between updates for a better view")
    quiet_hours: tuple[QuietHours, ...] = Field(
        (), description="local times in which no event starts, like 22:00-06:00"
    )
    zones: dict[Name, Zone] = Field(default_factory=dict, description="parts of the picture")
    lines: dict[Name, Line] = Field(default_factory=dict, description="lines to cross")
    pictures: Pictures = Pictures()
    clips: Clips = Clips()


class Health(Section):
    """Figures about the daemon and the board."""

    interval_s: float = Field(10.0, ge=0.2, le=3600, description="seconds between health messages")
    cool_margin_c: float = Field(
        5.0, ge=0, le=40, description="fewer frames this near to a sensor's trip point; 0: never"
    )


class Web(Section):
    """A web server of the daemon's own. Not remotely writable: it has no passwords."""

    page: bool = Field(False, description="live pictures, health and events in a browser")
    metrics: bool = Field(False, description="/metrics for Prometheus")
    address: str = Field("127.0.0.1", description="where to listen; 0.0.0.0: everybody may look")
    port: int = Field(8377, ge=1, le=65535, description="TCP port")


class Models(Section):
    """Models that are delivered over the network."""

    max_mb: int = Field(200, ge=1, le=10_000, description="larger ones are refused, MiB")
    public_key: str | None = Field(
        None, description="PEM file of an Ed25519 key; where set, only signed models are taken"
    )
    ca_file: str | None = Field(
        None, description="CA certificate of your server; none: the system's"
    )
    download_s: float = Field(3600.0, gt=0, description="a download ends after this")
    canary_s: float = Field(600.0, gt=0, description="a new model is on trial for this long")
    canary_latency: float = Field(
        1.5, ge=1, description="its frames may take this many times as long as before"
    )
    canary_objects: float = Field(
        5.0, ge=1, description="it may see this many times more or fewer objects than before"
    )


class Remote(Section):
    """Changes from afar. Not remotely writable."""

    probation_s: float = Field(
        60.0, gt=0, le=3600, description="a changed camera or model must work within this"
    )
    probation_frames: int = Field(
        30, ge=1, le=10_000, description="frames that each camera must give within it"
    )
    models: Models = Models()


class Log(Section):
    """What goes to the journal, or to the terminal."""

    level: Literal["debug", "info", "warning", "error"] = Field("info", description="and above")


class Config(Section):
    """The whole configuration of one daemon."""

    node: Name = Field(default_factory=default_node, description="name of this board in topics")
    cameras: dict[Name, Camera] = Field(
        default_factory=lambda: {"main": Camera()}, min_length=1, description="one entry a camera"
    )
    detector: Detector = Detector()
    tracking: Tracking = Tracking()
    events: Events = Events()
    engines: Engines = Engines()
    mqtt: Mqtt = Mqtt()
    publish: Publish = Publish()
    health: Health = Health()
    web: Web = Web()
    remote: Remote = Remote()
    log: Log = Log()

    @model_validator(mode="after")
    def _cameras_of_zones_and_lines_exist(self) -> Self:
        for kind, places in (("zones", self.events.zones), ("lines", self.events.lines)):
            for name, place in places.items():
                if place.camera not in (None, *self.cameras):
                    raise ValueError(
                        f"events.{kind}.{name}.camera is '{place.camera}', but the cameras are "
                        f"{', '.join(self.cameras)}"
                    )
        return self

    @property
    def root(self) -> str:
        """Topic root, without a slash at either end."""
        return self.mqtt.root or f"spotter/{self.node}"
