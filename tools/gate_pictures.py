"""Make the pictures that judge engines: real craft, four to a picture, for `engines/gate/`.

    python tools/gate_pictures.py DATA [OUT]

`DATA` holds `images/` and `train.json` as in training/README.md. One craft a picture would take
four times as many pictures, and time at every first boot, for the same number of objects. Each
quarter is cut from another frame at its own scale; nothing is resized or drawn.
"""

import argparse
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np

QUARTER_WH = (320, 256)
COUNT = 32
QUALITY = 90
FREE = "V_"  # frames of the CC0 clips; the data set has others, too
LARGEST = 160  # pixels; a craft must fit into a quarter with some sky around it
BUNDLED = Path(__file__).parents[1] / "calibration"
OUT = Path(__file__).parents[1] / "engines" / "gate"


def main() -> None:
    """Choose, cut, write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path, nargs="?", default=OUT)
    args = parser.parse_args()
    tree = json.loads((args.data / "train.json").read_text())
    args.out.mkdir(parents=True, exist_ok=True)
    dice = np.random.default_rng(1)
    columns = [chosen(tree, item["id"]) for item in tree["categories"]]
    for number, frames in enumerate(zip(*columns, strict=True)):
        quarters = [quarter(args.data / "images", *frame, dice) for frame in frames]
        order = dice.permutation(len(quarters))
        a, b, c, d = (quarters[at] for at in order)
        picture = np.vstack([np.hstack([a, b]), np.hstack([c, d])])
        out = args.out / f"gate_{number:02d}.jpg"
        cv2.imwrite(str(out), picture, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    print(f"{COUNT} pictures in {args.out}, {COUNT * len(columns)} labelled objects")


def chosen(tree: dict[str, Any], category: int) -> list[tuple[str, list[float]]]:
    """As many frames as pictures, of as many clips as there are; none that is bundled already."""
    boxes = {a["image_id"]: a["bbox"] for a in tree["annotations"] if a["category_id"] == category}
    clips: dict[str, list[tuple[str, list[float]]]] = defaultdict(list)
    for image in tree["images"]:
        box = boxes.get(image["id"])
        name = image["file_name"]
        if box and name.startswith(FREE) and not (BUNDLED / name).exists() and fits(box):
            clips[image["clip"]].append((name, box))
    turns = -(-COUNT // len(clips))  # frames of each clip, spread over its length
    found = [
        frames[int(len(frames) * (turn + 0.5) / turns)]
        for turn in range(turns)
        for frames in clips.values()
    ]
    return found[:COUNT]


def fits(box: list[float]) -> bool:
    """Whether a quarter can hold it."""
    return max(box[2:]) <= LARGEST


def quarter(
    images: Path, name: str, box: list[float], dice: np.random.Generator
) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """A part of a frame with the craft somewhere in it."""
    frame = cv2.imread(str(images / name))
    corner = []
    for start, length, side, whole in zip(
        box[:2], box[2:], QUARTER_WH, frame.shape[1::-1], strict=True
    ):
        room = side - length
        wanted = start - dice.uniform(0.15, 0.85) * room
        corner.append(int(np.clip(wanted, 0, whole - side)))
    left, top = corner
    return frame[top : top + QUARTER_WH[1], left : left + QUARTER_WH[0]]


if __name__ == "__main__":
    main()
