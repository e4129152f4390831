"""Drives the real command as a child process, and hears it as a subscriber would."""

import json
import os
import queue
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from brokers import Broker
from helpers import ROOT
from spotterd.config.schema import Mqtt
from spotterd.publish.base import Message
from spotterd.publish.memory import MemoryOutbox
from spotterd.publish.mqtt import MqttLink
from spotterd.publish.topics import Topics

SOON_S = 60.0  # for anything that takes a second or two on an idle machine


def command(*args: object) -> list[str]:
    return [sys.executable, "-m", "spotterd", *map(str, args)]


def environment(state: Path) -> dict[str, str]:
    return {
        **os.environ,
        "PYTHONPATH": str(ROOT / "daemon"),
        "SPOTTERD_STATE_DIR": str(state),
    }


def run(state: Path, *args: object, **options: Any) -> subprocess.CompletedProcess[str]:
    """A command to its end."""
    return subprocess.run(
        command(*args),
        env=environment(state),
        cwd=state,
        capture_output=True,
        text=True,
        timeout=SOON_S * 2,
        check=False,
        **options,
    )


def start(state: Path, *args: object) -> "subprocess.Popen[str]":
    """A command that goes on."""
    pipe = subprocess.PIPE
    return subprocess.Popen(
        command(*args), env=environment(state), cwd=state, stdout=pipe, stderr=pipe, text=True
    )


class Daemon:
    """`spotterd run` on a node of its own, with a subscriber.

    Args:
        broker: where both meet.
        state: its state directory.
        tree: of its configuration; without one for engines, no engine is built.
        hears: further topics that the subscriber hears.
        node: its name; none: one that nobody else has.
    """

    def __init__(
        self,
        broker: Broker,
        state: Path,
        tree: dict[str, Any],
        hears: tuple[str, ...] = (),
        node: str = "",
    ) -> None:
        self.node = node or f"n{uuid.uuid4().hex[:8]}"
        self.topics = Topics(f"spotter/{self.node}")
        subscriptions = (f"{self.topics.root}/#", *hears)
        self._link = MqttLink(
            Mqtt(url=broker.url), f"hears-{self.node}", MemoryOutbox(), subscriptions=subscriptions
        )
        self._link.inbox = queue.Queue()  # nothing is dropped while the test does something else
        self._link.start()
        self.heard: list[tuple[str, Any]] = []
        told = {"engines": {"precision": "fp32"}, "health": {"interval_s": 2}, **tree}
        told |= {"node": self.node, "mqtt": {"url": broker.url}}
        self.config = state / "Konfiguration ü.yaml"
        self.config.write_text(yaml.safe_dump(told), encoding="utf-8")
        self._state = state
        self.start()

    def start(self) -> None:
        """Start the command, the first time or again."""
        self.process = subprocess.Popen(
            command("run", "--config", self.config),
            env=environment(self._state),
            cwd=self._state,
            stderr=subprocess.PIPE,
            text=True,
        )

    def send(self, message: Message) -> None:
        """Publish what an operator would."""
        self._link.send(message)

    def hear(self, timeout_s: float = SOON_S) -> tuple[str, Any]:
        """The next message: topic below the root, and payload (JSON where it is some)."""
        incoming = self._link.inbox.get(timeout=timeout_s)
        tail = incoming.topic.removeprefix(self.topics.root + "/")
        try:
            payload = json.loads(incoming.payload)
        except ValueError:
            payload = incoming.payload.decode("utf-8", "replace")
        self.heard.append((tail, payload))
        return tail, payload

    def wait_for(self, topic: str, good: Callable[[Any], bool] = lambda _: True) -> Any:
        """The next payload of this topic that is good."""
        deadline_s = time.monotonic() + SOON_S
        while True:
            try:
                tail, payload = self.hear(max(0.0, deadline_s - time.monotonic()))
            except queue.Empty:
                heard = [f"{t}: {p}" for t, p in self.heard[-10:]]
                raise AssertionError(f"no such {topic} came; last were {heard}") from None
            if tail == topic and good(payload):
                return payload

    def wait_for_state(self, state: str) -> Any:
        return self.wait_for("state", lambda payload: payload["state"] == state)

    def first(self, topic: str, good: Callable[[Any], bool] = lambda _: True) -> Any:
        """The first good payload of this topic, even if it came while another was waited for."""
        return next(filter(good, self.of(topic)), None) or self.wait_for(topic, good)

    def deafen(self) -> None:
        """Hear nothing from now on."""
        self._link.stop(timeout_s=1)

    def of(self, topic: str) -> list[Any]:
        """All payloads of a topic so far."""
        return [payload for tail, payload in self.heard if tail == topic]

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def end(self) -> tuple[int, str]:
        """Wait for the end: exit status and stderr."""
        _, stderr = self.process.communicate(timeout=SOON_S)
        return self.process.returncode, stderr

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()
        self._link.stop(timeout_s=1)


@contextmanager
def daemon(
    broker: Broker,
    state: Path,
    tree: dict[str, Any],
    hears: tuple[str, ...] = (),
    node: str = "",
) -> Iterator[Daemon]:
    started = Daemon(broker, state, tree, hears, node)
    try:
        yield started
    finally:
        started.close()
