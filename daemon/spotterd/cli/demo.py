"""`spotterd demo`: a broker, the daemon and a live table, with nothing to install or configure."""

import json
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
import yaml

from spotterd.cli.common import ConfigOption
from spotterd.cli.linked import heard, interrupts, linked

if TYPE_CHECKING:
    from spotterd.cli.live import Board

UNDER_WAY_S = 0.5  # for what the daemon has sent last
STOP_S = 5.0
NODE = "demo"


def demo(
    source: Annotated[str, typer.Option(help="a clip, a camera, a stream, or sim:")] = "sim:",
    seconds: Annotated[float, typer.Option(help="how long to watch", min=1)] = 20.0,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="of the demo's broker; 0: any free one")
    ] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="the summary as one document")] = False,
    config: ConfigOption = None,
) -> None:
    """Run everything here: an embedded broker, the daemon, and a table of what it publishes."""
    from spotterd.cli.live import LiveTable
    from spotterd.config.schema import Mqtt
    from spotterd.publish.broker import DemoBroker
    from spotterd.publish.topics import Topics

    topics = Topics(f"spotter/{NODE}").watched
    with (
        interrupts() as interrupted,
        DemoBroker(port) as broker,
        linked(Mqtt(url=broker.url), "demo", topics) as link,
        LiveTable() as table,
    ):
        if not as_json:
            print(f"Broker on {broker.url}; watching {source} for {seconds:g} s.", flush=True)
        with _daemon(broker.url, source, config) as child:

            def over() -> bool:
                return interrupted.is_set() or child.poll() is not None  # the end of a recording

            for incoming in heard(link, seconds, over):
                table.feed(incoming.topic, incoming.payload)
        for incoming in heard(link, UNDER_WAY_S):
            table.feed(incoming.topic, incoming.payload)
    board = next(iter(table.boards.values()), None)
    if child.returncode not in (0, -signal.SIGTERM):  # the latter: we, before it listened
        raise typer.Exit(child.returncode)
    if board is None:
        raise typer.Exit(1)
    summary = _summary(board)
    print(json.dumps(summary) if as_json else _sentences(summary))


@contextmanager
def _daemon(url: str, source: str, config: Path | None) -> "Iterator[subprocess.Popen[bytes]]":
    """The real daemon in a process of its own, stopped in order at the end."""
    from spotterd.service.leash import started

    with tempfile.NamedTemporaryFile("w", suffix=".yaml", encoding="utf-8") as file:
        yaml.safe_dump(_settings(url, source, config), file)
        file.flush()
        with started(["run", "--config", file.name, "--log-level", "error"]) as child:
            try:
                yield child
            finally:
                child.terminate()
                try:
                    child.wait(STOP_S)
                except subprocess.TimeoutExpired:
                    child.kill()


def _settings(url: str, source: str, config: Path | None) -> dict[str, Any]:
    """The user's configuration, or the defaults, but for what makes it a demo."""
    from spotterd.config.load import read_tree
    from spotterd.config.merge import merge

    told = read_tree(config) if config else {}
    demo = {
        "node": NODE,
        "cameras": None,
        "mqtt": None,
        "engines": {"precision": "fp32"},  # an engine would be done when the demo is over
        "health": {"interval_s": 2},
    }
    return {**merge(told, demo), "cameras": {"main": {"source": source}}, "mqtt": {"url": url}}


def _summary(board: "Board") -> dict[str, Any]:
    health = board.health
    return {
        "frames": sum(camera["frames"] for camera in (health.get("cameras") or {}).values()),
        "fps": health.get("fps"),
        "latency_ms": health.get("latency_ms"),
        "messages": board.frames,
        "detections": dict(board.by_class),
        "events": dict(board.events),
    }


def _sentences(summary: dict[str, Any]) -> str:
    latency = summary["latency_ms"] or {"p50": "-", "p95": "-"}
    return (
        f"\n{summary['frames']} frames at {summary['fps'] or 0} frames/s, capture to publish "
        f"p50 {latency['p50']} ms, p95 {latency['p95']} ms.\n"
        f"Detections in {summary['messages']} messages: {_listed(summary['detections'])}.\n"
        f"Events: {_listed(summary['events'])}."
    )


def _listed(counts: dict[str, int]) -> str:
    return ", ".join(f"{number} {what}" for what, number in counts.items()) or "none"
