"""`spotterd request`: ask a running board for something, and wait for its answer."""

import json
import secrets
from typing import Annotated

import typer

from spotterd.cli.common import ConfigOption, JsonOption
from spotterd.cli.linked import BrokerOption, broker_of, heard, linked, told, tree_of


def request(
    node: Annotated[str, typer.Argument(help="name of the board")],
    verb: Annotated[str, typer.Argument(help="ping, snapshot, logs, restart, rebuild, ...")],
    arguments: Annotated[list[str] | None, typer.Argument(help="KEY=VALUE, e.g. lines=50")] = None,
    broker: BrokerOption = None,
    timeout_s: Annotated[float, typer.Option("--timeout", help="seconds to wait", min=0.1)] = 600,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ask a board for something over MQTT. Exit 1 where it refuses, fails, or does not answer."""
    from spotterd.errors import RetryError
    from spotterd.publish.base import Message
    from spotterd.publish.topics import Topics

    topics, token = Topics(f"spotter/{node}"), secrets.token_hex(8)
    asked = json.dumps({"token": token, "args": tree_of(arguments or [])}).encode()
    with linked(broker_of(broker, config), "request", (topics.response(verb),)) as link:
        link.send(Message(topics.request(verb), asked, qos=1))
        for incoming in heard(link, timeout_s):
            answer = told(incoming.payload)
            if answer.get("token") == token:
                break
        else:
            raise RetryError(f"{node} did not answer within {timeout_s:g} s. Does it run?")
    if as_json:
        print(json.dumps(answer))
    else:
        _print(answer["message"], answer["result"])
    raise typer.Exit(0 if answer["ok"] else 1)


def _print(message: str, result: dict[str, object]) -> None:
    if message:
        print(message)
    for name, value in result.items():
        lines = "\n".join(map(str, value)) if isinstance(value, list) else f"{name}: {value}"
        print(lines)
    if not message and not result:
        print("Done.")
