"""The health figures in Prometheus' text format; the only file that imports prometheus_client."""

from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from spotterd.health.meters import Figures, Percentiles
from spotterd.health.window import Sample, Window

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
STATES = ("starting", "building", "running", "degraded", "failed")
QUANTILES = ("0.5", "0.95", "0.99")


class Metrics(Collector):
    """Reads the window at every scrape: nothing is counted twice, nothing is kept."""

    def __init__(self, window: Window) -> None:
        self._window = window
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def text(self) -> bytes:
        """One scrape."""
        return bytes(generate_latest(self._registry))

    def collect(self) -> Iterator[Metric]:
        """For prometheus_client."""
        state, _reason = self._window.state
        yield _gauge(
            "state", "1 for the state it is in", "state", [(s, s == state) for s in STATES]
        )
        yield _gauge(
            "camera_online",
            "1 while the camera gives pictures",
            "camera",
            [(camera.name, camera.state == "online") for camera in self._window.cameras],
        )
        yield from _daemon(self._window.figures())
        samples = self._window.samples
        if samples:
            yield from _machine(samples[-1])


def _daemon(figures: Figures) -> Iterator[Metric]:
    yield _gauge("uptime_seconds", "since the start", "", [("", figures.uptime_s)])
    yield _gauge("frames_per_second", "done", "camera", [(c.name, c.fps) for c in figures.cameras])
    for name in ("captured", "done", "dropped"):
        values = [(camera.name, getattr(camera, name)) for camera in figures.cameras]
        yield _counter(f"frames_{name}", f"frames {name} since the start", "camera", values)
    yield _counter("errors", "defects caught, logged and survived", "", [("", figures.errors)])
    if figures.latency:
        values = _quantiles(figures.latency)
        yield _gauge("latency_seconds", "capture to publish", "quantile", values)
    stages = GaugeMetricFamily(
        "spotterd_stage_seconds", "time a frame spends in a stage", labels=("stage", "quantile")
    )
    for stage in figures.stages:
        for quantile, seconds in _quantiles(stage.took):
            stages.add_metric((stage.name, quantile), seconds)
    yield stages
    yield _gauge(
        "queue_depth", "items waiting", "queue", [(q.name, q.depth) for q in figures.queues]
    )


def _machine(sample: Sample) -> Iterator[Metric]:
    host, board = sample.host, sample.board
    mib = 1024 * 1024
    single = {
        "cpu_percent": host.cpu_percent,
        "process_resident_bytes": host.process_rss_mib * mib,
        "memory_available_bytes": host.ram_available_mib * mib,
        "disk_free_bytes": host.disk_free_mib * mib,
        "clock_synced": host.clock_synced,
        "throttled": bool(board.throttled_by),
        "gpu_percent": board.gpu_percent,
        "power_watts": board.power_w,
        "undervoltage_events": board.undervoltage_events,
    }
    for name, value in single.items():
        if value is not None:
            yield _gauge(name, name.replace("_", " "), "", [("", value)])
    zones = [(zone.name, zone.celsius) for zone in host.thermal]
    yield _gauge("temperature_celsius", "by sensor", "sensor", zones)
    rails = [(rail.name, rail.milliwatt / 1000) for rail in board.rails]
    yield _gauge("rail_watts", "by supply rail", "rail", rails)


def _quantiles(took: Percentiles) -> list[tuple[str, float]]:
    values_ms = (took.p50_ms, took.p95_ms, took.p99_ms)
    return [(quantile, ms / 1000) for quantile, ms in zip(QUANTILES, values_ms, strict=True)]


def _gauge(name: str, about: str, label: str, values: Iterable[tuple[str, float]]) -> Metric:
    return _filled(GaugeMetricFamily, name, about, label, values)


def _counter(name: str, about: str, label: str, values: Iterable[tuple[str, float]]) -> Metric:
    return _filled(CounterMetricFamily, name, about, label, values)


def _filled(
    kind: type[GaugeMetricFamily] | type[CounterMetricFamily],
    name: str,
    about: str,
    label: str,
    values: Iterable[tuple[str, float]],
) -> Metric:
    """One family; without a label it has one value."""
    family = kind(f"spotterd_{name}", about, labels=(label,) if label else ())
    for value_of, value in values:
        family.add_metric((value_of,) if label else (), float(value))
    return family
