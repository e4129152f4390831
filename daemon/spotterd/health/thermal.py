"""Thermal zones of the kernel, with the temperatures at which it slows down or switches off."""

from dataclasses import dataclass
from pathlib import Path

from spotterd.health.sysfs import number, text


@dataclass(frozen=True, slots=True)
class ThermalZone:
    """One sensor.

    Attributes:
        name: as the kernel calls it ("cpu-thermal", "GPU-therm", "x86_pkg_temp").
        celsius: now.
        throttles_at: lowest passive trip point (the kernel lowers clocks), or None.
        critical_at: lowest critical trip point (the kernel switches off), or None.
    """

    name: str
    celsius: float
    throttles_at: float | None
    critical_at: float | None

    @property
    def margin(self) -> float | None:
        """Degrees left until the kernel slows down; None where it never does."""
        return None if self.throttles_at is None else self.throttles_at - self.celsius


def thermal_zones(sys: Path = Path("/sys")) -> tuple[ThermalZone, ...]:
    """Every zone that answers, in the kernel's order."""
    found = []
    for folder in sorted((sys / "class/thermal").glob("thermal_zone*"), key=_index):
        milli = number(folder / "temp")  # an unpowered sensor answers with an error
        if milli is None:
            continue
        name = text(folder / "type") or folder.name
        found.append(
            ThermalZone(name, milli / 1000, _trip(folder, "passive"), _trip(folder, "critical"))
        )
    return tuple(found)


def _index(folder: Path) -> int:
    return int(folder.name.removeprefix("thermal_zone"))


def _trip(folder: Path, kind: str) -> float | None:
    """Lowest trip point of this kind in Celsius; boards use 0 or less for "not set"."""
    celsius = [
        milli / 1000
        for file in folder.glob("trip_point_*_type")
        if text(file) == kind
        and (milli := number(file.with_name(file.name.replace("_type", "_temp")))) is not None
        and milli > 0
    ]
    return min(celsius, default=None)
