"""A tiny model, pictures for it, and a state directory of its own."""

import contextlib
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from builder.models import skies, tiny
from spotterd.builder import sources
from spotterd.builder.pictures import check, find
from spotterd.builder.store import Store
from spotterd.builder.wanted import Wanted, engine_store, want
from spotterd.config.schema import Config


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The state directory of this test."""
    monkeypatch.setenv("SPOTTERD_STATE_DIR", str(tmp_path / "state"))
    return tmp_path / "state"


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty-four different pictures."""
    folder = skies(tmp_path_factory.mktemp("pictures"), 40)
    different = {item.path for item in check(find(folder)).usable[:24]}
    for path in set(find(folder)) - different:
        path.unlink()
    return folder


@pytest.fixture(scope="session")
def judges(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight pictures with something to see for the tiny model."""
    return skies(tmp_path_factory.mktemp("judges"), 8, first=900)


@pytest.fixture(autouse=True)
def shipped_judges(judges: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """These judge instead of the ones that ship for aircraft."""
    monkeypatch.setattr(sources, "gate_pictures", lambda: judges)


@pytest.fixture
def wanting(tmp_path: Path, pictures: Path) -> Callable[..., tuple[Wanted, Store]]:
    """What the tiny model wants: `wanting(outlier=..., precision=..., calibration=...)`.

    With `input_size` it is a model that leaves its input open.
    """

    def make(
        outlier: float = 1.0, *, input_size: object = None, **engines: object
    ) -> tuple[Wanted, Store]:
        model = tiny(tmp_path / "tiny.onnx", outlier, dynamic=input_size is not None)
        asked = {
            "backend": "onnxruntime",
            "precision": "int8",
            "threads": 1,
            "calibration": str(pictures),
        }
        config = Config.model_validate(
            {
                "detector": {"model": str(model), "input_size": input_size},
                "engines": asked | engines,
            }
        )
        return want(config.detector, config.engines), engine_store(config.engines)

    return make


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("mounting a small tmpfs needs root")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def fill(path: Path) -> None:
    """Write until the disk is full."""
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(b"z" * 512)
