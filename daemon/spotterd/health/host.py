"""The machine under the daemon: processor, memory, disk, temperatures, clock."""

import os
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from spotterd.health.clock import clock_synced
from spotterd.health.thermal import ThermalZone, thermal_zones

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class HostFigures:
    """One sample of the machine and of this process.

    Attributes:
        cpu_percent: of all cores together (0..100), since the sample before.
        process_cpu_percent: of one core (may exceed 100), since the sample before.
        load_1min: the kernel's load average.
        ram_total_mib, ram_available_mib: of the machine.
        swap_used_mib: of the machine; a daemon that swaps is late.
        process_rss_mib: resident memory of this process.
        threads: of this process.
        disk_free_mib, disk_used_percent: of the file system that holds the state directory.
        thermal: every zone the kernel knows.
        uptime_s: since the machine started.
        clock_synced: the wall clock can be believed.
    """

    cpu_percent: float
    process_cpu_percent: float
    load_1min: float
    ram_total_mib: int
    ram_available_mib: int
    swap_used_mib: int
    process_rss_mib: int
    threads: int
    disk_free_mib: int
    disk_used_percent: float
    thermal: tuple[ThermalZone, ...]
    uptime_s: float
    clock_synced: bool


class HostProbe:
    """Samples the machine; one thread calls `sample`, about a millisecond each time.

    Args:
        state_dir: where the daemon writes; the nearest folder that exists is measured.
        sys: root of sysfs.
    """

    def __init__(self, state_dir: Path, sys: Path = Path("/sys")) -> None:
        self._state_dir = state_dir
        self._sys = sys
        self._process = psutil.Process()
        # psutil measures between two calls and answers 0.0 to the first.
        psutil.cpu_percent(None)
        self._process.cpu_percent(None)

    def sample(self) -> HostFigures:
        """Everything now."""
        memory = psutil.virtual_memory()
        disk = psutil.disk_usage(str(_nearest_existing(self._state_dir)))
        with self._process.oneshot():
            process_cpu = self._process.cpu_percent(None)
            rss = self._process.memory_info().rss
            threads = self._process.num_threads()
        return HostFigures(
            cpu_percent=psutil.cpu_percent(None),
            process_cpu_percent=process_cpu,
            load_1min=os.getloadavg()[0],
            ram_total_mib=memory.total // MIB,
            ram_available_mib=memory.available // MIB,
            swap_used_mib=psutil.swap_memory().used // MIB,
            process_rss_mib=rss // MIB,
            threads=threads,
            disk_free_mib=disk.free // MIB,
            disk_used_percent=disk.percent,
            thermal=thermal_zones(self._sys),
            uptime_s=time.clock_gettime(time.CLOCK_BOOTTIME),
            clock_synced=clock_synced(),
        )


def _nearest_existing(path: Path) -> Path:
    """The path itself, or the first of its parents that is there (before the first start)."""
    return next(p for p in (path, *path.resolve().parents) if p.exists())
