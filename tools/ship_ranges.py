"""Make `MODEL.ranges.json`: calibration ranges to ship with a model, and what they are worth.

    python tools/ship_ranges.py engines/sky.onnx DATA

`DATA` holds `images/`, `train.json` and `val.json` as in training/README.md. The ranges are
measured on pictures of the training split, by the very code that calibrates on a board; the proofs
on the whole validation split, AP50 of FP32 and of each INT8 form side by side, at the model's own
input size and, where it takes any, at those of usual cameras. Takes a quarter of an hour on two
cores, four times that for `sky-s`. Overwrites the file; run it whenever the model has changed.
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import onnx
import onnxruntime as ort

from spotterd.builder.agreement import LENIENT
from spotterd.builder.calibration import TRIAL_SCORE, Calibration
from spotterd.builder.graph import load
from spotterd.builder.identity import BUILDER_VERSION
from spotterd.builder.make_onnx import form_name
from spotterd.builder.pictures import MOST_CALIBRATING
from spotterd.builder.proof import Proof
from spotterd.builder.quantize import for_cpu
from spotterd.builder.ranges import Ranges
from spotterd.builder.score import Score, score
from spotterd.builder.sources import Sources
from spotterd.builder.store import Store
from spotterd.builder.truth import Labelled, load_truth, look
from spotterd.cli.common import progress
from spotterd.config.schema import Detector as Settings
from spotterd.errors import BadInputError
from spotterd.inference.base import ModelInfo
from spotterd.inference.detector import Detector
from spotterd.inference.model import inspect
from spotterd.inference.onnx import OnnxBackend

LOWEST_SCORE = 0.01  # average precision looks at the whole curve
MOST_DETECTIONS = 100  # a picture, as COCO counts
# Heights and widths of inputs for pictures of 16:9, 4:3 and 5:4, with hardly a grey bar.
SHAPES = ((384, 640), (480, 640), (512, 640))


def main() -> None:
    """Measure, prove, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=Path)
    parser.add_argument("data", type=Path)
    args = parser.parse_args()
    pictures = varied(args.data, MOST_CALIBRATING)
    with TemporaryDirectory() as scratch:
        ranges = measured(args.model, pictures, Path(scratch))
        proofs = proven(args.model, args.data, ranges, Path(scratch))
    shipped = ranges.model_copy(update={"proofs": proofs})
    out = args.model.with_suffix(".ranges.json")
    out.write_text(json.dumps(shipped.model_dump(mode="json"), indent=1) + "\n", encoding="utf-8")
    for proof in proofs:
        print(f"{proof.form}, {proof.input_hw}: {proof.words}: {proof.problem or 'it holds'}")
    print(f"wrote {out}, {ranges.method} ranges of {ranges.pictures} pictures")


def varied(data: Path, count: int) -> list[Path]:
    """Training pictures, as many of each source: a clip, or a collection of photographs."""
    tree = json.loads((data / "train.json").read_text(encoding="utf-8"))
    sources: dict[str, list[str]] = defaultdict(list)
    for image in tree["images"]:
        name = image["file_name"]
        sources[image.get("clip") or name.split("_")[0]].append(name)
    turns = -(-count // len(sources))
    names = [
        files[int(len(files) * (turn + 0.5) / turns)]
        for turn in range(turns)
        for files in sources.values()
    ]
    step = len(names) / count
    return [data / "images" / names[int(at * step)] for at in range(count)]


def measured(model: Path, pictures: list[Path], scratch: Path) -> Ranges:
    """As a board does it, choosing between entropy and extremes by what INT8 then sees."""
    backend = OnnxBackend(model)
    seen = Settings()
    lowest = LENIENT * TRIAL_SCORE
    reference = Detector(backend, backend.model.labels, lowest, seen.iou, MOST_DETECTIONS)
    found = Sources(tuple(pictures), own=True, judging=(), ranges=None, problem="")
    calibration = Calibration(reference, model, found, Store(scratch, 1 << 40), "shipped")
    try:
        with progress("calibrating") as show:
            return calibration.ranges(partial(for_cpu, narrow=False), show)
    finally:
        backend.close()


def sizes(model: Path) -> list[ModelInfo]:
    """The model at its own input size and, where it takes any, at those of usual cameras."""
    infos = [inspect(model)]
    with suppress(BadInputError):  # its size is fixed
        infos += [inspect(model, shape) for shape in SHAPES]
    return infos


def proven(model: Path, data: Path, ranges: Ranges, scratch: Path) -> tuple[Proof, ...]:
    """Evaluate FP32 once at each size, and each form of INT8."""
    return tuple(
        proof for info in sizes(model) for proof in proven_at(model, info, data, ranges, scratch)
    )


def proven_at(
    model: Path, info: ModelInfo, data: Path, ranges: Ranges, scratch: Path
) -> Iterator[Proof]:
    """As `proven`, at the input size in `info`."""
    truth = load_truth(data / "images", data / "val.json", info.labels)
    shape = "{1}x{0}".format(*info.input_hw)
    plain = evaluated(model, info, truth, f"fp32, {shape}")
    for narrow in (False, True):
        form = form_name(narrow=narrow)
        path = scratch / "form.onnx"
        onnx.save(for_cpu(load(model, info.input_hw), ranges.ranges, narrow=narrow), path)
        int8 = evaluated(path, info, truth, f"{form}, {shape}")
        yield Proof(
            form=form,
            builder=BUILDER_VERSION,
            input_hw=info.input_hw,
            pictures=len(truth),
            objects=sum(len(item.boxes) for item in truth),
            ap50_fp32=plain.AP50 or 0.0,
            ap50_int8=int8.AP50 or 0.0,
            ap50_by_class={
                name: (both.AP50 or 0.0, int8.per_class[name].AP50 or 0.0)
                for name, both in plain.per_class.items()
            },
            runtime=f"onnxruntime {ort.__version__}",
        )


def evaluated(path: Path, info: ModelInfo, truth: list[Labelled], name: str) -> Score:
    """AP of a network on the labelled pictures."""
    seen = Settings()
    backend = OnnxBackend(path, input_hw=info.input_hw)
    try:
        with progress(name) as show:
            found, _ = look(
                Detector(backend, info.labels, LOWEST_SCORE, seen.iou, MOST_DETECTIONS),
                [item.path for item in truth],
                lambda done: show(done / len(truth), f"picture {done} of {len(truth)}"),
            )
    finally:
        backend.close()
    return score(truth, found, info.labels, seen.score, 0.0)


if __name__ == "__main__":
    main()
