"""`spotterd watch`: what boards say, live."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

from spotterd.cli.common import ConfigOption
from spotterd.cli.linked import BrokerOption, broker_of, heard, interrupts, linked

if TYPE_CHECKING:
    from spotterd.publish.base import Incoming


def watch(
    broker: BrokerOption = None,
    node: Annotated[list[str] | None, typer.Option(help="only this board; repeatable")] = None,
    seconds: Annotated[float, typer.Option("--for", help="stop after; 0: never", min=0)] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="one JSON document a line")] = False,
    config: ConfigOption = None,
) -> None:
    """Show detections, events and health of boards as they come."""
    from spotterd.cli.live import LiveTable

    mqtt = broker_of(broker, config)
    topics = _topics(node or [], mqtt.root)
    with linked(mqtt, "watch", topics) as link, interrupts() as interrupted:
        news = heard(link, seconds, interrupted.is_set)
        if as_json:
            for incoming in news:
                print(_as_json(incoming), flush=True)
            return
        with LiveTable() as table:
            for incoming in news:
                table.feed(incoming.topic, incoming.payload)


def _topics(nodes: list[str], root: str | None) -> tuple[str, ...]:
    """Of these boards, or of all below `spotter/`."""
    from spotterd.publish.topics import Topics

    roots = [f"spotter/{node}" for node in nodes] or [root or "spotter/+"]
    return tuple(topic for root in roots for topic in Topics(root).watched)


def _as_json(incoming: "Incoming") -> str:
    try:
        payload = json.loads(incoming.payload)
    except ValueError:
        payload = incoming.payload.decode("utf-8", "replace")
    said = {"topic": incoming.topic, "retained": incoming.retained, "payload": payload}
    return json.dumps(said, ensure_ascii=False)
