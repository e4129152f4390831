"""USB cameras keep their names, get the mode that suits, and a camera's answers are read right."""

import fcntl
import struct
from pathlib import Path

import pytest

from spotterd.camera import v4l2
from spotterd.camera.usb import Device, UsbOptions, choose_mode, devices, find_node
from spotterd.camera.v4l2 import Control, Mode, control_name
from spotterd.errors import BadInputError, RetryError


def plug(sysfs: Path, number: int, port: str, **told: str) -> None:
    """A camera in sysfs as the kernel lays it out: node -> interface -> USB device."""
    usb = sysfs / "devices" / port
    interface = usb / f"{port}:1.0"
    node = interface / "video4linux" / f"video{number}"
    node.mkdir(parents=True)
    (node / "name").write_text(told.pop("name", "Cam") + "\n")
    (node / "index").write_text(told.pop("index", "0") + "\n")
    (node / "device").symlink_to(interface)
    for key, value in told.items():
        (usb / key).write_text(value + "\n")
    (sysfs / "class").mkdir(exist_ok=True)
    (sysfs / "class" / f"video{number}").symlink_to(node)


@pytest.fixture
def known(tmp_path: Path) -> list[Device]:
    logi = {"idVendor": "046d", "idProduct": "0825", "name": "C270"}
    plug(tmp_path, 10, "1-1", **logi, serial="AAA")
    plug(tmp_path, 2, "1-2", **logi, serial="BBB")
    plug(tmp_path, 3, "1-2.meta", **logi, serial="BBB", index="1")
    plug(tmp_path, 0, "platform", name="vi-output, imx219 9-0010")
    return devices(tmp_path / "class")


def test_what_sysfs_tells(known: list[Device]) -> None:
    assert [device.node.name for device in known] == ["video0", "video2", "video3", "video10"]
    assert [device.usb for device in known] == ["", *["046d:0825:BBB"] * 2, "046d:0825:AAA"]
    assert known[0].name == "vi-output, imx219 9-0010"
    assert devices(Path("/nowhere")) == []


@pytest.mark.parametrize(
    ("name", "node"),
    [
        ("0", "/dev/video0"),
        ("7", "/dev/video7"),
        ("046d:0825:AAA", "/dev/video10"),
        ("046D:0825:BBB", "/dev/video2"),
        ("046d:0825", "/dev/video10"),
    ],
)
def test_a_name_leads_to_todays_node(known: list[Device], name: str, node: str) -> None:
    assert find_node(name, known) == Path(node)


def test_names_that_lead_nowhere(known: list[Device]) -> None:
    with pytest.raises(RetryError, match=r"usb:dead:beef is plugged in. There is: usb:046d:0825"):
        find_node("dead:beef", known)
    with pytest.raises(RetryError, match="no USB camera"):
        find_node("dead:beef", [])
    with pytest.raises(BadInputError, match="vendor:product"):
        find_node("front", known)


C270 = [
    *(Mode("YUYV", 640, 480, 30), Mode("YUYV", 1280, 720, 10), Mode("YUYV", 1920, 1080, 5)),
    *(Mode("MJPG", 640, 480, 30), Mode("MJPG", 1280, 720, 30), Mode("MJPG", 1920, 1080, 30)),
    *(Mode("MJPG", 1280, 720, 60), Mode("MJPG", 3840, 2160, 30), Mode("H264", 1920, 1080, 30)),
]


@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        ({}, Mode("MJPG", 1920, 1080, 30)),
        ({"width": 640, "height": 480}, Mode("YUYV", 640, 480, 30)),
        ({"width": 1280}, Mode("MJPG", 1280, 720, 30)),
        ({"width": 1280, "fps": 60}, Mode("MJPG", 1280, 720, 60)),
        ({"width": 1280, "fps": 5}, Mode("YUYV", 1280, 720, 10)),
        ({"format": "yuyv"}, Mode("YUYV", 1920, 1080, 5)),
        ({"width": 3840, "height": 2160}, Mode("MJPG", 3840, 2160, 30)),
        ({"width": 1200, "height": 700}, Mode("MJPG", 1280, 720, 30)),
        ({"format": "nv12"}, None),
    ],
)
def test_the_mode_that_suits(asked: dict, wanted: Mode | None) -> None:
    assert choose_mode(C270, UsbOptions(**asked)) == wanted


def test_a_camera_with_only_large_modes_gives_the_smallest_of_them() -> None:
    large = [Mode("MJPG", 3840, 2160, 30), Mode("MJPG", 2592, 1944, 15)]
    assert choose_mode(large, UsbOptions()) == large[1]
    assert choose_mode([Mode("H264", 1920, 1080, 30)], UsbOptions()) is None


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("Brightness", "brightness"),
        ("White Balance, Automatic", "white_balance_automatic"),
        ("Exposure Time, Absolute", "exposure_time_absolute"),
    ],
)
def test_controls_are_named_as_v4l2_ctl_does(title: str, name: str) -> None:
    assert control_name(title) == name


def test_request_numbers_are_those_of_videodev2_h() -> None:
    assert v4l2.VIDIOC_QUERYCAP == 0x80685600
    assert v4l2.VIDIOC_ENUM_FMT == 0xC0405602
    assert v4l2.VIDIOC_ENUM_FRAMESIZES == 0xC02C564A
    assert v4l2.VIDIOC_ENUM_FRAMEINTERVALS == 0xC034564B
    assert v4l2.VIDIOC_QUERYCTRL == 0xC0445624
    assert v4l2.VIDIOC_S_CTRL == 0xC008561C


def test_answers_of_a_driver_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver in Python: one format, one size, two rates; one range; one control."""
    monkeypatch.setattr(fcntl, "ioctl", Driver().answer)
    assert v4l2.captures(0)
    assert v4l2.modes(0) == [
        *(Mode("MJPG", 1280, 720, 30), Mode("MJPG", 1280, 720, 15)),
        Mode("YUYV", 1920, 1080, 60),
    ]
    assert v4l2.modes(0, {"YUYV"}) == [Mode("YUYV", 1920, 1080, 60)]
    assert v4l2.controls(0) == [Control(0x980900, "gain", 0, 255, 64)]


class Driver:
    MJPG, YUYV = (int.from_bytes(code, "little") for code in (b"MJPG", b"YUYV"))

    def answer(self, _fd: int, request: int, data: bytearray) -> None:
        index = struct.unpack_from("I", data)[0]
        if request == v4l2.VIDIOC_QUERYCAP:
            struct.pack_into("3I", data, 80, 1, 0x85200001, 0x04200001)
        elif request == v4l2.VIDIOC_ENUM_FMT and index < 2:
            struct.pack_into("I", data, 44, (self.MJPG, self.YUYV)[index])
        elif request == v4l2.VIDIOC_ENUM_FRAMESIZES and index < 1:
            kind = struct.unpack_from("I", data, 4)[0]
            sizes = (1, 1280, 720) if kind == self.MJPG else (3, 32, 1920, 2, 32, 1080, 2)
            struct.pack_into(f"{len(sizes)}I", data, 8, *sizes)
        elif request == v4l2.VIDIOC_ENUM_FRAMEINTERVALS:
            discrete = struct.unpack_from("I", data, 4)[0] == self.MJPG
            if index >= (2 if discrete else 1):
                raise OSError
            rates = (1, 1, (30, 15)[index]) if discrete else (3, 1, 60, 1, 1, 1, 60)
            struct.pack_into(f"{len(rates)}I", data, 16, *rates)
        elif request == v4l2.VIDIOC_QUERYCTRL and index == 0x80000000:
            struct.pack_into("2I32s4i", data, 0, 0x980900, 1, b"Gain", 0, 255, 1, 64)
        else:
            raise OSError
