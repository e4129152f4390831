"""The two worlds are told apart by their features, and TensorRT's words reach our errors."""

import sys
import types

import pytest

from spotterd.errors import FallBackError
from spotterd.inference import trt_world
from standins import trt10, trt11

NAMES = trt_world.MODULES


def install(monkeypatch: pytest.MonkeyPatch, **modules: object) -> None:
    for name in NAMES:
        monkeypatch.setitem(sys.modules, name, modules.get(name))  # None: not importable


def test_the_first_world_calibrates_and_has_precision_flags(monkeypatch):
    install(monkeypatch, tensorrt=trt10)
    world = trt_world.need_world()
    assert world.name == "TensorRT 10.3.0"
    assert (world.has_calibrator, world.has_precision_flags, world.rtx) == (True, True, False)
    assert world.network_flags == 1  # explicit batch: TensorRT 8 refuses ONNX without it


def test_the_second_world_has_neither(monkeypatch):
    install(monkeypatch, tensorrt=trt11)
    world = trt_world.need_world()
    assert (world.has_calibrator, world.has_precision_flags, world.rtx) == (False, False, False)
    assert world.network_flags == 0


def test_rtx_is_found_by_its_own_name(monkeypatch):
    rtx = types.ModuleType("tensorrt_rtx")
    vars(rtx).update({k: v for k, v in vars(trt11).items() if k != "__name__"})
    install(monkeypatch, tensorrt_rtx=rtx)
    world = trt_world.need_world()
    assert world.rtx
    assert world.name == "TensorRT-RTX 11.4.0"


def test_none_is_no_error_until_it_is_needed(monkeypatch):
    install(monkeypatch)
    assert trt_world.find_world() is None
    with pytest.raises(FallBackError, match=r"TensorRT is not installed .*apt install"):
        trt_world.need_world()


def test_an_empty_folder_of_that_name_is_no_tensorrt(monkeypatch):
    install(monkeypatch, tensorrt=types.ModuleType("tensorrt"))
    assert trt_world.find_world() is None


@pytest.mark.parametrize("trt", [trt10, trt11])
def test_errors_carry_tensorrts_own_words_once(trt):
    world = trt_world.world_of(trt)
    world.log.take_errors()
    assert trt.Runtime(world.log.native).deserialize_cuda_engine(b"junk") is None
    error = world.error("Cannot load the engine x.plan", "It is built again.")
    assert str(error) == (
        f"Cannot load the engine x.plan ({world.name}: Magic tag does not match). "
        "It is built again."
    )
    assert world.log.take_errors() == ""


def test_warnings_and_verbose_lines_are_no_errors(caplog):
    world = trt_world.world_of(trt10)
    for severity in trt10.ILogger.Severity:
        world.log.native.log(severity, f"said at\n {severity.name}")
    assert world.log.take_errors() == "said at INTERNAL_ERROR; said at ERROR"


def test_a_flood_of_errors_stays_readable():
    world = trt_world.world_of(trt10)
    for count in range(100):
        world.log.native.log(trt10.ILogger.ERROR, f"{count}: " + "long " * 50)
    assert len(world.log.take_errors()) <= trt_world.ERROR_TEXT_CHARS


def test_the_real_rtx_bindings_speak_through_the_same_log():
    rtx = pytest.importorskip("tensorrt_rtx_bindings", reason="NVIDIA's RTX wheels not installed")
    world = trt_world.world_of(rtx)
    world.log.take_errors()
    builder = rtx.Builder(world.log.native)
    network = builder.create_network(world.network_flags)
    assert not rtx.OnnxParser(network, world.log.native).parse(b"junk")
    assert "Failed to parse the ONNX model" in str(world.error("Cannot read x.onnx", "Export it."))
