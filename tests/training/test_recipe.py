"""The training recipe holds together: shapes, losses, boxes. Skipped without torch."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the recipe needs torch (training/requirements.txt)")
sys.path.insert(0, str(Path(__file__).parents[2]))

from training import batches, craft, data, labels, loss, net, render  # noqa: E402 - needs the path above


def test_exported_network_gives_boxes_and_scores_for_every_anchor():
    model = net.Exported(net.Sky("n")).eval()
    with torch.no_grad():
        out = model(torch.rand(1, 3, 64, 96))
    assert out.shape == (1, 8, 8 * 12 + 4 * 6 + 2 * 3)
    assert ((out[:, 4:] >= 0) & (out[:, 4:] <= 1)).all()


def test_exported_decoding_agrees_with_the_one_trained_on():
    sky = net.Sky("n").eval()
    with torch.no_grad():
        levels = sky(torch.rand(1, 3, 64, 64))
        logits, boxes, _, _ = net.decode(levels)
        out = net.Exported(sky)(torch.rand(1, 3, 64, 64) * 0 + 0.5)
        again = net.decode(sky(torch.full((1, 3, 64, 64), 0.5)))[1][0]
    assert logits.shape[1] == boxes.shape[1] == out.shape[2]
    centre = (again[:, :2] + again[:, 2:]) / 2
    torch.testing.assert_close(out[0, :2].T, centre, atol=1e-3, rtol=1e-4)


def test_a_tiny_box_still_gets_an_anchor():
    sky = net.Sky("n")
    levels = sky(torch.rand(2, 3, 64, 64))
    truth = batches.padded([torch.tensor([[2.0, 30.0, 30.0, 34.0, 33.0]]), torch.zeros(0, 5)], -1)
    got = loss.losses(levels, truth, torch.zeros(2, 1, 4))
    assert got.positives >= 1
    assert torch.isfinite(got.total)


def test_padding_rows_and_anchors_without_an_object_teach_no_box():
    levels = net.Sky("n")(torch.rand(1, 3, 64, 64))
    box = torch.tensor([[2.0, 30.0, 30.0, 34.0, 33.0]])
    short, padded = box[None], batches.padded([box], -1)
    assert padded.shape == (1, batches.ROWS, 5)
    none = torch.zeros(1, 1, 4)
    one, other = loss.losses(levels, short, none), loss.losses(levels, padded, none)
    torch.testing.assert_close(one.total, other.total)
    empty = loss.losses(levels, batches.padded([torch.zeros(0, 5)], -1), none)
    assert empty.box == 0


def test_corrections_add_boxes_and_name_regions(tmp_path, monkeypatch):
    monkeypatch.setattr(data, "CORRECTIONS", tmp_path)
    lacking = {"a.jpg": {"boxes": [[3, 1, 2, 30, 20]], "ignored": [[5, 5, 9, 9]]}}
    (tmp_path / "val.json").write_text(json.dumps(lacking))
    images = [{"id": 1, "file_name": "a.jpg"}, {"id": 2, "file_name": "b.jpg"}]
    coco = data.corrected({"images": images, "annotations": []}, "val")
    assert coco["annotations"] == [
        {
            "id": 1,
            "image_id": 1,
            "iscrowd": 0,
            "category_id": 3,
            "bbox": [1, 2, 30, 20],
            "area": 600,
        }
    ]
    assert coco["images"][0]["ignored"] == [[5, 5, 9, 9]]
    assert coco["images"][1]["alarms"] == []


@pytest.mark.parametrize("split", ["train", "val"])
def test_the_corrections_are_boxes_in_pictures(split):
    for name, entry in json.loads((data.CORRECTIONS / f"{split}.json").read_text()).items():
        assert name.endswith(".jpg")
        assert set(entry) <= {"boxes", "ignored", "alarms"}
        assert all(box[0] in range(4) and len(box) == 5 for box in entry.get("boxes", []))
        sizes = [box[-2:] for boxes in entry.values() for box in boxes]
        assert sizes
        assert all(width > 0 and height > 0 for width, height in sizes)


def test_the_margin_is_the_clips_for_small_craft_and_thin_for_large_ones():
    small, large = (
        np.array([[10, 10, 18, 18]], np.float32),
        np.array([[0, 0, 300, 300]], np.float32),
    )
    assert np.allclose(labels.with_margin(small), [[0, 0, 28, 28]])
    assert np.allclose(labels.with_margin(large), [[-3, -3, 303, 303]])
    assert np.allclose(labels.tight(labels.with_margin(small)), small)


@pytest.mark.parametrize("build", [craft.helicopter, craft.drone, craft.bird])
def test_craft_built_from_numbers_can_be_drawn(build):
    rng = np.random.default_rng(1)
    sprite, box = render.render(build(rng), rng, labels.DRONE)
    assert sprite.shape[2] == 4
    assert sprite[..., 3].max() == 255
    assert 0 <= box[0] < box[2] <= sprite.shape[1]
