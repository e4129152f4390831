"""INT8 and FP16 forms of a network: what is in them, and that NVIDIA's own parser takes them."""

import json
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest

from builder.models import SIDE, sky, tiny
from spotterd.builder.graph import layout, load, prepared
from spotterd.builder.halve import halve
from spotterd.builder.measure import by_entropy, by_extremes, measure
from spotterd.builder.plan import Settings, build_plan
from spotterd.builder.quantize import for_cpu, for_tensorrt
from spotterd.builder.ranges import Ranges
from spotterd.errors import FallBackError
from spotterd.inference.trt_world import World, find_world
from spotterd.paths import shipped
from tiny_models import sees_dark

LIMITS = dict.fromkeys(("r0", "r1", "r2", "r3"), (0.0, 1.0)) | {
    f"c{n}": (-1.0, 1.0) for n in range(4)
}


@pytest.fixture
def model(tmp_path: Path) -> onnx.ModelProto:
    return onnx.load(tiny(tmp_path / "tiny.onnx"))


def run(model: onnx.ModelProto, seed: int = 0) -> np.ndarray:
    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(model.SerializeToString(), options)
    picture = np.ascontiguousarray(sky(seed).transpose(2, 0, 1)[None].astype(np.float32) / 255)
    return session.run(None, {"images": picture})[0]


def test_first_last_and_decoding_stay_float(model: onnx.ModelProto) -> None:
    found = layout(prepared(model))
    assert len(found.quantizable) == 3
    assert found.inputs == ("r0", "r1", "r2")
    kinds = {n.name: n.op_type for n in prepared(model).graph.node}
    assert [kinds[name] for name in found.tail] == ["Reshape", "Concat", "Sigmoid", "Concat"]
    assert [kinds[name] for name in found.float_nodes].count("Conv") == 2


def test_a_network_without_such_convolutions_is_told_so(tmp_path: Path) -> None:
    with pytest.raises(FallBackError, match="no convolution that INT8 could replace"):
        for_cpu(load(sees_dark(tmp_path / "dark.onnx"), (64, 96)), {}, narrow=False)


def kinds_of(model: onnx.ModelProto) -> set[int]:
    """Types of all zero points."""
    zeros = {
        node.input[2]
        for node in model.graph.node
        if node.op_type == "QuantizeLinear" and len(node.input) > 2
    }
    return {t.data_type for t in model.graph.initializer if t.name in zeros}


def test_the_form_for_tensorrt_is_symmetric_int8_without_bias(model: onnx.ModelProto) -> None:
    made = for_tensorrt(model, LIMITS)
    count = Counter(node.op_type for node in made.graph.node)
    assert (count["QuantizeLinear"], count["DequantizeLinear"]) == (3, 6)
    assert kinds_of(made) == {onnx.TensorProto.INT8}
    zeros = [t for t in made.graph.initializer if t.name.endswith("zero_point")]
    assert not any(onnx.numpy_helper.to_array(t).any() for t in zeros)
    scales = {t.name: onnx.numpy_helper.to_array(t) for t in made.graph.initializer}
    assert scales["w1_scale"].shape == (4,), "per-channel weights"
    assert not [t for t in made.graph.initializer if t.data_type == onnx.TensorProto.INT32]


def test_the_form_for_cpus_is_uint8_by_int8(model: onnx.ModelProto) -> None:
    assert kinds_of(for_cpu(model, LIMITS, narrow=False)) == {onnx.TensorProto.UINT8}


@pytest.mark.parametrize("narrow", [False, True])
def test_int8_for_cpus_sees_what_fp32_sees(model: onnx.ModelProto, narrow: bool) -> None:
    made = for_cpu(model, LIMITS, narrow=narrow)
    assert np.abs(run(made) - run(model)).max() < 0.1


def test_int8_for_tensorrt_sees_what_fp32_sees(model: onnx.ModelProto) -> None:
    assert np.abs(run(for_tensorrt(model, LIMITS)) - run(model)).max() < 0.1


@pytest.mark.parametrize("quantized", [False, True])
def test_fp16_keeps_float32_inputs_outputs_and_decoding(
    model: onnx.ModelProto, quantized: bool
) -> None:
    made = halve(for_tensorrt(model, LIMITS) if quantized else model)
    ends = [*made.graph.input, *made.graph.output]
    assert {v.type.tensor_type.elem_type for v in ends} == {onnx.TensorProto.FLOAT}
    weights = {t.name: t.data_type for t in made.graph.initializer}
    assert weights["w0"] == onnx.TensorProto.FLOAT16
    assert weights["boxes"] == onnx.TensorProto.FLOAT, "box centres keep their fractions"
    assert np.abs(run(made) - run(model)).max() < 0.1
    casts = Counter(n.op_type for n in made.graph.node)["Cast"]
    assert casts == 2, "in, and out of the last convolution; no detours"


def test_networks_of_old_opsets_are_brought_forward(model: onnx.ModelProto) -> None:
    model.opset_import[0].version = 11  # no scales by channel yet
    assert np.abs(run(for_cpu(model, LIMITS, narrow=False)) - run(model)).max() < 0.1


def test_what_has_no_range_stays_float(model: onnx.ModelProto) -> None:
    for known in (
        for_tensorrt(model, {"r0": (0, 1), "r1": (0, 1)}),
        for_cpu(model, {n: r for n, r in LIMITS.items() if n != "c3"}, narrow=False),
    ):
        count = Counter(node.op_type for node in known.graph.node)
        assert count["QuantizeLinear"] >= 2
        assert np.abs(run(known) - run(model)).max() < 0.1


def test_ranges_of_another_network_are_refused(model: onnx.ModelProto) -> None:
    for limits in ({}, {"r0": (0.0, 1.0)}, {"x": (0.0, 1.0)}):
        with pytest.raises(FallBackError, match="of 3 convolutions that INT8 could replace"):
            for_tensorrt(model, limits)


def test_ranges_are_measured_one_picture_at_a_time(model: onnx.ModelProto) -> None:
    alive: list[np.ndarray] = []

    def pictures():
        lent = np.empty((1, 3, SIDE, SIDE), np.float32)
        for seed in range(5):
            lent[0] = sky(seed).transpose(2, 0, 1) / 255
            alive.append(lent)
            yield lent

    done: list[int] = []
    histograms = measure(model, pictures(), done.append)
    assert done == [1, 2, 3, 4, 5]
    assert set(histograms) == set(layout(prepared(model)).activations)
    extremes = by_extremes(histograms)
    for name, (low, high) in by_entropy(histograms).items():
        assert extremes[name][0] <= low <= 0 <= high <= extremes[name][1]
    assert 0.9 < extremes["r3"][1] <= 1


def test_ranges_survive_their_file(tmp_path: Path) -> None:
    ranges = Ranges(model_sha256="ab", method="entropy", pictures=3, ranges={"x": (-0.125, 1.5)})
    tree = json.loads(ranges.model_dump_json())
    assert tree["ranges"] == {"x": [-0.125, 1.5]}
    assert Ranges.model_validate_json(ranges.model_dump_json()) == ranges


# NVIDIA's real parser and builder, which need no GPU (TensorRT for RTX, from pip).


@pytest.fixture
def nvidia() -> World:
    pytest.importorskip("tensorrt_rtx_bindings", reason="pip install 'spotterd[nvidia-ci]'")
    world = find_world()
    if world is None or not world.rtx:
        pytest.skip("another TensorRT is installed")
    return world


@pytest.fixture(scope="module")
def bundled() -> onnx.ModelProto:
    return load(shipped("engines/sky.onnx"), (640, 640))


def test_layers_on_large_maps_stay_float(bundled: onnx.ModelProto) -> None:
    model = prepared(bundled)
    found = layout(model)
    shapes = {v.name: v.type.tensor_type.shape.dim for v in model.graph.value_info}
    side = {n.name: shapes[n.output[0]] for n in model.graph.node if n.output[0] in shapes}
    assert {side[name][2].dim_value for name in found.quantizable} == {80, 40, 20}


def in_form(model: onnx.ModelProto, precision: str) -> bytes:
    """As the road of strongly typed networks makes it."""
    if precision == "int8":
        # For the parser any positive range does; accuracy is the gate's business.
        model = for_tensorrt(model, dict.fromkeys(layout(prepared(model)).activations, (-6.0, 6.0)))
    return (model if precision == "fp32" else halve(model)).SerializeToString()


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_nvidias_builder_takes_the_bundled_model(
    nvidia: World, bundled: onnx.ModelProto, precision: str
) -> None:
    plan = build_plan(nvidia, in_form(bundled, precision), Settings(precision))
    assert len(plan.data) > 1_000_000


@pytest.mark.parametrize("precision", ["fp32", "fp16", "int8"])
def test_nvidias_builder_takes_a_model_of_open_size(
    nvidia: World, tmp_path: Path, precision: str
) -> None:
    model = load(tiny(tmp_path / "open.onnx", dynamic=True), (192, 256))
    assert build_plan(nvidia, in_form(model, precision), Settings(precision)).data


def test_nvidias_parser_refuses_the_form_for_cpus(nvidia: World, bundled: onnx.ModelProto) -> None:
    limits = dict.fromkeys(layout(prepared(bundled)).activations, (-6.0, 6.0))
    made = for_cpu(bundled, limits, narrow=False)
    with pytest.raises(FallBackError, match="UINT8"):
        build_plan(nvidia, made.SerializeToString(), Settings("int8"))
