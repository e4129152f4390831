"""Memory, disk, clock, temperatures and the state directory."""

import os
from collections.abc import Iterator
from pathlib import Path

from spotterd.health.checks.base import Finding, ok, problem, warning
from spotterd.health.host import HostFigures
from spotterd.health.thermal import ThermalZone

LITTLE_RAM_MIB = 600  # the daemon with ONNX Runtime and one camera needs about 400
LITTLE_DISK_MIB = 1024
FULL_DISK_MIB = 100
NEAR_TRIP_CELSIUS = 5.0


def check_machine(figures: HostFigures, state_dir: Path) -> Iterator[Finding]:
    """Everything that every Linux machine has."""
    yield _memory(figures)
    yield _disk(figures)
    yield _writable(state_dir)
    yield _clock(figures)
    hottest = max(figures.thermal, key=lambda zone: zone.celsius, default=None)
    if hottest is not None:
        yield _temperature(hottest)


def _memory(figures: HostFigures) -> Finding:
    said = f"{figures.ram_available_mib} of {figures.ram_total_mib} MiB available"
    if figures.ram_available_mib < LITTLE_RAM_MIB:
        return warning("memory", said, "end other programs, or add swap: see docs/operations.md")
    return ok("memory", said)


def _disk(figures: HostFigures) -> Finding:
    said = f"{figures.disk_free_mib} MiB free, {figures.disk_used_percent:.0f} % used"
    remedy = "free space: `journalctl --vacuum-size=200M`, `apt clean`"
    if figures.disk_free_mib < FULL_DISK_MIB:
        return problem("disk", said, remedy)
    if figures.disk_free_mib < LITTLE_DISK_MIB:
        return warning("disk", said, remedy)
    return ok("disk", said)


def _writable(state_dir: Path) -> Finding:
    """The directory, or where it is not there yet the parent in which it will be made."""
    there = next(p for p in (state_dir, *state_dir.resolve().parents) if p.exists())
    if os.access(there, os.W_OK | os.X_OK):
        return ok("state directory", f"{state_dir}")
    return warning(
        "state directory",
        f"{state_dir} is not writable for this user",
        "run `sudo -u spotterd spotterd doctor`, or set SPOTTERD_STATE_DIR",
    )


def _clock(figures: HostFigures) -> Finding:
    if figures.clock_synced:
        return ok("clock", "synchronised")
    return warning(
        "clock",
        "not synchronised: times of events may be wrong",
        "`timedatectl set-ntp true`; without internet point NTP at a machine of your own",
    )


def _temperature(zone: ThermalZone) -> Finding:
    said = f"{zone.name} at {zone.celsius:.0f} °C"
    if zone.throttles_at is None:
        return ok("temperature", said)
    said += f", slows down at {zone.throttles_at:.0f} °C"
    if zone.celsius > zone.throttles_at - NEAR_TRIP_CELSIUS:
        return warning("temperature", said, "cool the board better, or lower cameras.*.max_fps")
    return ok("temperature", said)
