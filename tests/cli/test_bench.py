"""`spotterd bench`: one short round on a tiny model, and the numbers it must tell."""

import json
from pathlib import Path

import yaml
from typer.testing import CliRunner

import tiny_models
from brokers import free_port
from spotterd.cli.main import app
from spotterd.errors import RetryError


def test_a_round_tells_efficiency_stages_and_memory(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("SPOTTERD_STATE_DIR", str(tmp_path))
    model = tiny_models.sees_bright(tmp_path / "m.onnx")
    file = tmp_path / "c.yaml"
    file.write_text(
        yaml.safe_dump({"detector": {"model": str(model)}, "engines": {"precision": "fp32"}})
    )
    plot = tmp_path / "speed.png"
    options = [
        "--config",
        str(file),
        "--seconds",
        "1",
        "--rounds",
        "1",
        "--json",
        "--plot",
        str(plot),
    ]
    done = CliRunner().invoke(app, ["bench", *options])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)["precisions"]["fp32"]
    assert told["engine"] == "fp32"
    assert plot.read_bytes().startswith(b"\x89PNG")
    assert told["fps"] > 0
    assert told["bare_fps"] > 0
    assert set(told["stages_ms"]) == {"letterbox", "infer", "interpret"}
    assert {"camera-main", "detect", "interpret", "mqtt"} <= set(told["cpu_ms"])
    assert 0 < sum(told["cpu_ms"].values()) < 50
    assert 50 < told["rss_mib"] <= told["peak_rss_mib"]


def test_a_camera_that_is_not_there_is_one_sentence(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("SPOTTERD_STATE_DIR", str(tmp_path))
    monkeypatch.setattr("spotterd.service.bench.START_S", 1.0)
    options = ["--source", f"rtsp://127.0.0.1:{free_port()}/x", "--rounds", "1", "--seconds", "0.2"]
    done = CliRunner().invoke(app, ["bench", *options])
    assert isinstance(done.exception, RetryError)
    assert "no picture" in str(done.exception)
