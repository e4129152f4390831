"""`spotterd request`: ask running boards for something, and wait for their answers."""

import json
import secrets
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spotterd.cli.common import ConfigOption, JsonOption
from spotterd.cli.linked import BrokerOption, broker_of, heard, linked, told, tree_of

if TYPE_CHECKING:
    from spotterd.publish.mqtt import MqttLink


def request(
    nodes: Annotated[str, typer.Argument(metavar="NODE", help="the board; several with commas")],
    verb: Annotated[str, typer.Argument(help="ping, snapshot, logs, bench, rebuild, model, ...")],
    arguments: Annotated[list[str] | None, typer.Argument(help="KEY=VALUE, e.g. lines=50")] = None,
    broker: BrokerOption = None,
    timeout_s: Annotated[
        float, typer.Option("--timeout", help="seconds without a word", min=0.1)
    ] = 600,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Ask boards for something over MQTT, show how far they are, and wait for the end.

    Exit 1 where one of them refuses, fails, or does not answer.
    """
    from spotterd.errors import RetryError
    from spotterd.publish.base import Message
    from spotterd.publish.topics import Topics

    names, token = list(dict.fromkeys(filter(None, nodes.split(",")))), secrets.token_hex(8)
    topics = {name: Topics(f"spotter/{name}") for name in names}
    waiting = _Waiting(verb, token, {topics[name].response(verb): name for name in names})
    asked = json.dumps({"token": token, "args": tree_of(arguments or [])}).encode()
    with linked(broker_of(broker, config), "request", tuple(waiting.whose)) as link:
        for name in names:
            link.send(Message(topics[name].request(verb), asked, qos=1))
        waiting.listen(link, timeout_s)
    if as_json:
        print(json.dumps(waiting.answers if len(names) > 1 else waiting.answers.get(names[0])))
    else:
        for name, answer in waiting.answers.items():
            _print(f"{name}: " if len(names) > 1 else "", answer["message"], answer["result"])
    if silent := [name for name in names if name not in waiting.answers]:
        raise RetryError(f"{', '.join(silent)} did not answer within {timeout_s:g} s. Running?")
    raise typer.Exit(0 if all(answer["ok"] for answer in waiting.answers.values()) else 1)


@dataclass
class _Waiting:
    """Who is to answer, and has.

    Attributes:
        whose: board by topic.
        answers: by board.
    """

    verb: str
    token: str
    whose: dict[str, str]
    answers: dict[str, dict[str, Any]] = field(default_factory=dict)
    _shown: dict[str, tuple[str, int]] = field(default_factory=dict)

    def listen(self, link: "MqttLink", silence_s: float) -> None:
        """Until all have answered, or nobody has said a word for so long."""
        while len(self.answers) < len(self.whose):
            for incoming in heard(link, silence_s):
                said = told(incoming.payload)
                if said.get("token") == self.token:
                    self._take(self.whose[incoming.topic], said)
                    break
            else:
                return

    def _take(self, name: str, said: dict[str, Any]) -> None:
        fraction = said.get("progress")
        if fraction is None:
            self.answers[name] = said
            return
        doing = said["result"].get("state", self.verb)
        news = (doing, int(fraction * 10))
        if self._shown.get(name) != news:
            self._shown[name] = news
            print(f"{name}: {doing} {fraction:.0%} {said['message']}".rstrip(), file=sys.stderr)


def _print(prefix: str, message: str, result: dict[str, object]) -> None:
    if message:
        print(prefix + message)
    for name, value in result.items():
        if name == "state":
            continue  # the message says it
        lines = "\n".join(map(str, value)) if isinstance(value, list) else f"{name}: {value}"
        print(prefix + lines)
    if not message and not result:
        print(prefix + "Done.")
