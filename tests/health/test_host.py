"""The machine's figures, on this machine; thermal zones on made-up trees."""

import ctypes
import time
from pathlib import Path

import pytest

from spotterd.health import clock
from spotterd.health.host import HostProbe
from spotterd.health.sysfs import number, text
from spotterd.health.thermal import ThermalZone, thermal_zones


def test_figures_of_this_machine_are_plausible(tmp_path: Path) -> None:
    probe = HostProbe(tmp_path / "not" / "made" / "yet")
    busy_until = time.process_time() + 0.1  # told in steps of 0.01
    while time.process_time() < busy_until:
        pass
    figures = probe.sample()
    assert 0 <= figures.cpu_percent <= 100
    assert figures.process_cpu_percent > 1
    assert 0 < figures.ram_available_mib <= figures.ram_total_mib
    assert 5 < figures.process_rss_mib < figures.ram_total_mib
    assert figures.threads >= 1
    assert figures.disk_free_mib > 0
    assert 0 <= figures.disk_used_percent <= 100
    assert figures.uptime_s > 0


def zone(sys: Path, index: int, files: dict[str, str]) -> None:
    folder = sys / f"class/thermal/thermal_zone{index}"
    folder.mkdir(parents=True)
    for name, content in files.items():
        (folder / name).write_text(content + "\n")


def test_zones_come_in_order_with_their_lowest_trip_points(tmp_path: Path) -> None:
    trips = {"trip_point_0_type": "passive", "trip_point_0_temp": "99000",
             "trip_point_1_type": "passive", "trip_point_1_temp": "95000",
             "trip_point_2_type": "critical", "trip_point_2_temp": "104500",
             "trip_point_3_type": "active", "trip_point_3_temp": "51000"}  # fmt: skip
    zone(tmp_path, 10, {"type": "tj-thermal", "temp": "49250"})
    zone(tmp_path, 2, {"type": "gpu-thermal", "temp": "48000", **trips})
    zone(tmp_path, 3, {"type": "cv0-thermal", "temp": ""})  # unpowered: nothing to read
    zone(tmp_path, 4, {"type": "odd", "temp": "1000", "trip_point_0_type": "passive",
                       "trip_point_0_temp": "-1000"})  # fmt: skip
    assert thermal_zones(tmp_path) == (
        ThermalZone("gpu-thermal", 48.0, 95.0, 104.5),
        ThermalZone("odd", 1.0, None, None),
        ThermalZone("tj-thermal", 49.25, None, None),
    )


def test_no_thermal_class_is_no_zones(tmp_path: Path) -> None:
    assert thermal_zones(tmp_path) == ()


@pytest.mark.parametrize(
    ("content", "as_text", "as_number"),
    [(b"12\n", "12", 12), (b"tegra\0", "tegra", None), (b"\xff", "�", None), (b"", "", None)],
)
def test_small_reads(tmp_path: Path, content: bytes, as_text: str, as_number: int | None) -> None:
    file = tmp_path / "f"
    file.write_bytes(content)
    assert (text(file), number(file)) == (as_text, as_number)


def test_what_cannot_be_read_is_not_known(tmp_path: Path) -> None:
    assert text(tmp_path / "none") is None
    assert text(tmp_path) is None
    assert number(tmp_path / "none") is None


def test_timesyncd_mark_means_synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mark = tmp_path / "synchronized"
    monkeypatch.setattr(clock, "TIMESYNCD_MARK", mark)
    monkeypatch.setattr(clock, "_kernel_says_synced", lambda: False)
    assert not clock.clock_synced()
    mark.touch()
    assert clock.clock_synced()


@pytest.mark.parametrize(
    ("returned", "status", "synced"),
    [(0, 0x2001, True), (5, 0x40, False), (0, 0x40, False), (-1, 0, False), (1, 0x11, True)],
)
def test_the_kernels_answer(
    monkeypatch: pytest.MonkeyPatch, returned: int, status: int, synced: bool
) -> None:
    class Libc:
        def adjtimex(self, timex: ctypes.Array) -> int:
            ctypes.c_int.from_buffer(timex, clock.ADJTIMEX_STATUS_OFFSET).value = status
            return returned

    monkeypatch.setattr(ctypes, "CDLL", lambda name: Libc())
    assert clock._kernel_says_synced() is synced


def test_the_status_lies_where_this_kernel_writes_it() -> None:
    timex = ctypes.create_string_buffer(clock.TIMEX_BYTES)
    state = ctypes.CDLL(None).adjtimex(timex)
    status = ctypes.c_int.from_buffer(timex, clock.ADJTIMEX_STATUS_OFFSET).value
    assert state >= 0
    if status & clock.STA_UNSYNC:  # then, says the kernel's manual, the state is an error
        assert state == clock.TIME_ERROR
