"""A Jetson or a discrete NVIDIA GPU: release, rights to its device nodes, power, wear."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

from spotterd.health.board import BoardFigures
from spotterd.health.checks.base import Finding, ok, problem, warning
from spotterd.health.jetson import l4t_version
from spotterd.health.storage import FlashWear
from spotterd.health.sysfs import text

JETPACKS = {"32": "4", "34": "5", "35": "5", "36": "6", "38": "7", "39": "7"}  # by release of L4T
OLDEST_JETPACK = 5  # the one before has Python 3.6
GPU_NODES = ("nvmap", "nvhost-ctrl", "nvhost-ctrl-gpu", "nvgpu/igpu0/ctrl", "nvidiactl", "nvidia0")
WORN_PERCENT = 80


def check_board(figures: BoardFigures, root: Path = Path("/")) -> Iterator[Finding]:
    """Nothing on a machine without an NVIDIA GPU."""
    if figures.model is None:
        return
    yield ok("board", figures.model)
    release = l4t_version(text(root / "etc/nv_tegra_release") or "")
    if release:
        yield _jetpack(release)
    cuda = _cuda_version(root)
    if cuda:
        yield ok("cuda", cuda)
    yield from _rights(root)
    yield from _power(figures)
    for flash in figures.flash:
        yield _flash(flash)


def _jetpack(release: str) -> Finding:
    number = JETPACKS.get(release.split(".", maxsplit=1)[0])
    said = f"Jetson Linux {release}" + (f", JetPack {number}" if number else "")
    if number and int(number) < OLDEST_JETPACK:
        return problem("jetpack", f"{said} is too old", "flash JetPack 6 or newer")
    return ok("jetpack", said)


def _cuda_version(root: Path) -> str | None:
    told = text(root / "usr/local/cuda/version.json")
    try:
        return str(json.loads(told)["cuda"]["version"]) if told else None
    except (ValueError, KeyError):
        return None


def _rights(root: Path) -> Iterator[Finding]:
    nodes = [root / "dev" / name for name in GPU_NODES if (root / "dev" / name).exists()]
    shut = [str(node) for node in nodes if not os.access(node, os.R_OK | os.W_OK)]
    if shut:
        remedy = "sudo usermod -aG video,render $USER, then log in again"
        yield problem("gpu", f"this user may not open {', '.join(shut)}", remedy)
    elif nodes:
        yield ok("gpu", f"{len(nodes)} device nodes may be opened")


def _power(figures: BoardFigures) -> Iterator[Finding]:
    if figures.power_mode:
        yield ok("power mode", f"{figures.power_mode} (`sudo nvpmodel -q` lists the others)")
    if figures.undervoltage_events:
        yield warning(
            "supply voltage",
            f"dropped too low {figures.undervoltage_events} times since boot",
            "use a stronger power supply and a shorter, thicker cable",
        )
    if figures.throttled_by:
        yield warning(
            "clocks",
            f"held down by {', '.join(figures.throttled_by)}",
            "cool the board better, or choose a lower power mode with nvpmodel",
        )


def _flash(flash: FlashWear) -> Finding:
    said = f"{flash.used_percent} % of its expected life is used"
    if flash.spare_is_low or flash.used_percent >= WORN_PERCENT:
        return warning(
            f"flash {flash.device}", said, "plan a new module; back up /etc/spotterd now"
        )
    return ok(f"flash {flash.device}", said)
