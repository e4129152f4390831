"""A real RTSP server as a child process that can be stopped, frozen and started again."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from brokers import free_port

SYSTEM_PYTHON = "/usr/bin/python3"
SERVER = Path(__file__).parent / "with_gst" / "rtsp_server.py"
ASK = "import gi; gi.require_version('GstRtspServer', '1.0')"


class Server:
    """The server process; can be started again on its port."""

    def __init__(self, *options: str) -> None:
        self._options = options
        self.port = free_port()
        self.start()

    @property
    def url(self) -> str:
        return f"rtsp://127.0.0.1:{self.port}/roof"

    def start(self) -> None:
        command = [SYSTEM_PYTHON, str(SERVER), str(self.port), *self._options]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout.readline() == "ready\n"

    def signal(self, number: signal.Signals) -> None:
        os.kill(self._process.pid, number)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        self._process.stdout.close()


@contextmanager
def servers() -> Iterator[type[Server]]:
    """Make servers, or skip where none can run; all are gone afterwards."""
    asked = subprocess.run([SYSTEM_PYTHON, "-c", ASK], capture_output=True, check=False)
    if asked.returncode:
        pytest.skip("no RTSP server: apt-get install gir1.2-gst-rtsp-server-1.0")
    made: list[Server] = []

    def make(*options: str) -> Server:
        made.append(Server(*options))
        return made[-1]

    yield make
    for server in made:
        server.kill()
