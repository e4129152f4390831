"""Which source a string opens, and the sentences for those that are none."""

import os
from pathlib import Path

import pytest

from spotterd.camera.open import open_source
from spotterd.config.schema import Camera
from spotterd.errors import BadInputError, RetryError, SpotterdError


@pytest.mark.parametrize(
    ("source", "kind", "said"),
    [
        ("ftp://user:pw@host/x", BadInputError, r"Unknown kind of source 'ftp:'.*Known are .*sim:"),
        ("usb:front", BadInputError, "write usb:0"),
        ("sim:?speed=3", BadInputError, "speed: unknown key; did you mean 'seed'"),
        ("sim:?fps=0&size=big", BadInputError, "fps: .*; size: "),
        ("/dev/video97", RetryError, "/dev/video97 is not there"),
        ("usb:97", RetryError, "/dev/video97 is not there"),
        ("rtsp://user:pw@127.0.0.1:1/x", RetryError, r"No video from rtsp://\*\*\*@127.0.0.1:1/x"),
        ("http://127.0.0.1:1/x", RetryError, "No video from http://127.0.0.1:1/x"),
    ],
)
def test_what_cannot_be_opened_says_why(
    source: str, kind: type[SpotterdError], said: str, capfd: pytest.CaptureFixture
) -> None:
    with pytest.raises(kind, match=said) as told:
        open_source(Camera(source=source))
    assert "pw" not in str(told.value)
    assert capfd.readouterr().err == ""


def test_a_device_that_is_no_camera() -> None:
    with pytest.raises(RetryError, match="not a camera"):
        open_source(Camera(source="/dev/null"))


def test_a_device_that_is_not_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)  # root, who may run this, may do all
    with pytest.raises(RetryError, match=r"No permission on /dev/null.*usermod"):
        open_source(Camera(source="/dev/null"))


def test_a_file_with_a_colon_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "sim:day").write_bytes(b"x")
    with pytest.raises(BadInputError, match="is not a video"):
        open_source(Camera(source="sim:day"))
