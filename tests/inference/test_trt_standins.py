"""The stand-ins keep to NVIDIA's API: what they build loads, runs and calibrates."""

import inspect

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from standins import trt10, trt11
from standins.gpu import fresh, gpu

WORLDS = pytest.mark.parametrize("trt", [trt10, trt11])


def doubling_model(side: int = 4, batch: int | str = 1) -> bytes:
    """(batch, 3, side, side) -> the same, doubled."""
    shape = [batch, 3, side, side]
    two = helper.make_tensor("two", TensorProto.FLOAT, [], [2.0])
    graph = helper.make_graph(
        [helper.make_node("Mul", ["images", "two"], ["output0"])],
        "double",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("output0", TensorProto.FLOAT, shape)],
        [two],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    return model.SerializeToString()


@pytest.fixture(autouse=True)
def _device():
    fresh()


def build(trt, model: bytes, configure=lambda config: None):
    logger = trt.Logger()
    builder = trt.Builder(logger)
    network = builder.create_network(0)
    assert trt.OnnxParser(network, logger).parse(model)
    config = builder.create_builder_config()
    configure(config)
    return builder.build_serialized_network(network, config)


@WORLDS
def test_a_plan_runs_the_network_on_its_stream(trt):
    plan = build(trt, doubling_model())
    engine = trt.Runtime(trt.Logger()).deserialize_cuda_engine(plan)
    names = [engine.get_tensor_name(i) for i in range(engine.num_io_tensors)]
    assert names == ["images", "output0"]
    context = engine.create_execution_context()
    nbytes = 3 * 4 * 4 * 4
    addresses = {name: gpu.alloc(nbytes) for name in names}
    for name, address in addresses.items():
        assert context.set_tensor_address(name, address)
    gpu.bytes_at(addresses["images"], nbytes).view(np.float32)[:] = 1.5
    stream = gpu.new_stream()
    assert context.execute_async_v3(stream.handle)
    assert stream.mark().wait(5)
    assert (gpu.bytes_at(addresses["output0"], nbytes).view(np.float32) == 3.0).all()


def test_a_plan_of_one_world_is_refused_by_the_other(capsys):
    plan = build(trt10, doubling_model())
    assert trt11.Runtime(trt11.Logger()).deserialize_cuda_engine(plan) is None
    assert "please rebuild" in capsys.readouterr().out


def test_the_first_world_reads_every_calibration_batch():
    batches = [np.full((1, 3, 4, 4), v, np.float32) for v in (0.25, 0.75)]

    class Calibrator(trt10.IInt8EntropyCalibrator2):
        def __init__(self):
            self.address = gpu.alloc(batches[0].nbytes)
            self.left = list(batches)
            self.cache = b""

        def get_batch_size(self):
            return 1

        def get_batch(self, names):
            if not self.left:
                return None
            batch = self.left.pop()
            gpu.bytes_at(self.address, batch.nbytes)[:] = batch.view(np.uint8).reshape(-1)
            return [self.address]

        def read_calibration_cache(self):
            return None

        def write_calibration_cache(self, cache):
            self.cache = cache

    calibrator = Calibrator()

    def configure(config):
        config.set_flag(trt10.BuilderFlag.INT8)
        config.int8_calibrator = calibrator

    assert build(trt10, doubling_model(), configure)
    assert calibrator.cache == b'{"images": [0.25, 0.75]}'


def test_int8_without_a_calibrator_builds_nothing():
    flag = lambda config: config.set_flag(trt10.BuilderFlag.INT8)  # noqa: E731
    assert build(trt10, doubling_model(), flag) is None


def test_an_unknown_address_is_an_illegal_access():
    plan = build(trt10, doubling_model())
    context = trt10.Runtime(trt10.Logger()).deserialize_cuda_engine(plan).create_execution_context()
    context.set_tensor_address("images", 0xDEAD)
    context.set_tensor_address("output0", 0xBEEF)
    stream = gpu.new_stream()
    assert context.execute_async_v3(stream.handle)
    assert stream.mark().wait(5)
    assert gpu.error == "CUDA_ERROR_ILLEGAL_ADDRESS"


def test_names_exist_in_the_real_bindings():
    """What the second world's stand-in offers, NVIDIA's RTX bindings offer, too."""
    rtx = pytest.importorskip("tensorrt_rtx_bindings", reason="NVIDIA's RTX wheels not installed")
    own = {"IHostMemory", "ITimingCache"}  # found under the same name, made by other calls
    for name in trt11.__all__:
        real, ours = getattr(rtx, name), getattr(trt11, name)
        if not inspect.isclass(ours) or name in own:
            continue
        for attribute, value in vars(ours).items():
            if callable(value) and not attribute.startswith("_") and attribute != "prepare":
                assert hasattr(real, attribute), f"{name}.{attribute}"


def test_the_model_is_valid_onnx():
    onnx.checker.check_model(onnx.load_from_string(doubling_model()))
