"""`spotterd config`: what people and scripts see of a good and of a bad file."""

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from spotterd.cli.main import app
from spotterd.config.schema import Config

GOOD = "node: roof\ndetector: {score: 0.5}\n"
BAD = "detector: {scor: 0.5, iou: 7}\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "größe.yaml"


def test_show_prints_the_whole_configuration_in_force(file: Path) -> None:
    file.write_text(GOOD, encoding="utf-8")
    shown = CliRunner().invoke(app, ["config", "show", "--config", str(file)])
    tree = yaml.safe_load(shown.stdout)
    assert tree["node"] == "roof"
    assert tree["detector"]["score"] == 0.5
    assert set(tree) == set(Config.model_fields)
    as_json = CliRunner().invoke(app, ["config", "show", "--config", str(file), "--json"])
    assert json.loads(as_json.stdout) == tree


def test_a_good_file_is_good(file: Path) -> None:
    file.write_text(GOOD, encoding="utf-8")
    done = CliRunner().invoke(app, ["config", "validate", str(file)])
    assert (done.exit_code, done.stdout) == (0, f"{file} is good.\n")


def test_a_bad_file_is_told_with_all_its_problems(file: Path) -> None:
    file.write_text(BAD, encoding="utf-8")
    done = CliRunner().invoke(app, ["config", "validate", str(file)])
    assert done.exit_code == 1
    assert "detector.scor: unknown key; did you mean 'score'?" in done.stdout
    assert "detector.iou:" in done.stdout
    told = json.loads(CliRunner().invoke(app, ["config", "validate", str(file), "--json"]).stdout)
    assert told["valid"] is False
    paths = {problem["path"] for problem in told["problems"]}
    assert paths == {"detector.scor", "detector.iou"}
