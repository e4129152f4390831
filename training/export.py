"""Weights to ONNX, and the INT8 side: calibration ranges and a Q/DQ model to check the loss with.

`python -m training.export WEIGHTS.pt --out sky.onnx [--data DIR --ranges N]`
"""

from __future__ import annotations

import argparse
import hashlib
import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import torch
from onnxruntime.quantization import CalibrationMethod, QuantType
from onnxruntime.quantization.calibrate import (
    CalibrationDataReader,
    TensorData,
    TensorsData,
    create_calibrator,
)
from onnxruntime.quantization.qdq_quantizer import QDQQuantizer

from training import labels
from training.evaluate import letterbox
from training.net import Exported, Sky

OPSET = 17
LICENCE = "Apache-2.0"


def export(
    weights: Path, out: Path, *, version: str, shift: float = 0.0, dynamic: bool = False
) -> None:
    """Write the ONNX file: batch norm folded, 640x640, or any multiples of 32 where `dynamic`.

    `shift` is added to every class logit: it moves the score at which F1 is best to where the
    product's default threshold is, and changes no order and no AP.
    """
    state = torch.load(weights, map_location="cpu", weights_only=True)
    net = Sky(state["size"])
    net.load_state_dict(state["weights"])
    with torch.no_grad():
        for head in net.heads:
            head.score.bias += shift
    model = Exported(net).eval()
    axes = {"images": {2: "height", 3: "width"}, "output0": {2: "anchors"}}
    out.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model,
            (torch.zeros(1, 3, 640, 640),),
            str(out),
            opset_version=OPSET,
            dynamo=False,
            input_names=["images"],
            output_names=["output0"],
            dynamic_axes=axes if dynamic else None,
        )
    graph = onnx.load(out)
    facts = {
        "names": str(dict(enumerate(labels.NAMES))),
        "stride": "32",
        "task": "detect",
        "imgsz": "[640, 640]",
        "license": LICENCE,
        "version": version,
        "author": "spotterd",
        "description": f"sky-{state['size']}: aircraft and birds in the sky, seen from the ground",
    }
    for dim, known in zip(
        graph.graph.output[0].type.tensor_type.shape.dim, (1, 4 + len(labels.NAMES)), strict=False
    ):
        dim.dim_value = known
    for key, value in facts.items():
        entry = graph.metadata_props.add()
        entry.key, entry.value = key, value
    onnx.checker.check_model(graph)
    onnx.save(graph, out)


class Pictures(CalibrationDataReader):
    """Letterboxed pictures for ONNX Runtime's calibrator."""

    def __init__(self, paths: list[Path], side: int, name: str) -> None:
        self._feed = self._make(paths, side, name)

    @staticmethod
    def _make(paths: list[Path], side: int, name: str) -> Iterator[dict[str, np.ndarray]]:
        for path in paths:
            bgr = cv2.imread(str(path))
            yield {name: letterbox(bgr, side)[0]}

    def get_next(self) -> dict[str, np.ndarray] | None:
        """Give the next feed, or None at the end."""
        return next(self._feed, None)


def varied(data: Path, count: int) -> list[Path]:
    """Choose training pictures spread over all sources and clips."""
    coco = json.loads((data / "train.json").read_text())
    groups: dict[str, list[str]] = {}
    for entry in coco["images"]:
        name = entry["file_name"]
        kind = "_".join(name.split("_")[:2]) if name.startswith("V_") else name.split("_")[0]
        groups.setdefault(kind, []).append(name)
    chosen: list[str] = []
    for names in groups.values():
        at = np.linspace(0, len(names) - 1, max(1, count // len(groups))).round().astype(int)
        chosen += [names[i] for i in at]
    return [data / "images" / n for n in chosen]


def ranges(model: Path, paths: list[Path], side: int) -> dict[str, list[float]]:
    """Find symmetric activation ranges by entropy for every tensor that touches a convolution."""
    calibrator = create_calibrator(
        str(model),
        ["Conv"],
        augmented_model_path=str(model.with_suffix(".augmented.onnx")),
        calibrate_method=CalibrationMethod.Entropy,
        extra_options={"symmetric": True},
    )
    for i in range(
        0, len(paths), 4
    ):  # in small portions: the calibrator holds all tensors of a portion in memory
        calibrator.collect_data(Pictures(paths[i : i + 4], side, "images"))
    found = calibrator.compute_data()
    model.with_suffix(".augmented.onnx").unlink(missing_ok=True)
    return {
        name: [float(data.range_value[0]), float(data.range_value[1])]
        for name, data in found.data.items()
    }


def predictors(graph: onnx.ModelProto) -> list[str]:
    """Name the last 1x1 convolutions, whose outputs are scores and boxes: they stay in float."""
    return [
        n.name
        for n in graph.graph.node
        if n.op_type == "Conv" and n.name.endswith(("/score/Conv", "/box/Conv"))
    ]


def quantize(model: Path, found: dict[str, list[float]], out: Path) -> None:
    """Write a Q/DQ model: int8 symmetric, weights per channel, biases and tail in float."""
    graph = onnx.shape_inference.infer_shapes(onnx.load(model))
    data = TensorsData(
        CalibrationMethod.Entropy,
        {k: TensorData(lowest=np.float32(a), highest=np.float32(b)) for k, (a, b) in found.items()},
    )
    options: dict[str, Any] = {
        "ActivationSymmetric": True,
        "WeightSymmetric": True,
        "QuantizeBias": False,
        # What a ReLU follows is rounded once, behind the ReLU, as the next layer's input.
        "OpTypesToExcludeOutputQuantization": ["Conv"],
    }
    quantizer = QDQQuantizer(
        graph,
        per_channel=True,
        reduce_range=False,
        weight_qType=QuantType.QInt8,
        activation_qType=QuantType.QInt8,
        tensors_range=data,
        nodes_to_quantize=[],
        nodes_to_exclude=predictors(graph),
        op_types_to_quantize=["Conv"],
        extra_options=options,
    )
    quantizer.quantize_model()
    quantizer.model.save_model_to_file(str(out))


def calibrate(model: Path, data: Path, count: int) -> dict[str, list[float]]:
    """Calibrate a model on training pictures; write `<model>.ranges.json` and give the ranges."""
    paths = varied(data, count)
    found = ranges(model, paths, 640)
    facts = {
        "model_sha256": hashlib.sha256(model.read_bytes()).hexdigest(),
        "method": "entropy",
        "symmetric": True,
        "pictures": len(paths),
        "side": 640,
        "opset": OPSET,
        "float_nodes": predictors(onnx.load(model)),
        "ranges": found,
    }
    model.with_suffix(".ranges.json").write_text(json.dumps(facts, indent=1) + "\n")
    return found


def main() -> None:
    """Export, and calibrate when asked."""
    parser = argparse.ArgumentParser(prog="training.export", description=__doc__)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--version", default="1")
    parser.add_argument("--dynamic", action="store_true", help="leave height and width free")
    parser.add_argument("--shift", type=float, default=0.0, help="added to every class logit")
    parser.add_argument("--data", type=Path, help="data set, for --ranges")
    parser.add_argument("--ranges", type=int, default=0, help="calibrate with this many pictures")
    parser.add_argument("--int8", type=Path, help="also write a Q/DQ model here")
    args = parser.parse_args()
    export(args.weights, args.out, version=args.version, shift=args.shift, dynamic=args.dynamic)
    if args.ranges and args.data:
        found = calibrate(args.out, args.data, args.ranges)
        if args.int8:
            quantize(args.out, found, args.int8)


if __name__ == "__main__":
    main()
