"""What is read of an ONNX file, and the one sentence for each way it can be wrong."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto

import tiny_models
from spotterd import paths
from spotterd.errors import BadInputError
from spotterd.inference.model import inspect, labels_of, read_labels

ANSWER = np.zeros((1, 7, 126), np.float32)
DYNAMIC = ("batch", 3, "height", "width")


def test_the_bundled_model_says_what_it_is() -> None:
    sky = inspect(paths.shipped("engines/sky.onnx"))
    assert sky.name == "sky"
    assert sky.labels == ("airplane", "helicopter", "drone", "bird")
    assert sky.input_hw == (640, 640)
    assert [shape[:2] for shape in sky.output_shapes] == [(1, 8)]
    assert len(sky.sha256) == 64


@pytest.mark.parametrize(
    ("metadata", "wanted", "input_hw"),
    [
        ({}, None, (640, 640)),
        ({"imgsz": "[320, 416]"}, None, (320, 416)),
        ({"imgsz": "[320, 416]"}, (96, 64), (96, 64)),
        ({"imgsz": "__import__('os')"}, None, (640, 640)),
        ({"imgsz": "[0, 'x']"}, None, (640, 640)),
    ],
)
def test_a_dynamic_size_is_the_wanted_one_or_the_trained_one(
    tmp_path, metadata, wanted, input_hw
) -> None:
    shapes = {"shape": DYNAMIC, "output_shape": ("batch", 7, "cells")}
    path = tiny_models.save(tmp_path / "m.onnx", ANSWER, metadata=metadata, **shapes)
    assert inspect(path, wanted).input_hw == input_hw


@pytest.mark.parametrize(
    ("names", "labels"),
    [
        ("{0: 'a', 1: 'b'}", ("a", "b")),
        ("{1: 'b', 0: 'a'}", ("a", "b")),
        ("['a', 'b']", ("a", "b")),
        ("{0: 'a', 2: 'c'}", ()),
        ("{'0': 'a'}", ()),
        ("__import__('os').system('true')", ()),
        ("[" * 500, ()),
        ("a, b", ()),
        ("", ()),
    ],
)
def test_names_in_the_metadata_are_read_without_running_them(tmp_path, names, labels) -> None:
    path = tiny_models.save(tmp_path / "m.onnx", ANSWER, metadata={"names": names})
    assert inspect(path).labels == labels


def changed(path: Path, change) -> None:
    """A good model with something set that ONNX's own writer would refuse."""
    tiny_models.save(path, ANSWER)
    model = onnx.load(path)
    change(model)
    onnx.save(model, path)


def cut_off(path: Path) -> None:
    whole = paths.shipped("engines/sky.onnx").read_bytes()
    path.write_bytes(whole[: len(whole) // 2])


def tiny(**options):
    return lambda path: tiny_models.save(path, ANSWER, **options)


BROKEN = {
    "missing": lambda path: None,
    "folder": Path.mkdir,
    "empty": Path.touch,
    "text": lambda path: path.write_text("version https://git-lfs.github.com/spec/v1"),
    "checkpoint": lambda path: path.write_bytes(b"PK\x03\x04" + bytes(100)),
    "cut off": cut_off,
    "unknown operator": lambda path: changed(
        path, lambda model: setattr(model.graph.node[2], "op_type", "Frobnicate")
    ),
    "too new": lambda path: changed(path, lambda model: setattr(model, "ir_version", 99)),
    "no output": tiny(outputs=()),
    "two inputs": tiny(inputs=["left", "right"]),
    "one colour": tiny(shape=(1, 1, 64, 96)),
    "batch of four": tiny(shape=(4, 3, 64, 96)),
    "vector": tiny(shape=(1, 10)),
    "byte input": tiny(takes=TensorProto.UINT8),
    "whole number output": tiny(gives=TensorProto.INT64),
    "other size": tiny(shape=(1, 3, 64, 64)),
}


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("missing", "Cannot read the model"),
        ("folder", "Is a directory"),
        ("empty", "is empty (0 bytes)"),
        ("text", "Protobuf parsing failed. Is it a whole ONNX file?"),
        ("checkpoint", "is a PyTorch file. Export it to ONNX first"),
        ("cut off", "Is it a whole ONNX file?"),
        ("unknown operator", "No Op registered for Frobnicate"),
        ("too new", "Unsupported model IR version: 99"),
        ("no output", "has no output"),
        ("two inputs", "takes (1, 3, 64, 96), (1, 3, 64, 96), not one colour picture"),
        ("one colour", "takes (1, 1, 64, 96), not one colour picture"),
        ("batch of four", "takes (4, 3, 64, 96), not one colour picture"),
        ("vector", "takes (1, 10), not one colour picture"),
        ("byte input", "has 'images' as tensor(uint8), not as float32"),
        ("whole number output", "has 'output0' as tensor(int64), not as float32"),
        ("other size", "has a fixed input of 64x64, but detector.input_size says 96x64"),
    ],
)
def test_each_unusable_file_has_its_sentence(tmp_path, kind, said) -> None:
    path = tmp_path / "möwe.onnx"
    BROKEN[kind](path)
    with pytest.raises(BadInputError) as told:
        inspect(path, (64, 96))
    text = str(told.value)
    assert said in text
    assert "möwe.onnx" in text
    assert "\n" not in text
    assert "onnxruntime_src" not in text


@pytest.mark.parametrize(
    ("name", "text", "labels"),
    [
        ("l.txt", "airplane\nbald eagle\n\n", ("airplane", "bald eagle")),
        ("l.names", "\ufeffa\r\nb\r\n", ("a", "b")),
        ("l.yaml", "names: [a, b]", ("a", "b")),
        ("l.yml", "names: {0: a, 1: b}\nnc: 2", ("a", "b")),
        ("l.yaml", "- a\n- b", ("a", "b")),
    ],
)
def test_label_files(tmp_path, name, text, labels) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert read_labels(tmp_path / name) == labels


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("l.txt", b"\n \n", "no class names in"),
        ("l.yaml", b"nc: 3", "no class names in"),
        ("l.yaml", b"names: [", "not YAML"),
        ("l.txt", b"\xff\xfe\x00", "not UTF-8"),
        ("l.txt", None, "Cannot read the labels"),
    ],
)
def test_unreadable_label_files(tmp_path, name, content, said) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(BadInputError, match=said):
        read_labels(tmp_path / name)


def test_the_users_labels_win_over_the_models(tmp_path) -> None:
    (tmp_path / "l.txt").write_text("x\ny\nz\n")
    model = inspect(tiny_models.sees_bright(tmp_path / "m.onnx"))
    assert labels_of(model, None) == ("airplane", "helicopter", "drone")
    assert labels_of(model, ("a", "b", "c")) == ("a", "b", "c")
    assert labels_of(model, str(tmp_path / "l.txt")) == ("x", "y", "z")


def test_a_model_without_names_needs_labels(tmp_path) -> None:
    model = inspect(tiny_models.save(tmp_path / "m.onnx", ANSWER))
    with pytest.raises(BadInputError, match=r"Give them as detector\.labels"):
        labels_of(model, None)
