"""`spotterd build`, `compare` and `evaluate` of all precisions, on a tiny model."""

import json
from pathlib import Path

import cv2
import pytest
import yaml
from typer.testing import CliRunner, Result

from builder.models import skies, sky, tiny
from spotterd.cli.main import app


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SPOTTERD_STATE_DIR", str(tmp_path / "state"))
    tree = {
        "detector": {"model": str(tiny(tmp_path / "tiny.onnx"))},
        "engines": {
            "backend": "onnxruntime",
            "precision": "int8",
            "calibration": str(skies(tmp_path / "pictures", 24)),
        },
    }
    file = tmp_path / "config.yaml"
    file.write_text(yaml.safe_dump(tree), encoding="utf-8")
    return file


def spotterd(*arguments: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_build_builds_once_and_says_what_it_is(config: Path) -> None:
    first = spotterd("build", "--config", config, "--json")
    assert first.exit_code == 0, first.output
    told = json.loads(first.stdout)
    assert {"key", "backend", "precision", "built", "seconds", "bytes", "gate", "path"} <= set(told)
    assert (told["backend"], told["precision"], told["built"]) == ("onnxruntime", "int8", True)
    assert told["gate"]["recall"] >= 0.95
    assert Path(told["path"]).stat().st_size == told["bytes"]

    again = json.loads(spotterd("build", "--config", config, "--json").stdout)
    assert again == told | {"built": False}
    table = spotterd("build", "--config", config).stdout
    assert "loaded; nothing to build" in table
    assert "INT8 is proven: recall" in table
    assert "found: square" in table

    forced = json.loads(spotterd("build", "--config", config, "--json", "--force").stdout)
    assert forced["built"] is True
    assert forced["key"] == told["key"]


def test_fp32_on_onnx_runtime_needs_no_building(config: Path, tmp_path: Path) -> None:
    told = json.loads(spotterd("build", "--config", config, "--precision", "fp32", "--json").stdout)
    assert (told["precision"], told["built"], told["gate"]) == ("fp32", False, None)
    assert told["path"] == str(tmp_path / "tiny.onnx")
    assert not list((tmp_path / "state").rglob("*.json"))


def test_build_of_nonsense(config: Path) -> None:
    assert spotterd("build", "--config", config, "--precision", "int4").exit_code != 0


def test_compare_draws_both_and_tells_the_difference(config: Path, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "one.png"), sky(3))
    video = cv2.VideoWriter(
        str(tmp_path / "two.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 10, (128, 128)
    )
    for seed in range(3):
        video.write(sky(seed))
    video.release()
    out = tmp_path / "out"
    done = spotterd(
        "compare", tmp_path / "one.png", tmp_path / "two.mp4",
        "--out", out, "--config", config, "--json",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert (told["pictures"], told["precision"]) == (4, "int8")
    assert told["recall"] >= 0.9
    assert told["ms"] > 0
    picture = cv2.imread(str(out / "one.png"))
    assert picture.shape == (128 + 32, 256, 3)
    copy = cv2.VideoCapture(str(out / "two.mp4"))
    assert copy.get(cv2.CAP_PROP_FRAME_COUNT) == 3
    assert copy.get(cv2.CAP_PROP_FRAME_WIDTH) == 256


def test_evaluate_puts_precisions_side_by_side(config: Path, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "one.png"), sky(3))
    tree = {
        "images": [{"id": 1, "file_name": "one.png"}],
        "categories": [{"id": 0, "name": "square"}],
        "annotations": [{"id": 1, "image_id": 1, "category_id": 0, "bbox": [4, 4, 16, 16]}],
    }
    (tmp_path / "truth.json").write_text(json.dumps(tree))
    asked = ["--images", tmp_path, "--annotations", tmp_path / "truth.json", "--config", config]
    done = spotterd("evaluate", *asked, "--precision", "fp32,fp16,int8", "--json")
    assert done.exit_code == 0, done.output
    assert list(json.loads(done.stdout)["precisions"]) == ["fp32", "fp16", "int8"]
    bad = spotterd("evaluate", *asked, "--precision", "int4")
    assert "Unknown precision 'int4'" in str(bad.exception)
