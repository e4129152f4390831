"""How worn the board's flash is: eMMC tells it in sysfs, SD cards do not tell, NVMe tells root."""

from dataclasses import dataclass
from pathlib import Path

from spotterd.health.sysfs import text


@dataclass(frozen=True, slots=True)
class FlashWear:
    """One eMMC.

    Attributes:
        device: "mmcblk0".
        used_percent: of the expected life, upper end of the ten percent step that the JEDEC
            standard counts in (EXT_CSD DEVICE_LIFE_TIME_EST); the worse of its two kinds of memory.
        spare_is_low: the reserve of good blocks is mostly used (PRE_EOL_INFO).
    """

    device: str
    used_percent: int
    spare_is_low: bool


def flash_wear(sys: Path = Path("/sys")) -> tuple[FlashWear, ...]:
    """Every eMMC that tells."""
    found = []
    for folder in sorted((sys / "class/block").glob("mmcblk?")):
        tenths = [int(part, 16) for part in (text(folder / "device/life_time") or "").split()]
        if any(tenths):  # 0: not defined
            low = int(text(folder / "device/pre_eol_info") or "0", 16) > 1
            found.append(FlashWear(folder.name, min(max(tenths) * 10, 110), low))
    return tuple(found)
