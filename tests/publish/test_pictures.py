"""The ring of pictures: bounded, whole files only, and no trouble when the disk is full."""

import logging
import os
import subprocess
from pathlib import Path

import pytest

from spotterd.publish.pictures import PictureRing


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_oldest_goes_when_there_are_too_many(tmp_path: Path) -> None:
    ring = PictureRing(tmp_path / "p", keep=3, max_bytes=10_000)
    for n in range(5):
        path = ring.add(f"event-{n}", bytes([n]) * 10)
        assert path is not None
        assert path.read_bytes() == bytes([n]) * 10
    assert names(tmp_path / "p") == [f"000000000{n + 1}-event-{n}.jpg" for n in (2, 3, 4)]


def test_the_oldest_goes_when_they_are_too_large_together(tmp_path: Path) -> None:
    ring = PictureRing(tmp_path, keep=100, max_bytes=100)
    for n in range(5):
        ring.add(str(n), b"x" * 40)
        assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 100
    assert len(ring) == 2
    assert ring.add("huge", b"x" * 101) is None
    assert len(ring) == 2


def test_nothing_is_kept_if_nothing_is_wanted(tmp_path: Path) -> None:
    assert PictureRing(tmp_path / "p", keep=0, max_bytes=100).add("a", b"x") is None
    assert not (tmp_path / "p").exists()


def test_a_restart_goes_on_with_what_is_there_and_leaves_other_files_alone(tmp_path: Path) -> None:
    first = PictureRing(tmp_path, keep=5, max_bytes=1000)
    for n in range(4):
        first.add(f"a{n}", b"x" * 10)
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "0000000099-cut.part").write_bytes(b"half")
    second = PictureRing(tmp_path, keep=2, max_bytes=1000)
    assert names(tmp_path) == ["0000000003-a2.jpg", "0000000004-a3.jpg", "notes.txt"]
    second.add("b", b"x")
    assert names(tmp_path) == ["0000000004-a3.jpg", "0000000005-b.jpg", "notes.txt"]


def test_pictures_that_somebody_removed_are_no_trouble(tmp_path: Path) -> None:
    ring = PictureRing(tmp_path, keep=1, max_bytes=1000)
    first = ring.add("a", b"x")
    assert first is not None
    first.unlink()
    assert ring.add("b", b"x") is not None
    assert names(tmp_path) == ["0000000002-b.jpg"]


def test_a_folder_that_cannot_be_written_is_told_once_and_when_it_is_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "p"
    folder.write_text("in the way")
    ring = PictureRing(folder, keep=5, max_bytes=1000)
    with caplog.at_level(logging.INFO, "spotterd.publish.pictures"):
        assert [ring.add("a", b"x") for _ in range(3)] == [None] * 3
        folder.unlink()
        assert ring.add("b", b"x") is not None
    told = [(record.levelname, record.getMessage()) for record in caplog.records]
    assert [level for level, _ in told] == ["WARNING", "INFO"]
    assert str(folder) in told[0][1]


def test_what_was_half_written_and_cannot_be_removed_ends_nothing(tmp_path: Path) -> None:
    (tmp_path / "0000000001-cut.part").mkdir()  # stands for a read-only disk
    assert len(PictureRing(tmp_path, keep=5, max_bytes=1000)) == 0


@pytest.fixture
def small_disk(tmp_path: Path):
    """A file system of 64 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("a small file system can be mounted by root only")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_costs_the_picture_and_nothing_else(
    small_disk: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ring = PictureRing(small_disk, keep=100, max_bytes=1_000_000)
    with caplog.at_level(logging.INFO, "spotterd.publish.pictures"):
        kept = [ring.add(str(n), b"x" * 20_000) is not None for n in range(6)]
    assert kept == [True] * 3 + [False] * 3
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "No space left" in caplog.text
    assert all(path.stat().st_size == 20_000 for path in small_disk.iterdir())
    next(small_disk.iterdir()).unlink()
    assert ring.add("again", b"x" * 20_000) is not None
