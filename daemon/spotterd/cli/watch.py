"""`spotterd watch`: what boards say, live."""

import json
import logging
import os
import queue
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spotterd.cli.common import ConfigOption

if TYPE_CHECKING:
    from spotterd.publish.base import Incoming
    from spotterd.publish.mqtt import MqttLink

CONNECT_TIMEOUT_S = 10.0


def watch(
    broker: Annotated[str | None, typer.Option(help="mqtt://HOST[:PORT]")] = None,
    node: Annotated[list[str] | None, typer.Option(help="only this board; repeatable")] = None,
    seconds: Annotated[float, typer.Option("--for", help="stop after; 0: never", min=0)] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON document a line")] = False,
    config: ConfigOption = None,
) -> None:
    """Show detections, events and health of boards as they come."""
    from spotterd.cli.live import LiveTable

    with _linked(broker, node or [], config) as link, suppress(KeyboardInterrupt):
        if as_json:
            for incoming in _heard(link, seconds):
                print(_as_json(incoming), flush=True)
            return
        with LiveTable() as table:
            for incoming in _heard(link, seconds):
                table.feed(incoming.topic, incoming.payload)


@contextmanager
def _linked(broker: str | None, nodes: list[str], config_file: Path | None) -> Iterator["MqttLink"]:
    """A link that hears these boards, or all below `spotter/`."""
    from spotterd.config.load import load
    from spotterd.errors import BadInputError
    from spotterd.publish.memory import MemoryOutbox
    from spotterd.publish.mqtt import MqttLink
    from spotterd.publish.topics import Topics

    # User, password and TLS come from the configuration: this is often run on the board itself.
    mqtt = load(config_file, {"mqtt": {"url": broker}} if broker else {}).mqtt
    roots = [f"spotter/{node}" for node in nodes] or [mqtt.root or "spotter/+"]
    heard = tuple(topic for root in roots for topic in Topics(root).watched)
    link = MqttLink(mqtt, f"spotterd-watch-{os.getpid()}", MemoryOutbox(), subscriptions=heard)
    # Why there is no connection is said once, by the error; later losses are warnings on stderr.
    log, quiet = logging.getLogger("spotterd"), logging.NullHandler()
    log.addHandler(quiet)
    link.start()
    try:
        if not link.wait_connected(CONNECT_TIMEOUT_S, patient=False):
            raise BadInputError(link.last_error or f"The broker {link.broker} does not answer.")
        log.removeHandler(quiet)
        yield link
    finally:
        link.stop(timeout_s=1)


def _heard(link: "MqttLink", seconds: float) -> Iterator["Incoming"]:
    """Messages as they come, for so many seconds (0: for ever)."""
    ends_s = time.monotonic() + seconds
    while True:
        left_s = max(ends_s - time.monotonic(), 0) if seconds else None
        try:
            yield link.inbox.get(timeout=left_s)
        except queue.Empty:
            return


def _as_json(incoming: "Incoming") -> str:
    try:
        payload = json.loads(incoming.payload)
    except ValueError:
        payload = incoming.payload.decode("utf-8", "replace")
    said = {"topic": incoming.topic, "retained": incoming.retained, "payload": payload}
    return json.dumps(said, ensure_ascii=False)
