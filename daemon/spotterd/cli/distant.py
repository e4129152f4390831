"""`spotterd config get` and `set`: the configuration of a running board, over MQTT."""

import json
import secrets
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spotterd.cli.common import ConfigOption, JsonOption
from spotterd.cli.linked import BrokerOption, broker_of, heard, linked, tree_of

if TYPE_CHECKING:
    from spotterd.publish.mqtt import MqttLink
    from spotterd.publish.payloads import DesiredPayload, ReportedPayload
    from spotterd.publish.topics import Topics

RETAINED_S = 5.0  # for what the broker keeps to arrive
SOON_S = 2.0  # then people are told that it takes longer
MORE_S = 0.5  # after the report, for a wish that is kept beside it

NodeArgument = Annotated[str, typer.Argument(help="name of the board")]


def get(
    node: NodeArgument,
    key: Annotated[str, typer.Argument(help="only this part, e.g. detector.score")] = "",
    broker: BrokerOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print the configuration in force on a board, as it has reported."""
    import yaml

    from spotterd.errors import BadInputError
    from spotterd.publish.topics import Topics

    topics = Topics(f"spotter/{node}")
    with linked(broker_of(broker, config), "get", (topics.config_reported,)) as link:
        reported, _ = _kept(link, topics)
    part: Any = reported.config
    for section in filter(None, key.split(".")):
        if not isinstance(part, dict) or section not in part:
            raise BadInputError(f"{node} has no '{key}' in its configuration.")
        part = part[section]
    if as_json:
        print(json.dumps(part))
    else:
        text = yaml.safe_dump(part, sort_keys=False, allow_unicode=True)
        print(text.removesuffix("...\n"), end="")  # the end mark of a bare value


def set_(
    node: NodeArgument,
    assignments: Annotated[list[str], typer.Argument(help="KEY=VALUE; null: back to its own")],
    broker: BrokerOption = None,
    timeout_s: Annotated[float, typer.Option("--timeout", help="seconds to wait", min=0.1)] = 120,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Change a board over MQTT and wait for what becomes of it. Exit 1 where it is not applied."""
    from spotterd.errors import RetryError
    from spotterd.publish.base import Message
    from spotterd.publish.payloads import DesiredPayload
    from spotterd.publish.topics import Topics

    topics, token = Topics(f"spotter/{node}"), secrets.token_hex(8)
    patch = tree_of(assignments)
    both = (topics.config_desired, topics.config_reported)
    with linked(broker_of(broker, config), "set", both) as link:
        reported, desired = _kept(link, topics)
        version = reported.version + 1
        if desired and desired.version > reported.version:  # the board has not seen it yet
            version, patch = desired.version + 1, after(desired.set, patch)
        wish = DesiredPayload(version=version, token=token, set=patch)
        link.send(Message(topics.config_desired, wish.to_bytes(), qos=1, retain=True))
        answer = _answer(link, topics, version, min(SOON_S, timeout_s))
        if answer is None and timeout_s > SOON_S:
            said = f"{node} has not answered yet; some changes it tries for a minute first."
            print(said, file=sys.stderr, flush=True)
            answer = _answer(link, topics, version, timeout_s - SOON_S)
    if answer is None:
        raise RetryError(
            f"{node} did not answer within {timeout_s:g} s. The wish stays at the broker and "
            "comes into force when the board finds it."
        )
    if answer.token != token:
        raise RetryError("Somebody else changed the board at the same time. Try again.")
    _print(answer, as_json=as_json)
    raise typer.Exit(0 if answer.status == "applied" else 1)


def after(first: Mapping[str, Any], second: Mapping[str, Any]) -> dict[str, Any]:
    """One merge patch that does what two do, one after the other."""
    both = dict(first)
    for key, value in second.items():
        below = both.get(key)
        if isinstance(value, Mapping) and isinstance(below, Mapping):
            both[key] = after(below, value)
        else:
            both[key] = value
    return both


def _kept(link: "MqttLink", topics: "Topics") -> "tuple[ReportedPayload, DesiredPayload | None]":
    """What the board reported, and the wish that the broker keeps."""
    from spotterd.errors import RetryError

    reported: ReportedPayload | None = None
    desired: DesiredPayload | None = None
    for incoming in heard(link, RETAINED_S):
        if incoming.topic == topics.config_reported:
            reported = _report(incoming.payload)
            break
        desired = _wish(incoming.payload)
    if reported is None:
        raise RetryError(f"Nothing is known of {topics.root} at this broker. Is the name right?")
    for incoming in heard(link, MORE_S):
        if incoming.topic == topics.config_desired:
            desired = _wish(incoming.payload)
    return reported, desired


def _answer(
    link: "MqttLink", topics: "Topics", version: int, timeout_s: float
) -> "ReportedPayload | None":
    for incoming in heard(link, timeout_s):
        if incoming.topic == topics.config_reported:
            report = _report(incoming.payload)
            if report and report.version >= version:
                return report
    return None


def _report(payload: bytes) -> "ReportedPayload | None":
    from pydantic import ValidationError

    from spotterd.publish.payloads import ReportedPayload

    try:
        return ReportedPayload.model_validate_json(payload)
    except ValidationError:
        return None


def _wish(payload: bytes) -> "DesiredPayload | None":
    from spotterd.errors import BadInputError
    from spotterd.remote.desired import parse

    try:
        return parse(payload)
    except BadInputError:
        return None


def _print(answer: "ReportedPayload", *, as_json: bool) -> None:
    if as_json:
        print(answer.to_bytes().decode())
        return
    print(f"{answer.status.replace('_', ' ')}, version {answer.version}")
    for problem in answer.errors:
        print(f"  {problem.path}: {problem.message}" if problem.path else f"  {problem.message}")
