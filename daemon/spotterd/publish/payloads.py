"""What every payload looks like: the schemas behind docs/mqtt.md and docs/asyncapi.yaml.

Times are UTC ISO-8601 with milliseconds, beside a monotonic counter in nanoseconds that never
jumps. `clock_synced` tells whether the UTC part can be trusted.
"""

from typing import Annotated, Any, ClassVar, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypedDict

Utc: TypeAlias = Annotated[
    str,
    Field(
        pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$",
        examples=["2026-11-23T10:37:49.812Z"],
    ),
]
Fraction: TypeAlias = Annotated[float, Field(ge=0.0, le=1.0)]
BoxXywhn: TypeAlias = Annotated[
    tuple[float, float, float, float],
    Field(description="centre x, centre y, width, height, each 0..1 of the frame"),
]


class Payload(BaseModel):
    """Base of everything that travels as JSON."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_by_name=True)

    def to_bytes(self) -> bytes:
        """The payload as it travels: compact JSON in UTF-8, fields in the order of the schema."""
        return self.__pydantic_serializer__.to_json(self, by_alias=True)


class Stamped(Payload):
    """What it is, who says it, and when."""

    schema_: str = Field(alias="schema")
    node: str = Field(description="name of the board")
    boot: str = Field(description="changes with every start of the daemon")
    ts: Utc = Field(description="UTC of what is told (not of sending)")
    mono_ns: int = Field(description="CLOCK_MONOTONIC of the same moment, nanoseconds")
    clock_synced: bool = Field(description="false: do not trust `ts`, the clock was never set")


class FoundOfClass(Payload):
    """Objects of one class in the pictures of the gate."""

    reference: int = Field(description="seen by the FP32 model")
    found: int = Field(description="of these, seen by the engine")


class GateInfo(Payload):
    """How the built engine compares with the FP32 model, whose detections stand for the truth."""

    verdict: Literal["proven", "not proven", "refuted"]
    why: str = Field(description="for people")
    pictures: int = Field(description="looked at by both")
    reference: int = Field(description="objects that the FP32 model sees in them")
    recall: float = Field(description="share of these that the engine finds")
    agreement: float = Field(description="AP50 with the FP32 model's detections as the truth")
    score_shift: float = Field(description="mean change of a score")
    per_class: dict[str, FoundOfClass]
    ms: float = Field(description="median milliseconds of one inference")
    reference_ms: float = Field(description="the same of FP32 on ONNX Runtime")


class EngineInfo(Payload):
    """What runs the model."""

    key: str = Field(description="identity of the engine; empty for ONNX Runtime")
    backend: str = Field(description="onnxruntime or tensorrt")
    device: str = Field(description="e.g. CPU (4 threads), Orin")
    precision: Literal["fp32", "fp16", "int8"]
    gate: GateInfo | None = Field(None, description="none where the FP32 model itself runs")


class ModelInfo(Payload):
    """The detector."""

    name: str
    sha256: str
    labels: tuple[str, ...]
    input_wh: tuple[int, int] = Field(description="input width and height in pixels")


class InfoPayload(Stamped):
    """`<root>/info`: what runs here."""

    schema_: Literal["spotter.info/1"] = Field("spotter.info/1", alias="schema")
    versions: dict[str, str] = Field(description="spotterd, Python and the libraries that matter")
    model: ModelInfo | None = None
    engine: EngineInfo | None = None
    cameras: tuple[str, ...]


class StatePayload(Stamped):
    """`<root>/state`: what the daemon is doing."""

    schema_: Literal["spotter.state/1"] = Field("spotter.state/1", alias="schema")
    state: Literal["starting", "building", "running", "degraded", "failed"]
    reason: str = ""
    progress: Fraction | None = Field(None, description="of what `state` says")
    eta_s: float | None = Field(None, description="seconds until it is done, as estimated")


class Latency(Payload):
    """Capture to publish, in milliseconds."""

    p50: float
    p95: float
    p99: float


class CameraHealth(Payload):
    """One camera since the last health message."""

    fps: float = Field(description="frames a second that went the whole way")
    camera_fps: float = Field(0.0, description="pictures a second that the camera gives")
    age_ms: float | None = Field(None, description="of its newest picture; null: none yet")
    frames: int = Field(description="since start")
    dropped: int = Field(description="since start: too old, or a newer one came")
    reconnects: int = Field(description="since start")
    hung: int = Field(0, description="reads that hang in its driver now")


class OutboxHealth(Payload):
    """Messages that wait for the broker."""

    depth: int = Field(description="messages waiting")
    bytes: int = Field(description="their size")
    dropped: int = Field(description="since start, because the outbox was full")
    durable: bool = Field(description="false: the disk does not take them, they wait in memory")
    problem: str = Field("", description="why, where `durable` is false")


class LinkHealth(Payload):
    """The connection to the broker."""

    reconnects: int
    dropped: int = Field(description="messages of QoS 0 that found no connection")
    refused: int = Field(description="messages the broker refused for good")
    problem: str = Field("", description="what the broker refuses now")


class HostHealth(Payload):
    """The board; null where it does not tell."""

    cpu_percent: float | None = Field(None, description="of all cores together")
    rss_mib: int | None = Field(None, description="memory of the daemon")
    ram_available_mib: int | None = None
    ram_total_mib: int | None = None
    disk_free_mib: int | None = Field(None, description="where the state directory lies")
    gpu_percent: float | None = None
    power_w: float | None = None
    throttled: bool | None = Field(None, description="clocks are held down (heat, power)")
    temperatures_c: dict[str, float] = Field(default_factory=dict, description="by sensor")


class HealthPayload(Stamped):
    """`<root>/health`: figures, every `health.interval_s`."""

    schema_: Literal["spotter.health/1"] = Field("spotter.health/1", alias="schema")
    uptime_s: float
    fps: float = Field(description="of all cameras together")
    latency_ms: Latency | None = Field(None, description="null: no frame since the last message")
    dropped: int = Field(description="frames of all cameras, since start")
    errors: int = Field(0, description="defects that were caught, logged and survived, since start")
    queues: dict[str, int] = Field(default_factory=dict, description="depth by stage")
    cameras: dict[str, CameraHealth] = Field(default_factory=dict)
    outbox: OutboxHealth | None = None
    link: LinkHealth | None = None
    host: HostHealth = HostHealth()


class CameraStatusPayload(Stamped):
    """`<root>/camera/<cam>/status`."""

    schema_: Literal["spotter.camera/1"] = Field("spotter.camera/1", alias="schema")
    camera: str
    state: Literal["online", "stalled", "offline"]
    reason: str = ""
    since: Utc
    warnings: tuple[str, ...] = Field((), description="frozen, black, covered or blurred picture")


class Detection(TypedDict):
    """One object in one frame; a plain mapping, since there are many of them every second."""

    label: str
    score: Fraction
    box_xywhn: BoxXywhn
    track: Annotated[int | None, Field(description="stays while it is the same object")]


class DetectionsPayload(Stamped):
    """`<root>/detections/<cam>`: one message a frame with detections."""

    schema_: Literal["spotter.detections/1"] = Field("spotter.detections/1", alias="schema")
    camera: str
    seq: int = Field(description="number of the frame; gaps are frames that were dropped")
    frame_wh: tuple[int, int] = Field(description="width and height in pixels")
    latency_ms: float = Field(description="from capture to this message")
    detections: tuple[Detection, ...]


class EngineOfEvent(Payload):
    """What saw it."""

    key: str
    precision: Literal["fp32", "fp16", "int8"]


class EventPayload(Stamped):
    """`<root>/event`: something in the life of a track. Dedupe on (node, boot, seq)."""

    schema_: Literal["spotter.event/1"] = Field("spotter.event/1", alias="schema")
    seq: int = Field(description="counts the events of one boot, from 1")
    id: str = Field(description="of the track: the same from start to end")
    type: Literal["start", "update", "end"]
    camera: str
    label: str
    score: Fraction
    top_score: Fraction
    box_xywhn: BoxXywhn
    zones: tuple[str, ...] = ()
    lines: tuple[str, ...] = Field((), description="lines crossed, with direction")
    start_ts: Utc
    end_ts: Utc | None = None
    duration_s: float
    reason: str = Field("", description="of an end: lost, restart, ...")
    engine: EngineOfEvent | None = None
    latency_ms: float
    # Last on purpose: `build.as_replayed` rewrites the end of the bytes.
    replayed: bool = Field(False, description="true: it waited while the broker was away")

    REPLAYED: ClassVar[tuple[bytes, bytes]] = (b'"replayed":false}', b'"replayed":true}')


class DeliveredModel(Payload):
    """A model file that was delivered."""

    name: str
    sha256: str
    size: int = Field(description="bytes")
    labels: tuple[str, ...] | None = Field(None, description="null: those in its metadata")


class ModelStatusPayload(Stamped):
    """`<root>/model/status`: how far the last order of a model is, and what is in use."""

    schema_: Literal["spotter.model/1"] = Field("spotter.model/1", alias="schema")
    state: Literal[
        "idle",
        "downloading",
        "verifying",
        "building",
        "built",
        "canary",
        "current",
        "rolled_back",
        "failed",
    ]
    reason: str = Field("", description="what it does now; why it failed or was rolled back")
    progress: Fraction | None = Field(None, description="of what `state` says")
    token: str = Field("", description="of the request")
    ordered: DeliveredModel | None = Field(None, description="what the request asked for")
    current: DeliveredModel | None = Field(None, description="null: that of the configuration")
    previous: DeliveredModel | None = Field(None, description="null: that of the configuration")
    rollback: bool = Field(description="whether there is a previous one to go back to")


class ConfigProblem(Payload):
    """One thing wrong in a configuration somebody wished for."""

    path: str
    message: str


class DesiredPayload(Payload):
    """`<root>/config/desired`: a wish. `set` is a merge patch; null means back to the default."""

    version: int = Field(ge=1, description="higher than the reported one, else it is not new")
    token: str = Field("", max_length=200, description="echoed")
    set: dict[str, Any]


class ReportedPayload(Payload):
    """`<root>/config/reported`: the configuration in force, and what became of the last wish."""

    version: int
    token: str
    status: Literal["applied", "rejected", "rolled_back"]
    errors: tuple[ConfigProblem, ...] = ()
    config: dict[str, Any] = Field(description="in force, secrets masked")


class RequestPayload(Payload):
    """`<root>/request/<verb>`; an empty payload is a request without a token."""

    token: str = Field("", max_length=200, description="echoed")
    args: dict[str, Any] = Field(default_factory=dict)


class ResponsePayload(Payload):
    """`<root>/response/<verb>`."""

    verb: str
    token: str
    ok: bool
    message: str = ""
    progress: Fraction | None = Field(
        None, description="how far a long request is, sent with QoS 0; null: this is the answer"
    )
    result: dict[str, Any] = Field(default_factory=dict)
