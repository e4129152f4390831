"""Weights to ONNX: `python -m training.export WEIGHTS.pt --out sky.onnx`.

Ranges for INT8 are the product's business: `tools/ship_ranges.py`.
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path

import onnx
import torch

from training import labels
from training.net import Exported, Sky

OPSET = 17
LICENCE = "Apache-2.0"


def export(weights: Path, out: Path, *, version: str, shift: float = 0.0) -> None:
    """Write the ONNX file: batch norm folded, height and width any multiples of 32.

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
            dynamic_axes=axes,
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


def main() -> None:
    """Export."""
    parser = argparse.ArgumentParser(prog="training.export", description=__doc__)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--version", default="1")
    parser.add_argument("--shift", type=float, default=0.0, help="added to every class logit")
    args = parser.parse_args()
    export(args.weights, args.out, version=args.version, shift=args.shift)


if __name__ == "__main__":
    main()
