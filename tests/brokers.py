"""Brokers for tests: a real mosquitto where there is one, else the demo's own (amqtt).

A pytest plugin (see conftest.py). The header of every run says which broker it is.
"""

import os
import random
import shutil
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Protocol

import pytest
from typing_extensions import Self

from spotterd.publish.broker import DemoBroker

MOSQUITTO = shutil.which(
    "mosquitto", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin"
)


def pytest_report_header() -> str:
    if MOSQUITTO:
        said = subprocess.run([MOSQUITTO, "-h"], capture_output=True, text=True, check=False).stdout
        return f"broker: {said.splitlines()[0]} ({MOSQUITTO})"
    return (
        "broker: amqtt, the demo's own (no mosquitto in PATH or /usr/sbin; tests of it are skipped)"
    )


class Broker(Protocol):
    port: int
    url: str


def free_port() -> int:
    """Below those of outgoing connections: none takes it, or connects from it to itself."""
    while True:
        port = random.randrange(20_000, 32_000)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


class Mosquitto:
    """A mosquitto process that can be stopped, killed and started again on its port."""

    def __init__(self, folder: Path, extra: str = "allow_anonymous true\n") -> None:
        if not MOSQUITTO:
            pytest.skip("no mosquitto here: sudo apt-get install mosquitto")
        self.port = free_port()
        self.url = f"mqtt://127.0.0.1:{self.port}"
        self.log: list[str] = []
        self.config = folder / "mosquitto.conf"
        self.config.write_text(
            f"listener {self.port} 127.0.0.1\nuser root\nlog_dest stderr\nlog_type all\n{extra}"
        )
        self.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def start(self) -> None:
        self._process = subprocess.Popen(
            [MOSQUITTO, "-c", self.config],
            stderr=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
        )
        for line in self._process.stderr:
            self.log.append(line)
            if line.rstrip().endswith("running"):
                break
        else:
            raise RuntimeError("mosquitto did not start: " + "".join(self.log))
        threading.Thread(target=self.log.extend, args=(self._process.stderr,), daemon=True).start()

    def reload(self) -> None:
        """Read passwords and ACL again."""
        self._process.send_signal(signal.SIGHUP)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """In order: it writes its persistence."""
        self._process.terminate()
        self._process.wait()


@pytest.fixture
def mosquitto(tmp_path: Path) -> Iterator[Mosquitto]:
    """A real mosquitto that lets anybody in; skips where there is none."""
    with Mosquitto(tmp_path) as broker:
        yield broker


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A broker that is always there, one for the whole run: use topics of your own."""
    if MOSQUITTO:
        real = Mosquitto(tmp_path_factory.mktemp("mosquitto"))
        yield real
        real.stop()
    else:
        with DemoBroker() as own:
            yield own
