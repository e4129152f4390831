"""NVIDIA GPUs through NVML (package nvidia-ml-py): discrete cards, and Thor."""

from dataclasses import dataclass
from typing import Any

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class GpuFigures:
    """One sample of one GPU; None where this GPU does not tell (Thor shares the board's memory).

    Attributes:
        throttled: clocks are held down by heat or by a power brake.
    """

    name: str
    percent: float | None
    memory_used_mib: int | None
    memory_total_mib: int | None
    celsius: float | None
    watt: float | None
    mhz: int | None
    throttled: bool


class NvmlProbe:
    """An open NVML. Use `open_nvml`."""

    def __init__(self, nvml: Any) -> None:
        self._nvml = nvml
        self._gpus = [nvml.nvmlDeviceGetHandleByIndex(n) for n in range(nvml.nvmlDeviceGetCount())]

    def sample(self) -> tuple[GpuFigures, ...]:
        """Every GPU now, about a millisecond each."""
        return tuple(self._sample(gpu) for gpu in self._gpus)

    def close(self) -> None:
        """Let NVML go."""
        self._nvml.nvmlShutdown()

    def _sample(self, gpu: Any) -> GpuFigures:
        nvml = self._nvml
        memory = self._ask(nvml.nvmlDeviceGetMemoryInfo, gpu)
        load = self._ask(nvml.nvmlDeviceGetUtilizationRates, gpu)
        milliwatt = self._ask(nvml.nvmlDeviceGetPowerUsage, gpu)
        name = self._ask(nvml.nvmlDeviceGetName, gpu) or "GPU"  # one that fell off its bus
        reasons = self._ask(nvml.nvmlDeviceGetCurrentClocksThrottleReasons, gpu) or 0
        held = (
            nvml.nvmlClocksThrottleReasonHwSlowdown
            | nvml.nvmlClocksThrottleReasonSwThermalSlowdown
            | nvml.nvmlClocksThrottleReasonHwThermalSlowdown
            | nvml.nvmlClocksThrottleReasonHwPowerBrakeSlowdown
        )
        return GpuFigures(
            name=name.decode() if isinstance(name, bytes) else name,
            percent=float(load.gpu) if load else None,
            memory_used_mib=memory.used // MIB if memory else None,
            memory_total_mib=memory.total // MIB if memory else None,
            celsius=self._ask(nvml.nvmlDeviceGetTemperature, gpu, nvml.NVML_TEMPERATURE_GPU),
            watt=milliwatt / 1000 if milliwatt is not None else None,
            mhz=self._ask(nvml.nvmlDeviceGetClockInfo, gpu, nvml.NVML_CLOCK_SM),
            throttled=bool(reasons & held),
        )

    def _ask(self, question: Any, *arguments: Any) -> Any:
        """The answer, or None where this GPU does not support the question."""
        try:
            return question(*arguments)
        except self._nvml.NVMLError:
            return None


def open_nvml() -> NvmlProbe | None:
    """None without the package, the driver or a GPU."""
    try:
        import pynvml  # noqa: PLC0415 (only few machines have it)
    except ImportError:
        return None
    try:
        pynvml.nvmlInit()
        return NvmlProbe(pynvml)
    except pynvml.NVMLError:
        return None
