"""`tools/ship_ranges.py`: ranges and proofs of a model, as its maker ships them."""

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import cv2
import numpy as np
import pytest

from builder.models import CELL, SIDE, sky, tiny
from spotterd.builder.make_onnx import form_name
from spotterd.builder.ranges import shipped_ranges
from spotterd.inference.model import inspect
from spotterd.inference.open import model_path

TOOL = Path(__file__).parents[2] / "tools" / "ship_ranges.py"


def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("ship_ranges", TOOL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def squares(picture: np.ndarray) -> list[list[int]]:
    """Boxes of 16 pixels around what the tiny model sees."""
    dark = (picture.mean(axis=2) < 60).astype(np.uint8)
    _, _, stats, _ = cv2.connectedComponentsWithStats(dark)
    return [[int(x) - 4, int(y) - 4, 16, 16] for x, y, w, h, _ in stats[1:] if w == h == CELL]


def coco(folder: Path, name: str, seeds: range) -> None:
    tree: dict[str, list] = {"images": [], "annotations": [], "categories": []}
    tree["categories"].append({"id": 0, "name": "square"})
    (folder / "images").mkdir(parents=True, exist_ok=True)
    for seed in seeds:
        picture = sky(seed)
        cv2.imwrite(str(folder / "images" / f"sky{seed}.png"), picture)
        tree["images"].append({"id": seed, "file_name": f"sky{seed}.png", "clip": f"c{seed % 5}"})
        for box in squares(picture):
            number = len(tree["annotations"])
            tree["annotations"].append(
                {"id": number, "image_id": seed, "category_id": 0, "bbox": box}
            )
    (folder / name).write_text(json.dumps(tree))


def test_a_board_finds_ranges_and_proofs_of_both_forms(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tiny(tmp_path / "tiny.onnx")
    coco(tmp_path, "train.json", range(1, 13))
    coco(tmp_path, "val.json", range(50, 60))
    monkeypatch.setattr(sys, "argv", ["ship_ranges.py", str(model), str(tmp_path)])
    tool().main()
    info = inspect(model)
    found = shipped_ranges(model, info.sha256)
    assert found is not None
    for narrow in (False, True):
        proof = found.proof(form_name(narrow=narrow), (SIDE, SIDE))
        assert proof is not None
        assert (proof.pictures, proof.objects) == (10, 60)
        assert proof.ap50_fp32 > 0.9
        assert proof.problem == ""
        assert not proof.enough, "60 objects do not show a loss of 1 %"
    assert found.proof(form_name(narrow=False), (64, 64)) is None
    assert "60 labelled objects" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["sky", "sky-s"])
def test_the_bundled_models_ship_proofs_for_the_shapes_of_usual_cameras(name: str) -> None:
    model = model_path(name)
    found = shipped_ranges(model, inspect(model).sha256)
    assert found is not None
    for info in tool().sizes(model):
        for narrow in (False, True):
            proof = found.proof(form_name(narrow=narrow), info.input_hw)
            assert proof is not None, info.input_hw
            assert proof.enough
            assert proof.problem == ""
    assert len(found.proofs) == 8
