"""`spotterd evaluate` as it is typed, on a few pictures."""

import json
from pathlib import Path

import cv2
import numpy as np
from typer.testing import CliRunner

from spotterd.cli.main import app


def sky(folder: Path) -> Path:
    """Two pictures, one with a dark bar for an airplane, and their annotations."""
    empty = np.full((256, 320, 3), (235, 206, 135), np.uint8)
    craft = cv2.rectangle(empty.copy(), (100, 100), (160, 120), (40, 40, 40), -1)
    cv2.imwrite(str(folder / "empty.png"), empty)
    cv2.imwrite(str(folder / "craft.png"), craft)
    box = {"id": 1, "image_id": 2, "category_id": 0, "bbox": [100, 100, 61, 21]}
    tree = {
        "images": [{"id": 1, "file_name": "empty.png"}, {"id": 2, "file_name": "craft.png"}],
        "categories": [{"id": 0, "name": "airplane"}],
        "annotations": [box],
    }
    (folder / "sky.json").write_text(json.dumps(tree), encoding="utf-8")
    return folder / "sky.json"


def test_json_has_the_documented_shape(tmp_path: Path) -> None:
    asked = ["evaluate", "--images", str(tmp_path), "--annotations", str(sky(tmp_path)), "--json"]
    done = CliRunner().invoke(app, asked)
    assert done.exit_code == 0, done.output
    tree = json.loads(done.stdout)
    assert (tree["images"], tree["threshold"]) == (2, 0.35)
    fp32 = tree["precisions"]["fp32"]
    assert {"AP50", "AP", "F1", "false_alarms_per_100_empty", "ms_per_image"} <= set(fp32)
    assert set(fp32["per_class"]) == {"airplane", "helicopter", "drone", "bird"}
    assert set(fp32["per_class"]["airplane"]) == {"AP50", "AP", "F1"}
    assert fp32["by_size"]["medium"]["objects"] == 1


def test_the_table_names_every_figure(tmp_path: Path) -> None:
    asked = ["evaluate", "--images", str(tmp_path), "--annotations", str(sky(tmp_path))]
    done = CliRunner().invoke(app, asked)
    assert done.exit_code == 0, done.output
    for title in ("AP50", "F1", "craft_AP50", "airplane AP", "medium AP50 (1)", "ms an image"):
        assert title in done.stdout
