"""Network cameras on a real RTSP server that stops, hangs, comes back, and wants a password."""

import signal
import time
from collections.abc import Iterator
from pathlib import Path
from queue import Queue

import pytest

from camera.rtsp import Server, servers
from spotterd.camera.base import CameraStatus
from spotterd.camera.open import open_source
from spotterd.camera.reader import CameraReader
from spotterd.config.schema import Camera
from spotterd.errors import RetryError


@pytest.fixture
def serve() -> Iterator[type[Server]]:
    with servers() as make:
        yield make


def test_a_server_that_stops_hangs_and_comes_back(serve: type[Server]) -> None:
    server, told = serve(), Queue[CameraStatus]()
    reader = CameraReader(
        "roof",
        Camera(source=server.url, stall_timeout_s=1.5),
        lambda frame, _live: frame.release(),
        told.put,
    )
    reader.start()
    assert wait_for(told, "online").reason == ""

    server.kill()
    assert "broke off" in wait_for(told, "offline").reason
    assert "No video from" in wait_for(told, "offline", "No video").reason
    server.start()
    began = time.monotonic()
    wait_for(told, "online")
    assert time.monotonic() - began < 15

    server.signal(signal.SIGSTOP)
    assert "No picture for " in wait_for(told, "stalled").reason
    server.signal(signal.SIGCONT)
    wait_for(told, "online")

    reader.stop(3.0)
    assert (reader.reconnects, reader.hung, reader.ended.is_set()) == (2, 0, True)


def test_the_password_comes_from_a_file(serve: type[Server], tmp_path: Path) -> None:
    server, secret = serve("viewer:pa:ss w/rd"), tmp_path / "camera"
    secret.write_text("viewer:wrong\n")
    camera = Camera(source=server.url, credentials_file=str(secret))
    with pytest.raises(RetryError, match=r"No video from rtsp://\*\*\*@127.0.0.1") as told:
        open_source(camera)
    assert "wrong" not in str(told.value).replace("password is wrong", "")
    secret.write_text("viewer:pa:ss w/rd\n")
    source = open_source(camera)
    assert source.read(None).pixels.shape == (240, 320, 3)
    source.close()


def test_udp_where_tcp_is_refused(serve: type[Server]) -> None:
    source = open_source(Camera(source=serve("udp").url))
    assert source.read(None).pixels.shape == (240, 320, 3)
    source.close()


def wait_for(told: "Queue[CameraStatus]", state: str, said: str = "") -> CameraStatus:
    while True:
        status = told.get(timeout=20)
        if status.state == state and said in status.reason:
            return status
