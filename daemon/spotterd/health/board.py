"""GPU, power and throttling of this board, from whichever way it tells."""

from dataclasses import dataclass
from pathlib import Path

from spotterd.health.jetson import JetsonFigures, Rail, read_jetson
from spotterd.health.nvml import GpuFigures, NvmlProbe, open_nvml
from spotterd.health.storage import FlashWear, flash_wear


@dataclass(frozen=True, slots=True)
class BoardFigures:
    """One sample; None or empty where the machine does not tell.

    Attributes:
        model: of a Jetson, or the name of the first GPU.
        gpu_percent: load of the (busiest) GPU.
        gpu_celsius: NVML's; a Jetson's is among the thermal zones.
        power_w: of the whole module, or of all GPUs.
        rails: a Jetson's supply rails.
        power_mode: nvpmodel's.
        throttled_by: what holds clocks down right now.
        undervoltage_events, overcurrent_events: since boot.
        flash: wear of eMMC.
    """

    model: str | None
    gpu_percent: float | None
    gpu_celsius: float | None
    power_w: float | None
    rails: tuple[Rail, ...]
    power_mode: str | None
    throttled_by: tuple[str, ...]
    undervoltage_events: int | None
    overcurrent_events: int | None
    flash: tuple[FlashWear, ...]


class BoardProbe:
    """Samples the board; one thread calls `sample`, some milliseconds each time.

    Args:
        root: of the file system; another one in tests.
    """

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root
        self._nvml: NvmlProbe | None = open_nvml()

    def sample(self) -> BoardFigures:
        """Everything now."""
        jetson = read_jetson(self._root)
        gpus = self._nvml.sample() if self._nvml else ()
        return combine(jetson, gpus, flash_wear(self._root / "sys"))


def combine(
    jetson: JetsonFigures | None, gpus: tuple[GpuFigures, ...], flash: tuple[FlashWear, ...]
) -> BoardFigures:
    """One board out of two ways to ask. A Jetson's sysfs goes first; NVML fills in (Thor)."""
    loads = [gpu.percent for gpu in gpus if gpu.percent is not None]
    watts = [gpu.watt for gpu in gpus if gpu.watt is not None]
    held = tuple(f"{gpu.name} (NVML)" for gpu in gpus if gpu.throttled)
    percent = max(loads, default=None)
    power_w = sum(watts) if watts else None
    if jetson is not None:
        percent = jetson.gpu_percent if jetson.gpu_percent is not None else percent
        power_w = jetson.input_milliwatt / 1000 if jetson.input_milliwatt is not None else None
    return BoardFigures(
        model=jetson.model if jetson else next((gpu.name for gpu in gpus), None),
        gpu_percent=percent,
        gpu_celsius=max((g.celsius for g in gpus if g.celsius is not None), default=None),
        power_w=power_w,
        rails=jetson.rails if jetson else (),
        power_mode=jetson.power_mode if jetson else None,
        throttled_by=(*(jetson.throttled_by if jetson else ()), *held),
        undervoltage_events=jetson.undervoltage_events if jetson else None,
        overcurrent_events=jetson.overcurrent_events if jetson else None,
        flash=flash,
    )
