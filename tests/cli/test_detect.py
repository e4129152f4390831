"""`spotterd detect`: pictures, folders and videos in; copies, COCO results and a summary out."""

import json
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

import tiny_models
from spotterd.cli.main import app, main
from spotterd.errors import BadInputError

BRIGHT = np.full((128, 192, 3), 250, np.uint8)
DARK = np.zeros((128, 192, 3), np.uint8)


@pytest.fixture
def config(tmp_path) -> Path:
    """A configuration with a model that sees a drone wherever a picture is bright."""
    model = tiny_models.sees_bright(tmp_path / "bright.onnx")
    path = tmp_path / "config.yaml"
    path.write_text(f"detector: {{model: '{model}'}}\nengines: {{threads: 1}}\n")
    return path


@pytest.fixture
def sky(tmp_path) -> Path:
    """A folder of two pictures, a damaged one and a text file."""
    folder = tmp_path / "größe ñ"
    folder.mkdir()
    save(folder / "a2.png", BRIGHT)
    save(folder / "a10.png", DARK)
    (folder / "broken.jpg").write_bytes(cv2.imencode(".jpg", BRIGHT)[1].tobytes()[:200])
    (folder / "notes.txt").write_text("nothing to see")
    return folder


def save(path: Path, bgr: np.ndarray) -> Path:
    path.write_bytes(cv2.imencode(path.suffix, bgr)[1].tobytes())
    return path


def film(path: Path, frames=(DARK, BRIGHT, BRIGHT), fps=12.5) -> Path:
    size_wh = (frames[0].shape[1], frames[0].shape[0])
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), fps, size_wh)
    for frame in frames:
        writer.write(frame)
    writer.release()
    return path


def frames_of(path: Path) -> tuple[list[np.ndarray], float]:
    capture = cv2.VideoCapture(str(path))
    frames = []
    while (read := capture.read())[0]:
        frames.append(read[1])
    return frames, capture.get(cv2.CAP_PROP_FPS)


def detect(config: Path, *arguments: object):
    words = ["detect", *map(str, arguments), "--config", str(config)]
    return CliRunner().invoke(app, words, catch_exceptions=False)


def summary(config: Path, *arguments: object) -> dict:
    return json.loads(detect(config, *arguments, "--json").stdout)


def test_a_folder_is_read_in_natural_order_and_what_is_no_picture_is_noted(config, sky) -> None:
    said = detect(config, sky).stdout
    assert said.index("a2.png: 1 drone") < said.index("a10.png: nothing")
    assert "skipped" in said
    assert "notes.txt: it is neither a picture nor a video" in said
    assert "broken.jpg" in said
    assert "2 files, 2 frames" in said


def test_copies_are_annotated_and_originals_are_left_alone(config, sky) -> None:
    before = {file.name: file.read_bytes() for file in sky.iterdir()}
    detect(config, sky, "--out", sky)
    assert {name: (sky / name).read_bytes() for name in before} == before
    copy = cv2.imdecode(np.fromfile(sky / "a2-2.png", np.uint8), cv2.IMREAD_COLOR)
    assert copy.shape == BRIGHT.shape
    assert (copy != BRIGHT).any()
    dark = cv2.imdecode(np.fromfile(sky / "a10-2.png", np.uint8), cv2.IMREAD_COLOR)
    assert (dark == DARK).all()


def test_a_video_keeps_its_rate_and_frames(config, tmp_path) -> None:
    out = tmp_path / "out"
    told = summary(config, film(tmp_path / "vidéo.avi"), "--out", out)
    assert told["frames"] == 3
    assert told["detections"] == {"drone": 2}
    frames, fps = frames_of(out / "vidéo.mp4")
    assert (len(frames), fps) == (3, 12.5)
    assert frames[0].max() < 40  # nothing drawn
    assert frames[1].min() < 100  # a box


def test_files_of_one_name_do_not_overwrite_each_other(config, tmp_path) -> None:
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        save(tmp_path / folder / "a.png", BRIGHT)
    detect(config, tmp_path / "x", tmp_path / "y", "--out", tmp_path / "out")
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == ["a-2.png", "a.png"]


def test_coco_results_take_their_ids_from_the_annotations(config, sky, tmp_path) -> None:
    annotations = tmp_path / "truth.json"
    pictures = [{"id": 71, "file_name": "images/a2.png"}]
    kinds = [{"id": 30, "name": "drone"}, {"id": 10, "name": "airplane"}]
    annotations.write_text(json.dumps({"images": pictures, "categories": kinds}))
    results = tmp_path / "new" / "results.json"
    told = summary(config, sky, "--coco", results, "--annotations", annotations)
    (found,) = json.loads(results.read_text())
    assert (found["image_id"], found["category_id"]) == (71, 30)
    assert found["bbox"] == [48, 16, 64, 64]
    assert 0.9 < found["score"] <= 1
    assert told["skipped"][str(sky / "a10.png")] == "the annotations do not list it"


def test_coco_results_count_pictures_and_frames_without_annotations(config, sky, tmp_path) -> None:
    results = tmp_path / "results.json"
    detect(config, sky, film(tmp_path / "v.mp4"), "--coco", results)
    found = json.loads(results.read_text())
    assert [item["image_id"] for item in found] == [1, 4, 5]
    assert {item["category_id"] for item in found} == {2}


def test_options_win_over_the_configuration(config, sky, tmp_path) -> None:
    assert summary(config, sky, "--conf", "1")["detections"] == {}
    other = tiny_models.sees_bright(tmp_path / "other.onnx")
    assert summary(config, sky, "--model", other)["model"] == "other"


@pytest.mark.parametrize("wh", [(1, 1), (7680, 4320)])
def test_the_smallest_and_the_largest_picture(config, tmp_path, wh) -> None:
    picture = save(tmp_path / "p.png", np.full((wh[1], wh[0], 3), 250, np.uint8))
    told = summary(config, picture, "--out", tmp_path / "out")
    assert told["frames"] == 1
    assert (tmp_path / "out" / "p.png").is_file()


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("none.mp4", None, "There is no file or folder"),
        ("zero.mp4", b"", "is empty"),
        ("broken.mp4", b"\0\0\0 ftypisom" + bytes(5000), "broken.mp4"),
        ("broken.jpg", b"\xff\xd8\xff\xe0 nothing more", "broken.jpg"),
        ("empty", "folder", "holds no picture and no video"),
    ],
)
def test_a_named_input_that_cannot_be_read(config, tmp_path, name, content, said) -> None:
    path = tmp_path / name
    if content == "folder":
        path.mkdir()
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(BadInputError, match=said):
        detect(config, path)


@pytest.mark.parametrize("content", ["{", "[]", '{"images": [{"id": 1}], "categories": []}'])
def test_annotations_that_are_none(config, sky, tmp_path, content) -> None:
    annotations = tmp_path / "truth.json"
    annotations.write_text(content)
    with pytest.raises(BadInputError, match="not a COCO annotation file"):
        detect(config, sky, "--coco", tmp_path / "r.json", "--annotations", annotations)


def test_a_copy_that_cannot_be_written_stops_the_run(config, sky, tmp_path) -> None:
    (tmp_path / "out").write_text("a file")
    with pytest.raises(BadInputError, match="Cannot make the folder"):
        detect(config, sky, "--out", tmp_path / "out")


def test_a_damaged_picture_is_told_once(config, tmp_path, caplog) -> None:
    (tmp_path / "p.jpg").write_bytes(b"\xff\xd8\xff\xe0 nothing more")
    with pytest.raises(BadInputError, match=r"p\.jpg' can be decoded"):
        detect(config, tmp_path / "p.jpg")
    assert caplog.messages == []


def test_a_disk_that_fills_up_under_a_video_stops_the_run(config, tmp_path) -> None:
    """OpenCV says nothing: a copy that nobody can play was called done."""
    noise = np.random.default_rng(0).integers(0, 255, (30, 480, 640, 3), np.uint8)
    clip, out = film(tmp_path / "clip.mp4", noise), tmp_path / "out"
    limited = "trap '' XFSZ; ulimit -f 100; exec \"$@\""  # 100 KiB, as if the disk was full then
    words = ["-m", "spotterd", "detect", str(clip), "--config", str(config), "--out", str(out)]
    done = subprocess.run(
        ["bash", "-c", limited, "bash", sys.executable, *words],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == f"spotterd: Cannot write the video '{out}/clip.mp4'. Check the disk.\n"


def test_bad_input_is_one_sentence_and_exit_2(config, tmp_path, monkeypatch, capfd) -> None:
    words = ["spotterd", "detect", str(tmp_path / "no.mp4"), "--config", str(config)]
    monkeypatch.setattr("sys.argv", words)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    out, err = capfd.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith("spotterd: There is no file or folder")
