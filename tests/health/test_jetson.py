"""Five boards (trees written from documentation, see boards/README.md) and other machines."""

from dataclasses import replace
from pathlib import Path

import pytest

from spotterd.health.jetson import JetsonFigures, Rail, l4t_version, read_jetson
from spotterd.health.storage import FlashWear, flash_wear
from spotterd.health.thermal import thermal_zones

BOARDS = Path(__file__).parent / "boards"


def lay(board: str, root: Path) -> Path:
    """Make the board's tree under `root`."""
    for line in (BOARDS / f"{board}.txt").read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("# "):
            path, _, content = line.partition(" =")
            file = root / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content.strip() + "\n")
    return root


NANO = JetsonFigures(
    model="NVIDIA Jetson Nano Developer Kit",
    l4t="32.7.1",
    power_mode="MAXN",
    gpu_percent=43.7,
    gpu_mhz=614,
    gpu_max_mhz=921,
    cpu_mhz=1224,
    cpu_max_mhz=1479,
    emc_mhz=None,
    rails=(
        Rail("POM_5V_IN", 5048, 640),
        Rail("POM_5V_GPU", 5048, 80),
        Rail("POM_5V_CPU", 5048, 152),
    ),
    input_milliwatt=3230,
    fan_percent=47.1,
    fan_rpm=None,
    throttled_by=(),
    undervoltage_events=None,
    overcurrent_events=None,
)
XAVIER_NX = JetsonFigures(
    model="NVIDIA Jetson Xavier NX Developer Kit",
    l4t="35.6.0",
    power_mode="MODE_20W_6CORE",
    gpu_percent=99.5,
    gpu_mhz=510,
    gpu_max_mhz=1109,
    cpu_mhz=1190,
    cpu_max_mhz=1420,
    emc_mhz=None,
    rails=(
        Rail("VDD_IN", 4968, 3016),
        Rail("VDD_CPU_GPU_CV", 4968, 1344),
        Rail("VDD_SOC", 4968, 552),
    ),
    input_milliwatt=14983,
    fan_percent=100.0,
    fan_rpm=None,
    throttled_by=("17000000.gv11b", "thermal-cpufreq-0"),
    undervoltage_events=None,
    overcurrent_events=None,
)
ORIN_NANO = JetsonFigures(
    model="NVIDIA Jetson Orin Nano Engineering Reference Developer Kit Super",
    l4t="36.4.3",
    power_mode="25W",
    gpu_percent=87.1,
    gpu_mhz=918,
    gpu_max_mhz=918,
    cpu_mhz=1344,
    cpu_max_mhz=1344,
    emc_mhz=None,
    rails=(
        Rail("VDD_IN", 5080, 1856),
        Rail("VDD_CPU_GPU_CV", 5080, 632),
        Rail("VDD_SOC", 5080, 312),
    ),
    input_milliwatt=9428,
    fan_percent=40.0,
    fan_rpm=2140,
    throttled_by=(),
    undervoltage_events=0,
    overcurrent_events=52,
)
AGX_ORIN = replace(
    ORIN_NANO,
    model="NVIDIA Jetson AGX Orin Developer Kit",
    l4t="36.4.0",
    power_mode="3",  # no name known
    gpu_percent=0.0,
    gpu_mhz=1300,
    gpu_max_mhz=1300,
    cpu_mhz=2201,
    cpu_max_mhz=2201,
    rails=(
        Rail("VDD_GPU_SOC", 19840, 400),
        Rail("VDD_CPU_CV", 19840, 120),
        Rail("VIN_SYS_5V0", 4968, 953),
        Rail("VDDQ_VDD2_1V8AO", 4968, 341),
    ),
    input_milliwatt=None,
    fan_percent=None,
    fan_rpm=None,
    throttled_by=("devfreq-17000000.gpu", "gpu-throttle-alert"),
    undervoltage_events=3,
    overcurrent_events=0,
)
THOR = replace(
    ORIN_NANO,
    model="NVIDIA Jetson AGX Thor Developer Kit",
    l4t="38.2.1",
    power_mode="120W",
    gpu_percent=None,
    gpu_mhz=1386,
    gpu_max_mhz=1575,
    cpu_mhz=2601,
    cpu_max_mhz=2601,
    emc_mhz=4266,
    rails=(
        Rail("VDD_GPU", 11920, 1000),
        Rail("VDD_CPU_SOC_MSS", 11920, 900),
        Rail("VIN_SYS_5V0", 4984, 800),
        Rail("VIN", 19960, 1800),
    ),
    input_milliwatt=35928,
    fan_percent=None,
    fan_rpm=None,
    undervoltage_events=None,
    overcurrent_events=None,
)


@pytest.mark.parametrize(
    ("board", "figures"),
    [
        ("nano", NANO),
        ("xavier-nx", XAVIER_NX),
        ("orin-nano", ORIN_NANO),
        ("agx-orin", AGX_ORIN),
        ("thor", THOR),
    ],
)
def test_board(board: str, figures: JetsonFigures, tmp_path: Path) -> None:
    assert read_jetson(lay(board, tmp_path)) == figures


@pytest.mark.parametrize(
    ("board", "zones", "hottest", "throttles_at"),
    [
        ("nano", 3, "AO-therm", None),
        ("xavier-nx", 2, "CPU-therm", 90.5),
        ("orin-nano", 3, "gpu-thermal", 99.0),  # cv0 is not powered and does not answer
        ("agx-orin", 2, "cpu-thermal", None),
        ("thor", 2, "tj-thermal", None),
    ],
)
def test_thermal_zones(
    board: str, zones: int, hottest: str, throttles_at: float | None, tmp_path: Path
) -> None:
    found = thermal_zones(lay(board, tmp_path) / "sys")
    assert len(found) == zones
    hot = max(found, key=lambda zone: zone.celsius)
    assert (hot.name, hot.throttles_at) == (hottest, throttles_at)


def test_other_machines_are_no_jetson(tmp_path: Path) -> None:
    assert read_jetson(tmp_path) is None
    tree = tmp_path / "proc/device-tree"
    tree.mkdir(parents=True)
    (tree / "compatible").write_bytes(b"raspberrypi,5-model-b\0brcm,bcm2712\0")
    assert read_jetson(tmp_path) is None


def test_a_bare_tegra_has_no_figures_but_is_no_error(tmp_path: Path) -> None:
    tree = tmp_path / "proc/device-tree"
    tree.mkdir(parents=True)
    (tree / "compatible").write_bytes(b"some,board\0nvidia,tegra234\0")
    figures = read_jetson(tmp_path)
    assert figures is not None
    assert (figures.model, figures.rails, figures.gpu_percent) == ("Jetson", (), None)


@pytest.mark.parametrize(
    ("release", "version"),
    [
        ("# R36 (release), REVISION: 4.3, GCID: 1", "36.4.3"),
        ("# R32 (release), REVISION: 7.1, GCID: 1", "32.7.1"),
        ("something else", None),
        ("", None),
    ],
)
def test_l4t_version(release: str, version: str | None) -> None:
    assert l4t_version(release) == version


def test_flash_wear(tmp_path: Path) -> None:
    assert flash_wear(lay("agx-orin", tmp_path) / "sys") == (FlashWear("mmcblk0", 20, False),)
    device = tmp_path / "sys/class/block/mmcblk0/device"
    (device / "life_time").write_text("0x0b 0x00\n")
    (device / "pre_eol_info").write_text("0x03\n")
    assert flash_wear(tmp_path / "sys") == (FlashWear("mmcblk0", 110, True),)
    (device / "life_time").write_text("0x00 0x00\n")  # does not tell
    assert flash_wear(tmp_path / "sys") == ()
