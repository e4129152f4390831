"""What doctor finds, check by check, on made-up machines."""

import socket
import sys
from pathlib import Path

import pytest

from health.test_jetson import lay
from spotterd.health.board import BoardFigures, BoardProbe, combine
from spotterd.health.checks import board, cameras, machine, software, unit
from spotterd.health.checks.base import Finding, Level
from spotterd.health.host import HostFigures
from spotterd.health.thermal import ThermalZone


def host(**changed: object) -> HostFigures:
    well = {
        "cpu_percent": 10.0,
        "process_cpu_percent": 50.0,
        "load_1min": 1.0,
        "ram_total_mib": 8000,
        "ram_available_mib": 4000,
        "swap_used_mib": 0,
        "process_rss_mib": 200,
        "threads": 8,
        "disk_free_mib": 20_000,
        "disk_used_percent": 40.0,
        "thermal": (ThermalZone("tj", 50.0, 95.0, 105.0),),
        "uptime_s": 100.0,
        "clock_synced": True,
    }
    return HostFigures(**(well | changed))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changed", "name", "level"),
    [
        ({}, "memory", Level.OK),
        ({"ram_available_mib": 300}, "memory", Level.WARNING),
        ({}, "disk", Level.OK),
        ({"disk_free_mib": 900}, "disk", Level.WARNING),
        ({"disk_free_mib": 50}, "disk", Level.PROBLEM),
        ({}, "clock", Level.OK),
        ({"clock_synced": False}, "clock", Level.WARNING),
        ({}, "temperature", Level.OK),
        ({"thermal": (ThermalZone("tj", 91.0, 95.0, None),)}, "temperature", Level.WARNING),
        ({"thermal": (ThermalZone("x", 91.0, None, None),)}, "temperature", Level.OK),
    ],
)
def test_machine(tmp_path: Path, changed: dict, name: str, level: Level) -> None:
    found = {f.name: f for f in machine.check_machine(host(**changed), tmp_path / "state")}
    assert found[name].level is level
    assert bool(found[name].remedy) == (level is not Level.OK)


def test_no_sensors_is_no_line(tmp_path: Path) -> None:
    names = [f.name for f in machine.check_machine(host(thermal=()), tmp_path)]
    assert "temperature" not in names


def test_this_environment_has_what_the_daemon_imports() -> None:
    found = {f.name: f for f in software.check_software(nvidia=False)}
    assert all(found[module].level is Level.OK for module, _package in software.REQUIRED)
    assert "tensorrt" not in found


def test_missing_and_broken_modules_are_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "needs_more.py").write_text("import not_there_at_all")
    (tmp_path / "broken_so.py").write_text("raise ImportError('libGL.so.1: cannot\\n open')")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(sys.modules, "gi", None)
    assert software.failure_to_import("not_there_at_all") == "not installed"
    assert software.failure_to_import("needs_more") == "lacks the module not_there_at_all"
    assert software.failure_to_import("broken_so") == "libGL.so.1: cannot open"
    assert software.failure_to_import("json") == ""


@pytest.mark.parametrize(
    ("shown", "level", "said"),
    [
        ({"LoadState": "not-found"}, Level.WARNING, "not installed"),
        (
            {"ActiveState": "failed", "SubState": "failed", "Result": "watchdog"},
            Level.PROBLEM,
            "failed (failed), result watchdog",
        ),
        (
            {"ActiveState": "active", "SubState": "running", "UnitFileState": "disabled"},
            Level.WARNING,
            "active (running), does not start at boot",
        ),
        (
            {"ActiveState": "inactive", "SubState": "dead", "UnitFileState": "enabled"},
            Level.WARNING,
            "inactive (dead)",
        ),
        (
            {"ActiveState": "active", "SubState": "running", "StatusText": "2 cameras, 30 fps"},
            Level.OK,
            "active (running): 2 cameras, 30 fps",
        ),
    ],
)
def test_unit(shown: dict[str, str], level: Level, said: str) -> None:
    finding = unit.judge_unit(shown)
    assert (finding.level, finding.said) == (level, said)


def one(source: str) -> tuple[Level, str]:
    (finding,) = cameras.check_camera("north", source)
    return finding.level, finding.said


def test_sources(tmp_path: Path) -> None:
    assert one("sim:") == (Level.OK, "sim: needs nothing")
    assert one(str(tmp_path)) == (Level.OK, f"{tmp_path} is there")
    level, said = one(str(tmp_path / "none.mp4"))
    assert level is Level.PROBLEM
    assert "not there" in said
    assert one("usb:97?width=640") == (Level.PROBLEM, "/dev/video97 is not there")
    assert one("usb:046d:0825")[0] is Level.OK
    assert one("usb:97") == (Level.PROBLEM, "/dev/video97 is not there")
    assert one("/dev/null") == (Level.OK, "/dev/null is there and may be opened")


def test_rtsp_is_tried_and_its_password_never_shown() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        level, said = one(f"rtsp://user:secret@127.0.0.1:{port}/live")
        assert (level, said) == (Level.OK, f"127.0.0.1:{port} answers")
    level, said = one(f"rtsp://user:secret@127.0.0.1:{port}/live")
    assert level is Level.PROBLEM
    assert "secret" not in said


def test_csi_needs_argus_and_its_elements(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cameras, "ARGUS_SOCKET", tmp_path / "argus_socket")
    monkeypatch.setenv("PATH", str(tmp_path))
    tool = tmp_path / "gst-inspect-1.0"
    tool.write_text('#!/bin/sh\n[ "$2" != nvvidconv ]\n')
    tool.chmod(0o755)
    found = {f.said: f.level for f in cameras.check_camera("north", "csi:0")}
    assert found == {
        f"{tmp_path}/argus_socket is not there": Level.PROBLEM,
        "GStreamer has nvarguscamerasrc": Level.OK,
        "GStreamer has no nvvidconv": Level.PROBLEM,
        "GStreamer has appsink": Level.OK,
    }
    (tmp_path / "argus_socket").touch()
    tool.unlink()
    assert [f.level for f in cameras.check_camera("n", "csi:0")] == [Level.OK, Level.WARNING]


def on_board(name: str, root: Path) -> dict[str, Finding]:
    lay(name, root)
    return {f.name: f for f in board.check_board(BoardProbe(root).sample(), root)}


def test_a_jetson_tells_release_mode_and_trouble(tmp_path: Path) -> None:
    cuda = tmp_path / "usr/local/cuda/version.json"
    cuda.parent.mkdir(parents=True)
    cuda.write_text('{"cuda": {"name": "CUDA SDK", "version": "12.6.68"}}')
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev/nvmap").touch()
    found = on_board("agx-orin", tmp_path)
    assert found["board"].said == "NVIDIA Jetson AGX Orin Developer Kit"
    assert found["jetpack"].said == "Jetson Linux 36.4.0, JetPack 6"
    assert found["cuda"].said == "12.6.68"
    assert found["gpu"].level is Level.OK
    assert found["supply voltage"].level is Level.WARNING
    assert "3 times" in found["supply voltage"].said
    assert found["clocks"].level is Level.WARNING
    assert found["flash mmcblk0"].said == "20 % of its expected life is used"


def test_a_jetpack_that_is_too_old_is_a_problem(tmp_path: Path) -> None:
    assert on_board("nano", tmp_path)["jetpack"].level is Level.PROBLEM


def test_device_nodes_without_rights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev/nvmap").touch()
    monkeypatch.setattr("os.access", lambda path, mode: False)
    found = on_board("orin-nano", tmp_path)["gpu"]
    assert found.level is Level.PROBLEM
    assert "nvmap" in found.said
    assert "usermod" in found.remedy


def test_a_machine_without_a_gpu_has_no_board_lines(tmp_path: Path) -> None:
    figures: BoardFigures = combine(None, (), ())
    assert list(board.check_board(figures, tmp_path)) == []
