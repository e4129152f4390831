"""A connection to the broker for commands that speak with boards."""

import json
import logging
import math
import queue
import secrets
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

if TYPE_CHECKING:
    from spotterd.config.schema import Mqtt
    from spotterd.publish.base import Incoming
    from spotterd.publish.mqtt import MqttLink

CONNECT_TIMEOUT_S = 10.0
LOOK_S = 0.5  # how soon it is noticed that listening is over
BrokerOption: TypeAlias = Annotated[str | None, typer.Option(help="mqtt://HOST[:PORT]")]


def broker_of(broker: str | None, config_file: Path | None) -> "Mqtt":
    """Where the broker is, and how to get in.

    User, password and TLS come from the configuration: commands often run on the board itself.
    """
    from spotterd.config.load import load

    return load(config_file, {"mqtt": {"url": broker}} if broker else {}).mqtt


@contextmanager
def linked(mqtt: "Mqtt", command: str, heard: tuple[str, ...]) -> "Iterator[MqttLink]":
    """A link that hears these topics.

    Raises:
        BadInputError: there is no way to the broker.
    """
    from spotterd.errors import BadInputError
    from spotterd.publish.memory import MemoryOutbox
    from spotterd.publish.mqtt import MqttLink

    client_id = f"spotterd-{command}-{secrets.token_hex(3)}"  # 23 letters at most, of MQTT 3.1.1
    link = MqttLink(mqtt, client_id, MemoryOutbox(), subscriptions=heard)
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


@contextmanager
def interrupts() -> Iterator[threading.Event]:
    """Set by Ctrl-C, for a command that ends in order; a second Ctrl-C is Python's own.

    As an exception it comes between any two steps, and is lost where that is in a destructor.
    """
    asked = threading.Event()

    def ask(_got: int, _frame: object) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, before)


def heard(
    link: "MqttLink", seconds: float, over: Callable[[], bool] = lambda: False
) -> "Iterator[Incoming]":
    """Messages as they come, for so many seconds (0: for ever), or until it is over."""
    ends_s = time.monotonic() + (seconds or math.inf)
    while not over() and (left_s := ends_s - time.monotonic()) > 0:
        with suppress(queue.Empty):
            yield link.inbox.get(timeout=min(left_s, LOOK_S))


def tree_of(assignments: list[str]) -> dict[str, Any]:
    """`a.b=1` as `{"a": {"b": 1}}`; values are YAML, `null` takes a change back.

    Raises:
        BadInputError: not of this form, or two that contradict each other.
    """
    import yaml

    from spotterd.errors import BadInputError

    tree: dict[str, Any] = {}
    for text in assignments:
        key, equals, value = text.partition("=")
        *sections, last = key.split(".")
        here: Any = tree
        for section in sections:
            here = here.setdefault(section, {})
            if not isinstance(here, dict):
                break
        if not equals or not isinstance(here, dict) or last in here or "" in (last, *sections):
            raise BadInputError(f"'{text}' is not KEY=VALUE, or KEY is given before.")
        try:
            here[last] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise BadInputError(f"The value of '{text}' is not YAML: quote it.") from error
    return tree


def told(payload: bytes) -> dict[str, Any]:
    """A board's JSON object; empty where it is none."""
    try:
        value = json.loads(payload)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
