"""What systemd hears, over the real socket protocol, with and without systemd-python."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from spotterd.service.systemd import Notifier, credential, watchdog_limit_s


@pytest.fixture(params=["path", "abstract"])
def manager(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[socket.socket]:
    """A socket that listens as systemd does; $NOTIFY_SOCKET names it."""
    named = str(tmp_path / "notify")
    if request.param == "abstract":
        named = f"@spotterd-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(named.replace("@", "\0", 1))
        listening.settimeout(5)
        monkeypatch.setenv("NOTIFY_SOCKET", named)
        yield listening


@pytest.fixture
def no_systemd_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """`import systemd` finds only an empty namespace package, as a folder systemd/ gives."""
    monkeypatch.setitem(sys.modules, "systemd.daemon", None)


@pytest.mark.usefixtures("no_systemd_python")
def test_every_message_arrives_as_the_protocol_wants_it(manager: socket.socket) -> None:
    notifier = Notifier()

    def heard() -> list[str]:
        return manager.recv(4096).decode().split("\n")

    notifier.ready("watching\nwith 2 cameras")
    assert heard() == ["READY=1", "STATUS=watching with 2 cameras"]
    notifier.status("degraded: camera north is offline")
    assert heard() == ["STATUS=degraded: camera north is offline"]
    notifier.watchdog()
    assert heard() == ["WATCHDOG=1"]
    notifier.extend_timeout(90.5)
    assert heard() == ["EXTEND_TIMEOUT_USEC=90500000"]
    before_us = time.monotonic_ns() // 1000
    notifier.reloading("reading the configuration")
    reloading, stamp, _status = heard()
    assert reloading == "RELOADING=1"
    assert before_us <= int(stamp.removeprefix("MONOTONIC_USEC=")) <= time.monotonic_ns() // 1000
    notifier.stopping("asked to stop")
    assert heard() == ["STOPPING=1", "STATUS=asked to stop"]


def test_systemd_python_is_used_where_it_is_installed(
    manager: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[str] = []
    daemon = type("daemon", (), {"notify": staticmethod(sent.append)})
    monkeypatch.setitem(sys.modules, "systemd", type("systemd", (), {"daemon": daemon}))
    Notifier().watchdog()
    assert sent == ["WATCHDOG=1"]


def test_a_folder_named_systemd_does_not_shadow(tmp_path: Path, manager: socket.socket) -> None:
    (tmp_path / "systemd").mkdir()
    source = Path(__file__).parents[2] / "daemon"
    code = "from spotterd.service.systemd import Notifier; Notifier().watchdog()"
    environ = os.environ | {"PYTHONPATH": f"{tmp_path}:{source}"}
    subprocess.run([sys.executable, "-c", code], env=environ, check=True, timeout=30)
    assert manager.recv(64) == b"WATCHDOG=1"


def test_outside_of_systemd_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    Notifier().ready("fine")


@pytest.mark.usefixtures("no_systemd_python")
def test_a_manager_that_went_away_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    Notifier().watchdog()


@pytest.mark.parametrize(
    ("environ", "limit_s"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_watchdog_limit(environ: dict[str, str], limit_s: float | None) -> None:
    assert watchdog_limit_s(environ) == limit_s


def test_credentials(tmp_path: Path) -> None:
    (tmp_path / "mqtt-password").write_text("secret")
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    assert credential("mqtt-password", environ) == tmp_path / "mqtt-password"
    assert credential("other", environ) is None
    (tmp_path / "blank").write_text("\n")  # what the unit gives where no password is set
    assert credential("blank", environ) is None
    assert credential("mqtt-password", {}) is None
