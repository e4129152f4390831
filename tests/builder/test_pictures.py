"""Calibration pictures: found, checked, thinned, split, imported, drawn; and harvested."""

import json
import logging
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from builder.models import skies, sky
from helpers import nv12
from spotterd.builder.harvest import KINDS, Harvest, light
from spotterd.builder.pictures import LEAST, check, find, fingerprint, hash_of_folder, split
from spotterd.builder.room import import_pictures
from spotterd.builder.sheet import contact_sheet, seen_by_network
from spotterd.builder.sources import bundled_pictures, gate_pictures
from spotterd.builder.truth import read_picture
from spotterd.cli.main import app
from spotterd.config.schema import Harvest as Settings
from spotterd.errors import BadInputError

SECOND = 10**9


def distance(a: np.ndarray, b: np.ndarray) -> int:
    return (fingerprint(a) ^ fingerprint(b)).bit_count()


def test_the_pictures_that_judge_are_many_small_and_whole() -> None:
    files = find(gate_pictures())
    assert len(files) == 32
    assert all(read_picture(path).shape == (512, 640, 3) for path in files)
    assert sum(path.stat().st_size for path in files) < 1_000_000


def test_a_fingerprint_survives_what_does_not_change_a_picture() -> None:
    picture = cv2.resize(sky(1), (640, 480))
    jpeg = cv2.imdecode(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 60])[1], 1)
    noise = np.random.default_rng(0).normal(0, 3, picture.shape)
    noisy = np.clip(picture + noise, 0, 255).astype(np.uint8)
    assert distance(picture, jpeg) <= 4
    assert distance(picture, noisy) <= 4
    assert distance(picture, cv2.resize(picture, (1280, 960))) <= 4
    assert distance(picture, cv2.resize(sky(2), (640, 480))) > 4


def test_each_kind_of_useless_picture_is_told(tmp_path: Path) -> None:
    skies(tmp_path, 3)
    shutil.copy(tmp_path / "sky000.png", tmp_path / "copy.png")
    cv2.imwrite(str(tmp_path / "again.jpg"), sky(1))
    cv2.imwrite(str(tmp_path / "black.png"), np.zeros((90, 90, 3), np.uint8))
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    (tmp_path / "empty.png").touch()
    (tmp_path / "notes.txt").write_text("not a picture")
    (tmp_path / ".hidden.png").write_bytes(b"")
    checked = check(find(tmp_path))
    assert len(checked.usable) == 3
    assert len(checked.alike) == 1
    told = " ".join(reason for _, reason in checked.refused)
    assert "black.png is blank" in told
    assert "broken.jpg is not a picture" in told
    assert "empty.png is not a picture" in told
    problem = checked.problem(tmp_path)
    assert "Of 7 pictures" in problem
    assert f"3 are usable and different, calibrating needs {LEAST}" in problem


def test_a_folder_of_one_clip_is_all_alike(tmp_path: Path) -> None:
    for n in range(20):
        noise = np.random.default_rng(n).normal(0, 1, (128, 128, 3))
        cv2.imwrite(str(tmp_path / f"{n}.png"), np.clip(sky(0) + noise, 0, 255).astype(np.uint8))
    problem = check(find(tmp_path)).problem(tmp_path)
    assert "19 are nearly the same as another one" in problem


@pytest.mark.parametrize("folder", ["none", "."])
def test_no_pictures(tmp_path: Path, folder: str) -> None:
    assert "There are no pictures in" in check(find(tmp_path / folder)).problem(tmp_path)
    assert hash_of_folder(tmp_path / folder) == ""


def test_the_split_depends_on_the_bytes_alone(tmp_path: Path, pictures: Path) -> None:
    usable = check(find(pictures)).usable
    calibrating, held_back = split(usable)
    assert (len(calibrating), len(held_back)) == (18, 6)
    assert not set(calibrating) & set(held_back)
    for n, path in enumerate(sorted(pictures.iterdir(), reverse=True)):
        shutil.copy(path, tmp_path / f"{n}.png")
    again = split(check(find(tmp_path)).usable)[1]
    assert {p.read_bytes() for p in again} == {p.read_bytes() for p in held_back}


def test_the_bundled_set_is_usable_and_small() -> None:
    checked = check(find(bundled_pictures()))
    assert len(checked.usable) >= 24
    assert (checked.alike, checked.refused) == ((), ())
    assert sum(path.stat().st_size for path in find(bundled_pictures())) < 1_500_000


def test_what_the_network_sees_has_grey_beside_the_picture() -> None:
    seen = seen_by_network(np.full((50, 100, 3), (10, 20, 30), np.uint8), (64, 64))
    assert seen[32, 32].tolist() == [10, 20, 30]
    assert seen[2, 32].tolist() == [114, 114, 114]


def test_a_contact_sheet_shows_each_picture_once(tmp_path: Path, pictures: Path) -> None:
    paths = find(pictures)
    out = tmp_path / "sheet.png"
    assert contact_sheet(paths, paths[:6], (128, 128), out) == 24
    sheet = read_picture(out)
    assert sheet.shape == (30 + 3 * 178, 8 * 160, 3)
    assert sheet[:30].min() < 100, "a title"
    assert sheet[31, 80].tolist() == [0, 120, 200], "held-back pictures are framed"


def test_importing_twice_adds_nothing(tmp_path: Path, pictures: Path) -> None:
    room = tmp_path / "room"
    first = import_pictures(pictures, room)
    assert len(first.added) == 24
    second = import_pictures(pictures, room)
    assert (len(second.added), second.known) == (0, 24)
    assert hash_of_folder(room) == hash_of_folder(pictures)


@pytest.mark.parametrize("name", ["none", "file"])
def test_importing_from_nothing(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BadInputError, match="no pictures in"):
        import_pictures(tmp_path / name, tmp_path / "room")


def test_the_command_imports_tells_and_draws(tmp_path: Path, pictures: Path, state: Path) -> None:
    mixed = tmp_path / "mixed"
    shutil.copytree(pictures, mixed)
    (mixed / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    done = CliRunner().invoke(app, ["calibrate", str(mixed), "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert (told["added"], told["calibrating"], told["held_back"]) == (24, 18, 6)
    assert "broken.jpg" in told["refused"][0]
    assert "picture 1 of 25" in done.stderr
    assert Path(told["sheet"]).is_file()
    assert len(find(state / "calibration")) == 24
    again = CliRunner().invoke(app, ["calibrate", str(mixed)])
    assert "0 pictures added" in again.stdout
    assert "24 were there" in again.stdout


def test_the_command_says_when_that_is_too_few(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["calibrate", str(skies(tmp_path / "few", 3))])
    assert done.exit_code == 1
    assert f"calibrating needs {LEAST}" in done.stdout


# Harvest.


def frame(seed: int, brightness: float = 1.0) -> np.ndarray:
    return (cv2.resize(sky(seed), (640, 480)) * brightness).astype(np.uint8)


def test_light_is_told_from_brightness() -> None:
    for form in (np.asarray, nv12):
        assert [light(form(frame(0, b))) for b in (0.1, 0.35, 1.0)] == ["night", "dusk", "day"]


def test_nv12_is_harvested_whole(tmp_path: Path) -> None:
    assert Harvest(Settings(), tmp_path).offer(nv12(frame(0)), had_craft=False, now_ns=0)
    (kept,) = tmp_path.glob("*.jpg")
    assert cv2.absdiff(read_picture(kept), frame(0)).mean() < 3


def test_the_harvest_is_bounded_diverse_and_survives_a_restart(tmp_path: Path) -> None:
    settings = Settings(keep=4 * KINDS, interval_s=60)
    harvest = Harvest(settings, tmp_path)
    now = 0
    for seed in range(40):
        now += 61 * SECOND
        for had_craft in (False, True):
            harvest.offer(frame(seed), had_craft=had_craft, now_ns=now)
    kept = sorted(tmp_path.glob("*.jpg"))
    assert [sum(kind in p.name for p in kept) for kind in ("day-craft", "day-empty")] == [4, 4]
    assert len(check(kept).usable) >= 4
    again = Harvest(settings, tmp_path)
    assert not again.offer(read_picture(kept[0]), had_craft="-craft" in kept[0].name, now_ns=now)
    assert again.offer(frame(99), had_craft=True, now_ns=now + 61 * SECOND)
    assert len(list(tmp_path.glob("*.jpg"))) == len(kept)


def test_the_harvest_is_rate_limited_for_each_kind(tmp_path: Path) -> None:
    harvest = Harvest(Settings(interval_s=60), tmp_path)
    assert harvest.offer(frame(0), had_craft=False, now_ns=0)
    assert not harvest.offer(frame(1), had_craft=False, now_ns=59 * SECOND)
    assert harvest.offer(frame(1), had_craft=True, now_ns=59 * SECOND), "another kind"
    assert harvest.offer(frame(1), had_craft=False, now_ns=60 * SECOND)


def test_frames_between_two_looks_at_the_light_cost_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[np.ndarray] = []
    monkeypatch.setattr("spotterd.builder.harvest.light", lambda bgr: looks.append(bgr) or "day")
    taker = Harvest(Settings(interval_s=60), tmp_path)
    for n in range(300):
        taker.offer(frame(0), had_craft=False, now_ns=n * SECOND // 100)
    assert len(looks) == 3


def test_the_same_view_is_not_taken_twice(tmp_path: Path) -> None:
    harvest = Harvest(Settings(interval_s=1), tmp_path)
    taken = [harvest.offer(frame(0), had_craft=False, now_ns=n * 2 * SECOND) for n in range(5)]
    assert taken == [True, False, False, False, False]


def test_nothing_is_harvested_where_nothing_may_be_kept(tmp_path: Path) -> None:
    assert not Harvest(Settings(keep=0), tmp_path).offer(frame(0), had_craft=True, now_ns=0)


def test_a_disk_that_refuses_is_told_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").touch()
    harvest = Harvest(Settings(interval_s=1), tmp_path / "file" / "harvest")
    caplog.set_level(logging.DEBUG)
    for n in range(3):
        assert not harvest.offer(frame(n), had_craft=False, now_ns=n * 2 * SECOND)
    assert [r.levelname for r in caplog.records] == ["WARNING", "DEBUG", "DEBUG"]


def test_foreign_files_in_the_harvest_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").write_bytes(b"mine")
    harvest = Harvest(Settings(keep=KINDS, interval_s=1), tmp_path)
    for n in range(3):
        harvest.offer(frame(n), had_craft=False, now_ns=n * 2 * SECOND)
    assert (tmp_path / "holiday.jpg").read_bytes() == b"mine"
    assert len(list(tmp_path.glob("*.jpg"))) == 2
