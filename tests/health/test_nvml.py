"""NVML through a stand-in with its names: a card, and a Thor that does not tell everything."""

import sys
from types import SimpleNamespace

import pytest

from spotterd.health.nvml import GpuFigures, open_nvml


class NVMLError(Exception):
    pass


def refuse(*_arguments: object) -> None:
    raise NVMLError


def card() -> SimpleNamespace:
    return SimpleNamespace(
        NVMLError=NVMLError,
        NVML_TEMPERATURE_GPU=0,
        NVML_CLOCK_SM=1,
        nvmlClocksThrottleReasonHwSlowdown=0x8,
        nvmlClocksThrottleReasonSwThermalSlowdown=0x20,
        nvmlClocksThrottleReasonHwThermalSlowdown=0x40,
        nvmlClocksThrottleReasonHwPowerBrakeSlowdown=0x80,
        nvmlInit=lambda: None,
        nvmlShutdown=lambda: None,
        nvmlDeviceGetCount=lambda: 1,
        nvmlDeviceGetHandleByIndex=lambda n: n,
        nvmlDeviceGetName=lambda gpu: b"NVIDIA RTX A2000",
        nvmlDeviceGetMemoryInfo=lambda gpu: SimpleNamespace(used=2 << 30, total=6 << 30),
        nvmlDeviceGetUtilizationRates=lambda gpu: SimpleNamespace(gpu=37),
        nvmlDeviceGetPowerUsage=lambda gpu: 31500,
        nvmlDeviceGetCurrentClocksThrottleReasons=lambda gpu: 0x40,
        nvmlDeviceGetTemperature=lambda gpu, sensor: 71,
        nvmlDeviceGetClockInfo=lambda gpu, clock: 1200,
    )


def test_a_card(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", card())
    probe = open_nvml()
    assert probe is not None
    assert probe.sample() == (
        GpuFigures("NVIDIA RTX A2000", 37.0, 2048, 6144, 71, 31.5, 1200, throttled=True),
    )
    probe.close()


def test_what_a_gpu_does_not_tell_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    thor = card()
    thor.nvmlDeviceGetName = lambda gpu: "NVIDIA Thor"
    for name in (
        "MemoryInfo",
        "PowerUsage",
        "Temperature",
        "ClockInfo",
        "CurrentClocksThrottleReasons",
    ):
        setattr(thor, f"nvmlDeviceGet{name}", refuse)
    monkeypatch.setitem(sys.modules, "pynvml", thor)
    probe = open_nvml()
    assert probe is not None
    assert probe.sample() == (
        GpuFigures("NVIDIA Thor", 37.0, None, None, None, None, None, throttled=False),
    )


def test_no_package_or_no_driver_is_no_probe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert open_nvml() is None
    no_driver = card()
    no_driver.nvmlInit = refuse
    monkeypatch.setitem(sys.modules, "pynvml", no_driver)
    assert open_nvml() is None


def test_a_card_that_fell_off_its_bus_ends_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    lost = card()
    monkeypatch.setitem(sys.modules, "pynvml", lost)
    probe = open_nvml()
    assert probe is not None
    for name in vars(lost):
        if name.startswith("nvmlDeviceGet"):
            setattr(lost, name, refuse)
    assert probe.sample() == (
        GpuFigures("GPU", None, None, None, None, None, None, throttled=False),
    )
    assert open_nvml() is None
