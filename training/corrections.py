"""What the labels of the data set lack, and a copy of the validation split that has it.

One object a frame is labelled in the clips, nothing in the first frame of a drone clip, and little
in some bird clips. `corrections/*.json` holds, by picture, what we found by looking at everything
that version 2 of the network saw beside the labels (score 0.15 and above, 2,124 places):

- `boxes`: class, x, y, w, h of craft and birds, with the clips' margin. Boxes were drawn around
  what stands out from the sky, plus 20 px as in the clips' own labels (4 of 272: the network's);
- `ignored`: specks that nobody could name, x, y, w, h: they teach and count nothing;
- `alarms`: what is no craft: lamps, aerials, posts, cloud edges, compression noise.

Training uses all of it. The validation split's own labels stay what figures are given on; beside
them stand those on the corrected copy: `python -m training.corrections DATA OUT` writes
`OUT/val.json` and a link to the pictures, for
`spotterd evaluate --images OUT/images --annotations OUT/val.json`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from training.data import corrected


def main() -> None:
    """Write the corrected validation split."""
    parser = argparse.ArgumentParser(prog="training.corrections", description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    coco = corrected(json.loads((args.data / "val.json").read_text()), "val")
    for entry in coco["images"]:
        del entry["ignored"], entry["alarms"]
    (args.out / "val.json").write_text(json.dumps(coco))
    images = args.out / "images"
    if not images.exists():
        images.symlink_to((args.data / "images").resolve())
    print(f"{args.out / 'val.json'}: {len(coco['annotations'])} boxes")


if __name__ == "__main__":
    main()
