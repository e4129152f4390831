"""A Jetson board as its kernel shows it in sysfs: no root, no tegrastats, no other daemon.

Written from NVIDIA's "Platform Power and Performance" pages (L4T 32 to 38) and the kernel's hwmon,
devfreq and thermal documentation. What a board does not have, or does not let this user read, is
None. `root` is "/" except in tests.
"""

import re
from dataclasses import dataclass
from pathlib import Path

from spotterd.health.sysfs import number, text

# Frequency domains of the GPU in /sys/class/devfreq: Nano, Xavier, Orin (JetPack 5, 6), Thor.
GPU_DEVFREQ = ("*.gpu", "*.gv11b", "*.ga10b", "gpu-gpc-*")
# Rails that carry everything the module takes; boards without one (AGX) have parallel rails only.
INPUT_RAILS = frozenset({"VDD_IN", "POM_5V_IN", "5V_IN", "VIN"})
EMC_HZ = (
    "sys/class/devfreq/bwmgr/cur_freq",  # Thor
    "sys/kernel/debug/bpmp/debug/clk/emc/rate",  # root only
    "sys/kernel/debug/clk/emc/clk_rate",  # Nano, root only
)
# Cooling devices that mean "slower than asked", as opposed to a fan.
SLOWING = re.compile(
    r"cpufreq|devfreq|throttle-alert|tegra-heavy|(cpu|gpu|emergency)-balanced|\.(gpu|gv11b|ga10b)$"
)


@dataclass(frozen=True, slots=True)
class Rail:
    """One supply rail, measured by an INA3221 or INA238."""

    name: str
    millivolt: int
    milliamp: int

    @property
    def milliwatt(self) -> int:
        """Power drawn through the rail."""
        return self.millivolt * self.milliamp // 1000


@dataclass(frozen=True, slots=True)
class JetsonFigures:
    """One sample of the board.

    Attributes:
        model: as the device tree calls it.
        l4t: version of Jetson Linux ("36.4.3").
        power_mode: name (or number) of the nvpmodel mode.
        gpu_percent: load of the GPU; None on Thor, whose load NVML tells.
        gpu_mhz, gpu_max_mhz, cpu_mhz, cpu_max_mhz, emc_mhz: clocks; max as allowed right now.
        rails: in the order of the sensors.
        input_milliwatt: what the whole module takes, where one rail carries it.
        fan_percent, fan_rpm: of the first fan.
        throttled_by: cooling devices that slow something down right now.
        undervoltage_events, overcurrent_events: since boot (Orin and later).
    """

    model: str
    l4t: str | None
    power_mode: str | None
    gpu_percent: float | None
    gpu_mhz: int | None
    gpu_max_mhz: int | None
    cpu_mhz: int | None
    cpu_max_mhz: int | None
    emc_mhz: int | None
    rails: tuple[Rail, ...]
    input_milliwatt: int | None
    fan_percent: float | None
    fan_rpm: int | None
    throttled_by: tuple[str, ...]
    undervoltage_events: int | None
    overcurrent_events: int | None


def read_jetson(root: Path = Path("/")) -> JetsonFigures | None:
    """A sample, some milliseconds long (the rails are read over I2C); None on other machines."""
    if "tegra" not in (text(root / "proc/device-tree/compatible") or ""):
        return None
    gpu = _gpu(root)
    cpu = root / "sys/devices/system/cpu/cpu0/cpufreq"
    rails = _rails(root)
    undervoltage, overcurrent = _soctherm_events(root)
    load = number(gpu / "device/load") if gpu else None
    return JetsonFigures(
        model=text(root / "proc/device-tree/model") or "Jetson",
        l4t=l4t_version(text(root / "etc/nv_tegra_release") or ""),
        power_mode=_power_mode(root),
        gpu_percent=load / 10 if load is not None else None,
        gpu_mhz=_mega(gpu / "cur_freq" if gpu else None, 1_000_000),
        gpu_max_mhz=_mega(gpu / "max_freq" if gpu else None, 1_000_000),
        cpu_mhz=_mega(cpu / "scaling_cur_freq", 1000),
        cpu_max_mhz=_mega(cpu / "scaling_max_freq", 1000),
        emc_mhz=next((mhz for p in EMC_HZ if (mhz := _mega(root / p, 1_000_000))), None),
        rails=rails,
        input_milliwatt=next((r.milliwatt for r in rails if r.name in INPUT_RAILS), None),
        fan_percent=_fan_percent(root),
        fan_rpm=next(iter(_hwmon_numbers(root, "pwm_tach", "rpm")), None),
        throttled_by=_throttled_by(root),
        undervoltage_events=undervoltage,
        overcurrent_events=overcurrent,
    )


def l4t_version(release: str) -> str | None:
    """`# R36 (release), REVISION: 4.3, ...` -> `36.4.3`."""
    found = re.match(r"# R(\d+) \(release\), REVISION: ([\d.]+)", release)
    return f"{found[1]}.{found[2]}" if found else None


def _gpu(root: Path) -> Path | None:
    folder = root / "sys/class/devfreq"
    return next((found for name in GPU_DEVFREQ for found in sorted(folder.glob(name))), None)


def _mega(path: Path | None, unit: int) -> int | None:
    value = number(path) if path else None
    return value // unit if value is not None else None


def _power_mode(root: Path) -> str | None:
    """The state file of nvpmodel says `pmode:0002`; its configuration knows the name."""
    state = re.match(r"pmode:0*(\d+)", text(root / "var/lib/nvpmodel/status") or "")
    if state is None:
        return None
    names = text(root / "etc/nvpmodel.conf") or ""
    named = re.search(rf"<\s*POWER_MODEL\s+ID={state[1]}\s+NAME=([^\s>]+)", names)
    return named[1] if named else state[1]


def _hwmons(root: Path, *names: str) -> list[Path]:
    """Hardware monitors of these drivers; their numbers differ from boot to boot."""
    folders = sorted((root / "sys/class/hwmon").glob("hwmon*"))
    return [folder for folder in folders if text(folder / "name") in names]


def _hwmon_numbers(root: Path, driver: str, file: str) -> list[int]:
    values = [number(folder / file) for folder in _hwmons(root, driver)]
    return [value for value in values if value is not None]


def _rails(root: Path) -> tuple[Rail, ...]:
    return (*_rails_hwmon(root), *_rails_iio(root))


def _rails_hwmon(root: Path) -> list[Rail]:
    """The mainline driver, since JetPack 5: in1_label, in1_input (mV), curr1_input (mA)."""
    rails = []
    for folder in _hwmons(root, "ina3221", "ina238"):
        for channel in (1, 2, 3):
            name = text(folder / f"in{channel}_label")
            volt, amp = (
                number(folder / f"in{channel}_input"),
                number(folder / f"curr{channel}_input"),
            )
            # A channel that is not connected has no label, or the label "NC".
            if name and name != "NC" and volt is not None and amp is not None:
                rails.append(Rail(name, volt, amp))
    return rails


def _rails_iio(root: Path) -> list[Rail]:
    """NVIDIA's own driver of JetPack 4: rail_name_0, in_voltage0_input, in_current0_input."""
    rails = []
    for file in sorted((root / "sys/bus/i2c/drivers/ina3221x").glob("*/iio:device*/rail_name_*")):
        channel = file.name.removeprefix("rail_name_")
        name = text(file)
        volt = number(file.with_name(f"in_voltage{channel}_input"))
        amp = number(file.with_name(f"in_current{channel}_input"))
        if name and name != "NC" and volt is not None and amp is not None:
            rails.append(Rail(name, volt, amp))
    return rails


def _fan_percent(root: Path) -> float | None:
    pwm = _hwmon_numbers(root, "pwmfan", "pwm1")
    older = number(root / "sys/devices/pwm-fan/cur_pwm")  # JetPack 4
    value = pwm[0] if pwm else older
    return round(value / 2.55, 1) if value is not None else None


def _throttled_by(root: Path) -> tuple[str, ...]:
    names = [
        text(folder / "type") or folder.name
        for folder in (root / "sys/class/thermal").glob("cooling_device*")
        if (number(folder / "cur_state") or 0) > 0
    ]
    return tuple(sorted({name for name in names if SLOWING.search(name)}))


def _soctherm_events(root: Path) -> tuple[int | None, int | None]:
    """OC1 counts under-voltage, OC2 average and OC3 instantaneous over-current (Orin's guide)."""
    for folder in _hwmons(root, "soctherm_oc"):
        over = [number(folder / f"oc{n}_event_cnt") for n in (2, 3)]
        return number(folder / "oc1_event_cnt"), sum(count or 0 for count in over)
    return None, None
