"""What this machine is, as far as an engine built on it depends on it."""

import platform
import re
from dataclasses import dataclass
from pathlib import Path

from spotterd.inference.cuda import Gpu

# CPU features that decide which INT8 arithmetic is fast and exact.
INT8_FEATURES = ("avx2", "avx512_vnni", "avx_vnni", "asimddp", "i8mm")
VNNI = ("avx512_vnni", "avx_vnni")
X86 = ("x86_64", "AMD64")


@dataclass(frozen=True, slots=True)
class Device:
    """What runs an engine; the words go into the engine's identity.

    Attributes:
        name: of the GPU or CPU.
        capability: compute capability of the GPU, or INT8 features of the CPU.
        driver: of the GPU; "" for a CPU.
        system: L4T release; "" where there is none.
    """

    name: str
    capability: str
    driver: str = ""
    system: str = ""


def cpu(info: Path = Path("/proc/cpuinfo")) -> Device:
    """This machine's CPU."""
    text = _read(info)
    names = re.search(r"^(?:model name|Hardware|CPU part)\s*:\s*(.+)$", text, re.MULTILINE)
    flags = re.search(r"^(?:flags|Features)\s*:\s*(.+)$", text, re.MULTILINE)
    has = flags[1].split() if flags else []
    features = [feature for feature in INT8_FEATURES if feature in has]
    name = names[1].strip() if names else platform.machine()
    return Device(name, " ".join([platform.machine(), *features]))


def narrow_weights(device: Device) -> bool:
    """INT8 weights must do with 7 bits: x86 without VNNI adds two products in 16 bits."""
    return device.capability.startswith(X86) and not any(f in device.capability for f in VNNI)


def of_gpu(gpu: Gpu) -> Device:
    """The GPU, its driver and, on a Jetson, the L4T release."""
    driver = _read(Path("/proc/driver/nvidia/version")).splitlines()
    release = _read(Path("/etc/nv_tegra_release")).splitlines()
    return Device(
        gpu.name,
        gpu.capability,
        driver=" ".join(driver[0].split()) if driver else "",
        # The line begins "# R36 (release), REVISION: 4.3, GCID: ...": two parts are the release.
        system=" ".join(release[0].lstrip("# ").split(",")[:2]) if release else "",
    )


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
