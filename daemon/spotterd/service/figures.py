"""The health message from what the rooms measured. Pure but for asking link and outbox."""

from collections.abc import Mapping
from typing import Any

from spotterd.camera.base import Vitals
from spotterd.health.board import BoardFigures
from spotterd.health.host import HostFigures
from spotterd.health.meters import CameraFigures, Figures
from spotterd.publish.mqtt import MqttLink
from spotterd.publish.outbox import Outbox
from spotterd.publish.payloads import (
    CameraHealth,
    HostHealth,
    Latency,
    LinkHealth,
    OutboxHealth,
)


def figures(
    told: Figures,
    *,
    host: HostFigures,
    board: BoardFigures,
    link: MqttLink,
    outbox: Outbox,
    cameras: Mapping[str, Vitals],
) -> dict[str, Any]:
    """Fields of `HealthPayload`."""
    return {
        "uptime_s": round(told.uptime_s, 1),
        "fps": round(told.fps, 2),
        "latency_ms": _latency(told),
        "dropped": sum(camera.dropped for camera in told.cameras),
        "errors": told.errors + link.counts.crashes,
        "queues": {queue.name: queue.depth for queue in told.queues},
        # The meters remember cameras that a reload took out.
        "cameras": {
            one.name: _camera(one, cameras[one.name]) for one in told.cameras if one.name in cameras
        },
        "link": LinkHealth(
            reconnects=max(0, link.counts.connects - 1),
            dropped=link.dropped,
            refused=link.refused,
            problem=link.last_error,
        ),
        "outbox": OutboxHealth(
            depth=outbox.depth,
            bytes=outbox.bytes,
            dropped=outbox.dropped,
            durable=not outbox.problem,
            problem=outbox.problem,
        ),
        "host": _host(host, board),
    }


def _camera(told: CameraFigures, vitals: Vitals) -> CameraHealth:
    return CameraHealth(
        fps=round(told.fps, 2),
        camera_fps=round(vitals.fps, 2),
        age_ms=None if vitals.age_ns is None else round(vitals.age_ns / 1e6, 1),
        frames=told.done,
        dropped=told.dropped,
        reconnects=vitals.reconnects,
        hung=vitals.hung,
    )


def _latency(told: Figures) -> Latency | None:
    if told.latency is None:
        return None
    took = told.latency
    return Latency(p50=round(took.p50_ms, 1), p95=round(took.p95_ms, 1), p99=round(took.p99_ms, 1))


def _host(host: HostFigures, board: BoardFigures) -> HostHealth:
    return HostHealth(
        cpu_percent=host.cpu_percent,
        rss_mib=host.process_rss_mib,
        ram_available_mib=host.ram_available_mib,
        ram_total_mib=host.ram_total_mib,
        disk_free_mib=host.disk_free_mib,
        gpu_percent=board.gpu_percent,
        power_w=board.power_w,
        throttled=bool(board.throttled_by),
        temperatures_c={zone.name: zone.celsius for zone in host.thermal},
    )
