"""Whole builds on ONNX Runtime, of a network small enough to build in a second."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import onnxruntime as ort
import pytest

from builder.conftest import fill
from builder.models import SIDE, skies
from spotterd.builder import calibration, ladder, sources
from spotterd.builder.agreement import Figures
from spotterd.builder.identity import BUILDER_VERSION
from spotterd.builder.ladder import build
from spotterd.builder.make_onnx import form_name
from spotterd.builder.progress import silent
from spotterd.builder.road import rungs
from spotterd.builder.store import Store
from spotterd.builder.truth import alike, look
from spotterd.builder.wanted import Wanted
from spotterd.errors import FallBackError, RetryError

Wanting = Callable[..., tuple[Wanted, Store]]
LENIENT = {"recall": 0.5, "agreement": 0.5}
LOUD = 3000.0  # a channel so loud that INT8 hears nothing else


def test_a_calibrated_engine_is_built_gated_kept_and_found_again(wanting: Wanting) -> None:
    wanted, store = wanting()
    told: list[tuple[float, str]] = []
    engine = build(wanted, store, lambda fraction, step: told.append((fraction, step)))
    sidecar = engine.sidecar
    assert sidecar.precision == "int8"
    assert sidecar.calibrated_by == "18 pictures"
    assert sidecar.figures is not None
    assert min(sidecar.figures.recall, sidecar.figures.agreement) > 0.95
    assert sidecar.figures.reference >= 30
    fractions = [fraction for fraction, _ in told]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1
    assert any("picture 7 of 18" in step for _, step in told)

    again = wanting()[0]
    assert store.load(again.identity) == engine
    assert sorted(p.suffix for p in store.folder.iterdir()) == ["", ".cache", ".json", ".onnx"]


def test_the_engine_is_int8_and_detects(wanting: Wanting, pictures: Path) -> None:
    wanted, store = wanting()
    engine = build(wanted, store, silent)
    backend = wanted.open(engine)
    try:
        assert backend.precision == "int8"
        assert backend.model == wanted.info
        reference = ladder.reference_detector(wanted)
        some = sorted(pictures.iterdir())[:3]
        for mine, theirs in zip(
            look(alike(reference, backend), some)[0], look(reference, some)[0], strict=True
        ):
            assert np.allclose(np.sort(mine.xyxy, axis=0), np.sort(theirs.xyxy, axis=0), atol=1)
    finally:
        backend.close()


@pytest.mark.parametrize(("size", "input_hw"), [(192, (192, 192)), ((256, 128), (128, 256))])
def test_a_model_of_open_size_is_built_at_the_configured_one(
    wanting: Wanting, size: object, input_hw: tuple[int, int]
) -> None:
    wanted, store = wanting(input_size=size)
    assert wanted.identity.input_hw == input_hw
    engine = build(wanted, store, silent)
    assert engine.sidecar.precision == "int8"
    backend = wanted.open(engine)
    try:
        slot = backend.acquire()
        assert slot.input.shape == (1, 3, *input_hw)
        assert backend.model.input_hw == input_hw
    finally:
        backend.close()
    other, _ = wanting(input_size=160)
    assert [d.split(":")[0] for d in other.identity.differences(wanted.identity)] == ["input_hw"]
    assert other.calibration_key != wanted.calibration_key
    assert store.load(other.identity) is None


def test_int8_that_collapses_is_refused_and_says_so(
    wanting: Wanting, caplog: pytest.LogCaptureFixture
) -> None:
    wanted, store = wanting(LOUD)
    engine = build(wanted, store, silent)
    assert engine.sidecar.precision == "fp32"
    assert engine.path is None
    refused, used = engine.sidecar.tried
    assert refused.figures is not None
    assert refused.figures.recall < 0.5
    assert used.precision == "fp32"
    assert "INT8 is not used: recall" in engine.sidecar.remarks
    assert "INT8 is not used" in caplog.text
    assert store.load(wanted.identity) == engine, "the decision is kept: no build at the next start"


def test_the_floor_is_the_users(wanting: Wanting) -> None:
    loose = {"recall": 0.0, "agreement": 0.0, "score_shift": 1.0}
    wanted, store = wanting(LOUD, gate=loose)
    assert build(wanted, store, silent).sidecar.precision == "int8"


def test_fp16_can_be_asked_for(wanting: Wanting) -> None:
    wanted, store = wanting(precision="fp16")
    assert build(wanted, store, silent).sidecar.precision == "fp16"


@pytest.mark.parametrize("count", [0, 1, 3])
def test_too_few_pictures_mean_no_int8(
    wanting: Wanting, tmp_path: Path, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = skies(tmp_path / "few", count)
    monkeypatch.setattr(sources, "bundled_pictures", lambda: tmp_path / "none")
    wanted, store = wanting(calibration=str(few))
    sidecar = build(wanted, store, silent).sidecar
    assert sidecar.precision == "fp32"
    assert "there is nothing to calibrate by" in sidecar.remarks
    said = "There are no pictures" if not count else f"{count} are usable and different"
    assert said in sidecar.remarks
    assert "spotterd calibrate DIR" in sidecar.remarks


def test_pictures_without_objects_judge_nothing(
    wanting: Wanting, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sources, "bundled_pictures", lambda: tmp_path / "none")
    folder = tmp_path / "empty skies"
    folder.mkdir()
    for seed in range(16):  # clouds: bright, different, nothing in them
        random = np.random.default_rng(seed)
        cloud = cv2.resize(random.uniform(170, 250, (8, 8, 3)), (128, 128))
        cv2.imwrite(str(folder / f"{seed}.png"), cloud)
    monkeypatch.setattr(sources, "gate_pictures", lambda: tmp_path / "none")
    wanted, store = wanting(calibration=str(folder), precision="auto")
    sidecar = build(wanted, store, silent).sidecar
    assert sidecar.precision == "fp32"
    assert "INT8 is not used: it is not proven, FP32 sees 0 objects in the 4" in sidecar.remarks
    asked, store = wanting(calibration=str(folder))
    sidecar = build(asked, store, silent).sidecar
    assert sidecar.precision == "int8", "who asks for it gets it, and is told"
    assert sidecar.judgement is not None
    assert sidecar.judgement.verdict == "not proven"
    assert "INT8 is not proven: FP32 sees 0 objects" in sidecar.remarks


def test_one_corrupt_picture_of_many_is_left_out(
    wanting: Wanting, tmp_path: Path, pictures: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "pictures"
    shutil.copytree(pictures, folder)
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 half a picture")
    wanted, store = wanting(calibration=str(folder))
    assert build(wanted, store, silent).sidecar.precision == "int8"
    assert "broken.jpg" in caplog.text


def shipped(wanted: Wanted, **changes: object) -> None:
    """Ranges beside the model, as a model's maker ships them."""
    tree = {
        "model_sha256": wanted.info.sha256,
        "method": "entropy",
        "pictures": 500,
        "ranges": {name: [0.0, 1.0] for name in ("r0", "r1", "r2", "r3")}
        | {f"c{n}": [-1.0, 1.0] for n in range(4)},
    } | changes
    wanted.model.with_suffix(".ranges.json").write_text(json.dumps(tree), encoding="utf-8")


def test_shipped_ranges_do_where_there_are_no_pictures(wanting: Wanting, tmp_path: Path) -> None:
    shipped(wanting()[0])
    wanted, store = wanting(
        calibration=str(tmp_path / "none"), gate={"recall": 0.5, "agreement": 0.5}
    )
    sidecar = build(wanted, store, silent).sidecar
    assert sidecar.calibrated_by == "shipped ranges (entropy, 500 pictures)"
    assert sidecar.tried[0].precision == "int8"


def proof(ap50_int8: float, **changes: object) -> dict[str, object]:
    forms = [form_name(narrow=narrow) for narrow in (False, True)]
    measured = {
        "input_hw": (SIDE, SIDE), "pictures": 683, "objects": 647, "ap50_fp32": 0.812,
        "ap50_int8": ap50_int8, "ap50_by_class": {}, "runtime": "onnxruntime 1",
        "builder": BUILDER_VERSION,
    }  # fmt: skip
    return {"proofs": [measured | {"form": form} | changes for form in forms]}


@pytest.mark.parametrize(
    ("proofs", "precision", "said"),
    [
        (proof(0.806), "int8", "judge by; AP50 0.806 after 0.812 of FP32 on 647 labelled"),
        (proof(0.79), "fp32", "INT8 is not used: AP50 0.790 after 0.812"),
        ({}, "fp32", "INT8 is not used: it is not proven, FP32 sees 0 objects"),
        (proof(0.806, objects=40), "fp32", "it is not proven"),
        (proof(0.806, input_hw=(64, 64)), "fp32", "it is not proven"),
        (proof(0.806, form="another"), "fp32", "it is not proven"),
        (proof(0.806, builder=0), "fp32", "it is not proven"),
    ],
)
def test_what_was_shown_of_these_ranges_counts_where_the_pictures_show_nothing(
    wanting: Wanting,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    proofs: dict[str, object],
    precision: str,
    said: str,
) -> None:
    shipped(wanting()[0], **proofs)
    for kind in ("bundled_pictures", "gate_pictures"):
        monkeypatch.setattr(sources, kind, lambda: tmp_path / "none")
    monkeypatch.setattr(ladder, "_slower", lambda _: "")  # it is too small to be faster
    wanted, store = wanting(calibration=str(tmp_path / "none"), precision="auto")
    sidecar = build(wanted, store, silent).sidecar
    assert sidecar.precision == precision
    assert said in sidecar.remarks


def test_bundled_pictures_judge_shipped_ranges_and_do_not_replace_them(
    wanting: Wanting, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped(wanting()[0])
    monkeypatch.setattr(sources, "bundled_pictures", lambda: pictures)
    wanted, store = wanting(calibration=None)
    monkeypatch.setattr(calibration, "measure", None)  # nothing to measure
    sidecar = build(wanted, store, silent).sidecar
    assert sidecar.calibrated_by == "shipped ranges (entropy, 500 pictures)"
    assert sidecar.figures is not None
    assert sidecar.figures.pictures == 6 + 8


@pytest.mark.parametrize(
    "changes",
    [{"model_sha256": "00" * 32}, {"ranges": {}}, {"pictures": 0}, {"ranges": {"r0": ["a", 1]}}],
)
def test_ranges_of_something_else_are_not_used(
    wanting: Wanting, tmp_path: Path, changes: dict[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    shipped(wanting()[0], **changes)
    wanted, store = wanting(calibration=str(tmp_path / "none"))
    assert "nothing to calibrate by" in build(wanted, store, silent).sidecar.remarks
    assert "it is not used" in caplog.text


def test_ranges_that_lack_an_activation_are_told(wanting: Wanting, tmp_path: Path) -> None:
    shipped(wanting()[0], ranges={"r0": [0.0, 1.0]})
    wanted, store = wanting(calibration=str(tmp_path / "none"))
    assert "3 of 3 convolutions" in build(wanted, store, silent).sidecar.remarks


def test_a_slower_int8_is_refused_for_auto_only(
    wanting: Wanting, monkeypatch: pytest.MonkeyPatch
) -> None:
    same = {"pictures": 8, "reference": 80, "recall": 1, "score_shift": 0, "agreement": 1}
    slow = Figures.model_validate(same | {"per_class": {}, "ms": 120, "reference_ms": 100})
    monkeypatch.setattr(ladder, "race", lambda *_: slow)
    wanted, store = wanting(precision="auto")
    sidecar = build(wanted, store, silent).sidecar
    assert sidecar.precision == "fp32"
    assert "with 120.0 ms an inference it is slower here than FP32" in sidecar.remarks
    wanted, store = wanting(precision="int8")
    assert build(wanted, store, silent).sidecar.precision == "int8"


def test_another_model_under_the_same_name_is_another_engine(wanting: Wanting) -> None:
    wanted, store = wanting()
    build(wanted, store, silent)
    other = wanting(2.0)[0]
    assert other.model == wanted.model
    assert store.load(other.identity) is None
    last = store.last(wanted.info.sha256)
    assert last == wanted.identity


@pytest.mark.parametrize(
    ("asked", "leave_out", "expected"),
    [
        ("auto", (), ["int8", "fp32"]),
        ("auto", ("int8",), ["fp32"]),
        ("int8", (), ["int8", "fp32"]),
        ("fp16", (), ["fp16", "fp32"]),
        ("fp32", (), ["fp32"]),
        ("auto", ("int8", "fp32"), ["fp32"]),
    ],
)
def test_rungs(wanting: Wanting, asked: str, leave_out: tuple, expected: list[str]) -> None:
    wanted, _ = wanting(precision=asked)
    assert rungs(wanted.engines.precision, wanted.road, leave_out) == expected


@pytest.mark.parametrize(
    ("asked", "gpu", "at_once"),
    [("fp32", False, True), ("auto", False, False), ("int8", False, False), ("auto", True, True)],
)
def test_the_model_itself_needs_no_building(
    wanting: Wanting, monkeypatch: pytest.MonkeyPatch, asked: str, gpu: bool, at_once: bool
) -> None:
    if gpu:
        providers = ["CUDAExecutionProvider", "CPUExecutionProvider"]
        monkeypatch.setattr(ort, "get_available_providers", lambda: providers)
    wanted, store = wanting(precision=asked)
    engine = wanted.find()
    assert (engine is not None) is at_once
    if engine is not None:
        assert (engine.path, engine.sidecar.precision, engine.sidecar.remarks) == (None, "fp32", "")
        assert not store.folder.exists()


def test_ranges_are_measured_once(wanting: Wanting, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted, store = wanting()
    build(wanted, store, silent)
    store.drop(wanted.identity)
    monkeypatch.setattr(calibration, "measure", None)  # a second measurement would fail
    assert build(wanted, store, silent).sidecar.precision == "int8"


def test_a_picture_more_is_another_calibration(
    wanting: Wanting, tmp_path: Path, pictures: Path
) -> None:
    folder = tmp_path / "pictures"
    shutil.copytree(pictures, folder)
    before = wanting(calibration=str(folder))[0].identity
    (folder / "sky000.png").rename(folder / "renamed.png")
    assert wanting(calibration=str(folder))[0].identity == before, "names do not matter"
    skies(folder, 25)
    after = wanting(calibration=str(folder))[0].identity
    assert [d.split(":")[0] for d in after.differences(before)] == ["calibration"]
    assert wanting(calibration=str(folder), precision="fp32")[0].identity.calibration == ""


def test_activations_that_are_no_numbers_calibrate_nothing(
    wanting: Wanting, tmp_path: Path
) -> None:
    wanted, store = wanting(float("inf"))
    with pytest.raises(FallBackError, match="not a finite number") as told:
        calibration.Calibration(
            ladder.reference_detector(wanted), wanted.model, wanted.sources(), store, "key"
        ).ranges(lambda model, _: model, silent)
    assert "cannot be calibrated" in str(told.value)


def test_a_disk_that_cannot_be_written_is_told(wanting: Wanting, state: Path) -> None:
    wanted, store = wanting()
    state.mkdir()
    (state / "engines").write_text("a file where the folder should be")
    with pytest.raises(RetryError, match="Cannot write"):
        build(wanted, store, silent)


def test_onnx_runtime_on_a_gpu_keeps_fp32(
    wanting: Wanting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        ort, "get_available_providers", lambda: ["CUDAExecutionProvider", "CPUExecutionProvider"]
    )
    auto, store = wanting(precision="auto")
    assert [t.precision for t in build(auto, store, silent).sidecar.tried] == ["fp32"]
    asked, store = wanting(precision="int8")
    assert "GPU provider is served FP32 only" in build(asked, store, silent).sidecar.remarks
    assert "CUDA" in auto.identity.runtime


def test_a_full_disk_ends_the_build_with_a_sentence(
    wanting: Wanting, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SPOTTERD_STATE_DIR", str(small_disk))
    wanted, store = wanting()
    fill(small_disk / "ballast")
    with pytest.raises(RetryError, match="No space left on device"):
        build(wanted, store, silent)
    assert store.load(wanted.identity) is None
    (small_disk / "ballast").unlink()
    assert build(wanted, store, silent).sidecar.precision == "int8"
