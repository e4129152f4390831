"""What `doctor --camera` shows: cameras, what they can do, and a picture to look at."""

import time
from contextlib import nullcontext
from pathlib import Path

import cv2
import pytest

from spotterd.camera import survey as surveying
from spotterd.camera.survey import PATIENCE_S, survey, take_picture
from spotterd.camera.usb import Device
from spotterd.camera.v4l2 import Control, Mode
from spotterd.config.schema import Camera
from spotterd.errors import BadInputError, RetryError


@pytest.fixture
def board(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two CSI sensors, a webcam with its metadata node, and one that is not allowed."""
    usb = ("046d", "0825", "AAA")
    listed = [
        *(Device(Path("/dev/video0"), "vi-output, imx219 9-0010", 0),),
        *(Device(Path("/dev/video1"), "vi-output, imx219 10-0010", 0),),
        *(Device(Path("/dev/video2"), "C270", n, *usb) for n in (0, 1)),
        Device(Path("/dev/video9"), "Secret", 0),
    ]
    modes = [Mode("YUYV", 640, 480, 30), Mode("MJPG", 1280, 720, 30), Mode("MJPG", 640, 480, 60)]
    answers = iter([True, False])
    monkeypatch.setattr(surveying, "devices", lambda: listed)
    monkeypatch.setattr(surveying.os, "access", lambda node, _how: "video9" not in str(node))
    monkeypatch.setattr(surveying.v4l2, "opened", lambda _node: nullcontext(0))
    monkeypatch.setattr(surveying.v4l2, "captures", lambda _fd: next(answers))
    monkeypatch.setattr(surveying.v4l2, "modes", lambda _fd: modes)
    monkeypatch.setattr(surveying.v4l2, "controls", lambda _fd: [Control(1, "gain", 0, 255, 64)])


def test_the_cameras_of_a_board(board: None) -> None:
    found = survey()
    assert [one.source for one in found] == ["csi:0", "csi:1", "usb:046d:0825:AAA", "/dev/video9"]
    assert [one.allowed for one in found] == [True, True, True, False]
    assert str(found[2]) == (
        "C270; YUYV 640x480 30 fps at most, MJPG 1280x720 30 fps at most; "
        "controls: gain 0..255 (64)"
    )


def test_a_board_without_cameras(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(surveying, "devices", list)
    assert survey() == []


def test_a_test_picture(tmp_path: Path) -> None:
    camera = Camera(source="sim:?fps=100&size=64x48")
    taken = take_picture("roof", camera, tmp_path / "made")
    assert (taken.path, taken.size_wh) == (tmp_path / "made" / "roof.png", (64, 48))
    assert cv2.imread(str(taken.path)).shape == (48, 64, 3)
    assert 1 < taken.fps < 1000  # how close to 100 is the machine's, test_pace has the sums


def test_no_picture_says_why_at_once(tmp_path: Path) -> None:
    began = time.monotonic()
    with pytest.raises(BadInputError, match="No such file"):
        take_picture("a", Camera(source=str(tmp_path / "none.mp4")), tmp_path)
    with pytest.raises(RetryError, match="/dev/video97 is not there"):
        take_picture("a", Camera(source="usb:97"), tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert time.monotonic() - began < PATIENCE_S / 2


def test_a_picture_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BadInputError, match="cannot be written"):
        take_picture("roof", Camera(source="sim:?fps=100&size=64x48"), tmp_path / "file")
