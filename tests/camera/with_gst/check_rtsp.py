"""RTSP through GStreamer: UDP, and the errors that its elements tell."""

import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from spotterd.camera.open import open_source
from spotterd.config.schema import Camera
from spotterd.data import is_nv12, size_of
from spotterd.errors import RetryError

SERVER = Path(__file__).parent / "rtsp_server.py"
with socket.socket() as free:
    free.bind(("127.0.0.1", 0))
    PORT = str(free.getsockname()[1])
URL = f"rtsp://127.0.0.1:{PORT}/roof"

gi = pytest.importorskip("gi")
try:
    gi.require_version("GstRtspServer", "1.0")
except ValueError:
    pytest.skip("apt-get install gir1.2-gst-rtsp-server-1.0", allow_module_level=True)


@pytest.fixture
def server() -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, str(SERVER), PORT, "viewer:secret", "udp"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "ready\n"
        yield process
        process.kill()


def test_udp_with_a_password(server: subprocess.Popen[str], tmp_path: Path) -> None:
    secret = tmp_path / "camera"
    secret.write_text("viewer:secret\n")
    camera = Camera(source=URL, credentials_file=str(secret), rtsp_transport="udp")
    source = open_source(camera)
    shots = [source.read(None) for _ in range(5)]
    assert is_nv12(shots[-1].pixels)
    assert size_of(shots[-1].pixels) == (320, 240)
    assert source.fps == 20
    source.close()


def test_a_wrong_password_and_a_server_that_is_not_there(
    server: subprocess.Popen[str],
) -> None:
    udp = {"rtsp_transport": "udp"}
    with pytest.raises(RetryError, match=r"(?i)unauthori") as told:
        open_source(Camera(source=URL.replace("//", "//viewer:wrong@"), **udp)).read(None)
    assert "wrong" not in str(told.value)
    with pytest.raises(RetryError, match=r"(?i)failed"):
        open_source(Camera(source="rtsp://127.0.0.1:1/x", **udp)).read(None)
