"""Says things to the broker and the page: builds payloads, names topics, chooses QoS and retain.

One method a topic of docs/mqtt.md; any thread may call any of them, none waits.
"""

import itertools
import json
import platform
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from spotterd.builder.wire import Progress
from spotterd.camera.base import CameraStatus
from spotterd.config.schema import Config
from spotterd.data import Detections, Event, Frame, Tracks
from spotterd.health.clock import clock_synced
from spotterd.health.window import ShownEvent, Window
from spotterd.publish import build
from spotterd.publish.base import Message, Moment
from spotterd.publish.build import Origin, Timeline
from spotterd.publish.homeassistant import Announcement
from spotterd.publish.mqtt import MqttLink
from spotterd.publish.payloads import (
    DeliveredModel,
    EngineInfo,
    EngineOfEvent,
    EventPayload,
    GateInfo,
    HealthPayload,
    InfoPayload,
    ModelInfo,
    ModelStatusPayload,
    Payload,
    ReportedPayload,
    ResponsePayload,
    StatePayload,
)
from spotterd.publish.topics import Topics
from spotterd.remote.model import Delivered, Record
from spotterd.service.condition import State
from spotterd.service.engine import Loaded
from spotterd.version import __version__

TOLD_VERSIONS = ("numpy", "opencv-python", "onnxruntime", "paho-mqtt", "tensorrt", "pycuda")


class Report:
    """Everything that this daemon publishes goes through here.

    Args:
        origin: who speaks.
        topics: names below the configured root.
        link: takes the messages.
        window: what the local page shows.
        keep: takes name and JPEG of every event picture, to be kept on disk; must not block.

    Attributes:
        objects: seen in all frames so far; counted by the thread that finishes frames.
    """

    def __init__(
        self,
        origin: Origin,
        topics: Topics,
        link: MqttLink,
        window: Window,
        keep: Callable[[str, bytes], None],
    ) -> None:
        self.origin = origin
        self.topics = topics
        self._link = link
        self._window = window
        self._seq = itertools.count(1)
        self._track_ids: dict[str, Iterator[int]] = {}
        self._keep = keep
        self._engine: EngineOfEvent | None = None
        self.objects = 0

    def state(self, state: State, reason: str, built: Progress | None) -> None:
        """What the daemon is doing; and how far a build is, where there is one."""
        payload = StatePayload(
            **self.origin.stamp(_now()),
            state=state,
            reason=reason,
            progress=round(built.fraction, 3) if built else None,
            eta_s=built.eta_s if built else None,
        )
        self._retain(self.topics.state, payload)
        self._window.put_state(state, reason)

    def info(self, loaded: Loaded, cameras: Sequence[str]) -> None:
        """What runs here."""
        backend, model = loaded.detector.backend, loaded.detector.backend.model
        height, width = model.input_hw
        self._engine = EngineOfEvent(key=loaded.key, precision=backend.precision)
        payload = InfoPayload(
            **self.origin.stamp(_now()),
            versions={"spotterd": __version__, "python": platform.python_version(), **_versions()},
            model=ModelInfo(
                name=model.name,
                sha256=model.sha256,
                labels=loaded.detector.labels,
                input_wh=(width, height),
            ),
            engine=EngineInfo(
                key=loaded.key,
                backend=backend.name,
                device=backend.device,
                precision=backend.precision,
                gate=_gate(loaded),
            ),
            cameras=tuple(cameras),
        )
        self._retain(self.topics.info, payload)

    def reported(self, payload: ReportedPayload) -> None:
        """The configuration in force, and what became of the last wish."""
        self._retain(self.topics.config_reported, payload)

    def response(self, payload: ResponsePayload) -> None:
        """What came of a request."""
        topic = self.topics.response(payload.verb)
        # Progress is a running figure: it need not be kept while the broker is away.
        qos = 1 if payload.progress is None else 0
        self._link.send(Message(topic, payload.to_bytes(), qos=qos))

    def model(self, record: Record, progress: float | None, doing: str) -> None:
        """How far the last order of a model is."""
        order, previous = record.order, record.history[1:]
        payload = ModelStatusPayload(
            **self.origin.stamp(_now()),
            state=record.phase.value,
            reason=record.reason or doing,
            progress=None if progress is None else round(progress, 3),
            token=order.token if order else "",
            ordered=_told(order.model if order else None),
            current=_told(record.current),
            previous=_told(previous[0] if previous else None),
            rollback=bool(previous),
        )
        self._retain(self.topics.model_status, payload)

    def home_assistant(self, loaded: Loaded, config: Config) -> None:
        """Announce the board to Home Assistant."""
        announcement = Announcement(
            config.publish.homeassistant.prefix,
            config.node,
            self.topics,
            tuple(config.cameras),
            loaded.detector.labels,
            __version__,
            config.health.interval_s,
        )
        self._link.send(announcement.message())

    def camera(self, name: str, status: CameraStatus) -> None:
        """How a camera is."""
        payload = build.camera_status(
            self.origin,
            _now(),
            name,
            status.state,
            reason=status.reason,
            since_ns=status.since_ns,
            warnings=status.warnings,
        )
        self._retain(self.topics.camera_status(name), payload)
        self._window.put_camera(name, status.state, status.reason)

    def forget(self, camera: str) -> None:
        """Take back what is retained of a camera that is no longer configured."""
        topics = self.topics
        for topic in (
            topics.camera_status(camera),
            topics.camera_count(camera),
            topics.camera_snapshot(camera),
        ):
            self._link.send(Message(topic, b"", qos=1, retain=True))

    def count(self, camera: str, count: Mapping[str, int]) -> None:
        """Confirmed tracks now in view, by label."""
        self._link.send(
            Message(
                self.topics.camera_count(camera), json.dumps(count).encode(), qos=1, retain=True
            )
        )

    def detections(
        self,
        frame: Frame,
        seen: Detections | Tracks,
        labels: Sequence[str],
        *,
        synced: bool,
    ) -> None:
        """One frame's objects."""
        payload = build.detections(
            self.origin,
            frame,
            seen,
            labels,
            synced=synced,
            latency_ms=(time.monotonic_ns() - frame.captured_ns) / 1e6,
        )
        self._link.send(Message(self.topics.detections(frame.camera), payload))

    def frame(self, frame: Frame, seen: Tracks, labels: tuple[str, ...]) -> None:
        """A finished frame, for people who look at the local page right now."""
        self.objects += len(seen)
        self._window.put_frame(frame, seen, labels)

    def track_ids(self, camera: str) -> Iterator[int]:
        """Numbers for a camera's tracks, also over changes of the configuration.

        Events are known by them, so none is used twice in one run of the daemon.
        """
        return self._track_ids.setdefault(camera, itertools.count(1))

    def event(self, event: Event, timeline: Timeline, jpeg: bytes | None) -> None:
        """Something in the life of a track, with the best view of it so far; durable."""
        latency_ns = time.monotonic_ns() - timeline.at(event.at_ns).mono_ns
        payload = build.event(
            self.origin,
            next(self._seq),
            event,
            timeline,
            engine=self._engine,
            latency_ms=latency_ns / 1e6,
        )
        self._happened(payload)
        if jpeg is not None:
            topic = self.topics.event_snapshot(payload.id)
            self._link.send(Message(topic, jpeg, qos=1, kind="picture", event=payload.id))
            self._keep(f"{payload.id}-{event.kind}", jpeg)
        self._window.put_event(
            ShownEvent(
                id=payload.id,
                camera=event.camera,
                label=event.label,
                top_score=event.top_score,
                started_s=timeline.at(event.start_ns).wall_ns / 1e9,
                duration_s=payload.duration_s,
                over=event.kind == "end",
                zones=event.zones,
                jpeg=jpeg,
            )
        )

    def ended_by_restart(self, left_open: Iterable[Message]) -> None:
        """End the events that an earlier run of the daemon could not end."""
        for message in left_open:
            payload = build.ended_by_restart(self.origin, next(self._seq), message.payload, _now())
            if payload is not None:
                self._happened(payload)

    def snapshot(self, camera: str, jpeg: bytes) -> None:
        """The frame in which the latest event started."""
        self._link.send(Message(self.topics.camera_snapshot(camera), jpeg, retain=True))

    def _happened(self, payload: EventPayload) -> None:
        message = Message(
            self.topics.event, payload.to_bytes(), qos=1, kind=payload.type, event=payload.id
        )
        self._link.send(message)

    def health(self, figures: Mapping[str, Any]) -> None:
        """The figures of one interval."""
        payload = HealthPayload(**self.origin.stamp(_now()), **figures)
        self._link.send(Message(self.topics.health, payload.to_bytes()))

    def _retain(self, topic: str, payload: Payload) -> None:
        self._link.send(Message(topic, payload.to_bytes(), qos=1, retain=True))


def _now() -> Moment:
    return Moment(time.time_ns(), time.monotonic_ns(), clock_synced())


def _gate(loaded: Loaded) -> GateInfo | None:
    """What the gate found of the engine that runs."""
    sidecar = loaded.engine.sidecar if loaded.engine else None
    if sidecar is None or sidecar.judgement is None or sidecar.figures is None:
        return None
    return GateInfo(**sidecar.judgement.model_dump(), **sidecar.figures.model_dump())


def _told(model: Delivered | None) -> DeliveredModel | None:
    return None if model is None else DeliveredModel(**model.model_dump())


def _versions() -> dict[str, str]:
    found = {}
    for name in TOLD_VERSIONS:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
