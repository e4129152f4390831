"""`spotterd doctor` as people and machines call it."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from brokers import Broker, free_port
from spotterd.cli.main import app


def run(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["doctor", *arguments])
    return done.exit_code, done.stdout


def written(folder: Path, port: int, source: str = "sim:") -> str:
    file = folder / "config.yaml"
    file.write_text(
        f"cameras: {{north: {{source: '{source}'}}}}\nmqtt: {{url: 'mqtt://127.0.0.1:{port}'}}\n"
    )
    return str(file)


def test_one_json_document_and_exit_0_without_a_problem(tmp_path: Path, broker: Broker) -> None:
    code, out = run("--json", "--config", written(tmp_path, broker.port))
    found = {finding["name"]: finding for finding in json.loads(out)}
    assert found["broker"]["level"] == "ok"
    assert "there and back" in found["broker"]["said"]
    assert found["camera north"]["level"] == "ok"
    assert code == 0


def test_a_problem_is_exit_1_with_its_remedy(tmp_path: Path) -> None:
    code, out = run("--config", written(tmp_path, free_port(), "/nowhere.mp4"))
    assert code == 1
    assert "/nowhere.mp4 is not there" in out
    assert "check that the broker runs" in " ".join(out.split())
    assert "→" in out


def test_a_bad_configuration_is_a_problem_like_any_other(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("detector: {scor: 1}\n")
    code, out = run("--json", "--config", str(file))
    (finding,) = [f for f in json.loads(out) if f["name"] == "configuration"]
    assert "did you mean 'score'?" in finding["said"]
    assert code == 1


@pytest.mark.parametrize(
    ("size", "advice"),
    [
        (
            "1280x720",
            "input_size: [640, 384] shows the detector the same without grey bars in 0.60",
        ),
        ("512x640", "[512, 640]"),
        ("640x640", ""),
    ],
)
def test_an_input_of_the_cameras_shape_is_advised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: str, advice: str
) -> None:
    monkeypatch.setenv("SPOTTERD_STATE_DIR", str(tmp_path))
    config = written(tmp_path, 1, f"sim:?fps=50&size={size}")
    found = {f["name"]: f for f in json.loads(run("--camera", "--json", "--config", config)[1])}
    said = found["camera north"]["said"]
    assert advice in said
    assert ("input_size" in said) is bool(advice)


def test_cameras_are_listed_and_a_picture_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPOTTERD_STATE_DIR", str(tmp_path))
    code, out = run("--camera", "--json", "--config", written(tmp_path, 1, "sim:?fps=50"))
    found = {finding["name"]: finding for finding in json.loads(out)}
    assert found["camera north"]["said"].startswith("640x512 at ")
    assert (tmp_path / "doctor" / "north.png").stat().st_size > 10_000
    assert code == 0
    code, out = run("--camera", "--config", written(tmp_path, 1, str(tmp_path / "none.mp4")))
    assert "none.mp4" in out
    assert code == 1
