"""Engines of both worlds, from the file to outputs and back to nothing, on the stand-ins."""

import shutil

import numpy as np
import pytest
from onnx import TensorProto

from inference.trt_models import SIDE, build, doubling_model, open_plan, plan_file
from spotterd.builder.plan import Settings, build_plan
from spotterd.errors import BadInputError, FallBackError
from spotterd.inference.tensorrt import TrtEngine
from spotterd.inference.trt_world import world_of
from standins import pycuda_driver, trt10, trt11, trt_parts
from standins.gpu import stack

BOTH = pytest.mark.parametrize("trt", [trt10, trt11], ids=["trt10", "trt11"])
pytestmark = pytest.mark.usefixtures("device")


def opened(tmp_path, trt, model=None, side=SIDE, **engines):
    return open_plan(trt, plan_file(tmp_path, trt, model), side, **engines)


def once(backend, value):
    slot = backend.acquire()
    slot.input.fill(value)
    backend.submit(slot)
    backend.wait(slot)
    output = slot.outputs[0].copy()
    backend.release(slot)
    return output


@BOTH
def test_a_plan_is_loaded_run_and_unloaded_without_a_trace(tmp_path, device, trt):
    backend = opened(tmp_path, trt, slots=3)
    assert (backend.name, backend.device, backend.precision) == ("tensorrt", "Stand-in GPU", "fp32")
    assert device.retained == 1
    for value in (0.25, 0.5):
        assert (once(backend, value) == 2 * value).all()
    backend.close()
    assert (device.retained, device.used_bytes, device.pinned, device.graphs) == (0, 0, {}, {})
    assert stack() == []  # a context left current aborts the process at exit


@BOTH
def test_the_execution_context_is_destroyed_while_its_cuda_context_is_current(
    tmp_path, trt, monkeypatch
):
    current = []
    kind = trt_parts.IExecutionContext
    monkeypatch.setattr(kind, "__del__", lambda _self: current.append(len(stack())), raising=False)
    opened(tmp_path, trt).close()
    assert current == [1]


@BOTH
def test_memory_is_accounted(tmp_path, trt):
    backend = opened(tmp_path, trt, slots=2)
    plan = (tmp_path / "double.plan").stat().st_size
    slots = 2 * 2 * 3 * SIDE * SIDE * 4
    assert backend.device_bytes == plan + (1 << 20) + slots
    backend.close()
    assert backend.device_bytes == 0


@BOTH
def test_slots_never_move_over_10000_frames(tmp_path, trt):
    backend = opened(tmp_path, trt, doubling_model(4), side=4, slots=3)
    slots = [backend.acquire() for _ in range(3)]
    addresses = [(s.input.ctypes.data, s.outputs[0].ctypes.data) for s in slots]
    assert all(address % 4096 == 0 for pair in addresses for address in pair)
    for slot in slots:
        backend.release(slot)
    for count in range(10_000):
        slot = backend.acquire()
        slot.input.flat[0] = count
        backend.submit(slot)
        backend.wait(slot)
        assert slot.outputs[0].flat[0] == 2 * count
        backend.release(slot)
    assert [(s.input.ctypes.data, s.outputs[0].ctypes.data) for s in slots] == addresses
    assert pycuda_driver.counts["pageable"] == 0
    backend.close()


@BOTH
def test_half_inputs_and_outputs_are_converted_and_still_lent_as_float32(tmp_path, trt):
    backend = opened(tmp_path, trt, doubling_model(kind=TensorProto.FLOAT16))
    output = once(backend, 0.75)
    assert output.dtype == np.float32
    assert (output == 1.5).all()
    backend.close()


def dynamic(trt, low=16, high=64):
    def configure(builder, config):
        profile = builder.create_optimization_profile()
        shapes = [(1, 3, side, side) for side in (low, SIDE, high)]
        profile.set_shape("images", *shapes)
        config.add_optimization_profile(profile)

    return build(trt, doubling_model(sides=("h", "w"), batch="n"), configure)


@BOTH
def test_a_dynamic_engine_takes_the_wanted_size(tmp_path, trt):
    path = tmp_path / "dynamic.plan"
    path.write_bytes(dynamic(trt))
    backend = open_plan(trt, path, 48)
    assert once(backend, 1.0).shape == (1, 3, 48, 48)
    backend.close()


@BOTH
def test_a_size_outside_of_the_profile_is_refused_with_its_bounds(tmp_path, device, trt):
    path = tmp_path / "dynamic.plan"
    path.write_bytes(dynamic(trt))
    with pytest.raises(FallBackError, match=r"inputs from \(1, 3, 16, 16\) to \(1, 3, 64, 64\), "):
        open_plan(trt, path, 96)
    assert device.retained == 0


@BOTH
@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "Magic tag does not match"),
        (b"STANDIN-PLAN\x02\0\0\0{}", "deserialization failed"),
    ],
)
def test_a_broken_plan_is_refused_with_tensorrts_words(tmp_path, device, trt, content, words):
    path = tmp_path / "x.plan"
    path.write_bytes(content)
    with pytest.raises(FallBackError, match=rf"x\.plan cannot be loaded .*{words}.*built again"):
        open_plan(trt, path)
    assert device.retained == 0


def test_a_plan_of_the_other_world_is_refused(tmp_path):
    path = plan_file(tmp_path, trt10)
    with pytest.raises(FallBackError, match=r"expecting library version 11\.4\.0 got 10\.3\.0"):
        open_plan(trt11, path)


@BOTH
def test_an_engine_for_another_picture_is_refused(tmp_path, trt):
    with pytest.raises(FallBackError, match=r"not one picture of \(1, 3, 64, 64\)"):
        opened(tmp_path, trt, side=64)


@BOTH
def test_no_memory_for_scratch_says_how_much_was_wanted(tmp_path, device, trt):
    device.total_bytes = 1000
    with pytest.raises(FallBackError, match=r"its 1\.0 MiB of scratch memory .*smaller model"):
        opened(tmp_path, trt)
    assert device.retained == 0


@BOTH
def test_no_memory_for_slots_says_how_much_was_wanted(tmp_path, device, trt):
    device.total_bytes = (1 << 20) + 1000  # the stand-in takes no scratch memory, it only asks
    with pytest.raises(
        FallBackError, match=r"no memory for 16 slots \(1\.5 MiB wanted, 0 of 1 MiB are free: .*"
    ):
        opened(tmp_path, trt, doubling_model(64), 64, slots=16)
    assert (device.retained, device.used_bytes) == (0, 0)


def test_a_missing_plan_is_bad_input(tmp_path):
    with pytest.raises(BadInputError, match=r"Cannot read the engine .*gone\.plan"):
        open_plan(trt10, tmp_path / "gone.plan")


def test_nvidias_own_runtime_without_a_driver_says_so():
    rtx = pytest.importorskip("tensorrt_rtx_bindings", reason="NVIDIA's RTX wheels not installed")
    if shutil.which("nvidia-smi"):
        pytest.skip("there is a driver")
    world = world_of(rtx)
    model = doubling_model()
    plan = build_plan(world, model, Settings("fp32")).data
    with pytest.raises(FallBackError, match=r"cannot be loaded \(TensorRT-RTX .*no NVIDIA driver"):
        TrtEngine(world, plan, "double.plan", (SIDE, SIDE))
