"""Which anchors answer for which box, and what a wrong answer costs.

Assignment: task-aligned (Feng et al. 2021, TOOD): per box the anchors with the best
score^a * IoU^b, where IoU is softened by a Gaussian closeness so that boxes of a few pixels, whose
IoU is zero at first, still get anchors.
Scores: cross-entropy towards the alignment on objects, focal with power one elsewhere. Varifocal
loss (Zhang et al. 2021) was tried first: it damps wrong classes on objects by p^2 as well, and
after 1700 steps all four classes still scored alike on every object.
Boxes: complete IoU (Zheng et al. 2020) mixed with the normalised Wasserstein distance (Wang et al.
2021), which is kinder to tiny boxes than any overlap.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from training.net import STRIDES, decode

TOP_K = 10
SCORE_POWER, IOU_POWER = 0.5, 4.0
WASSERSTEIN_PX = 24.0
"""Scale of the Gaussian distance: about the side of a typical labelled box."""
CENTRE_RADIUS = 2.5
"""Candidates lie within this many strides of a box's middle, as in FCOS and SimOTA."""
BACKGROUND_WEIGHT = 0.75
BOX_WEIGHT, WASSERSTEIN_WEIGHT, SCORE_WEIGHT = 2.0, 1.0, 1.0


@dataclass
class Losses:
    """One batch: the sum to step on, its parts for the log and the number of positive anchors."""

    total: Tensor
    score: float
    box: float
    positives: int


def iou_pairs(a: Tensor, b: Tensor, *, complete: bool = False) -> Tensor:
    """Give the (complete) IoU of boxes ...x4 (x1 y1 x2 y2), broadcast over the rest."""
    lt, rb = torch.maximum(a[..., :2], b[..., :2]), torch.minimum(a[..., 2:], b[..., 2:])
    inter = (rb - lt).clamp(min=0).prod(-1)
    wh_a, wh_b = (
        (a[..., 2:] - a[..., :2]).clamp(min=1e-3),
        (b[..., 2:] - b[..., :2]).clamp(min=1e-3),
    )
    iou = inter / (wh_a.prod(-1) + wh_b.prod(-1) - inter + 1e-7)
    if not complete:
        return iou
    hull = torch.maximum(a[..., 2:], b[..., 2:]) - torch.minimum(a[..., :2], b[..., :2])
    centre = ((a[..., :2] + a[..., 2:] - b[..., :2] - b[..., 2:]) ** 2).sum(-1) / 4
    shape = (torch.atan(wh_a[..., 0] / wh_a[..., 1]) - torch.atan(wh_b[..., 0] / wh_b[..., 1])) * (
        2 / math.pi
    )
    v = shape**2
    with torch.no_grad():
        weight = v / (v - iou + 1 + 1e-7)
    return iou - centre / ((hull**2).sum(-1) + 1e-7) - weight * v


def wasserstein(a: Tensor, b: Tensor) -> Tensor:
    """Give the normalised Gaussian Wasserstein similarity in 0..1 of boxes ...x4 (x1 y1 x2 y2)."""
    centre = (((a[..., :2] + a[..., 2:]) - (b[..., :2] + b[..., 2:])) ** 2).sum(-1) / 4
    wh = (((a[..., 2:] - a[..., :2]) - (b[..., 2:] - b[..., :2])) ** 2).sum(-1) / 4
    scale = (b[..., 2:] - b[..., :2]).clamp(min=1).prod(-1).sqrt().clamp(min=WASSERSTEIN_PX)
    return torch.exp(-torch.sqrt(centre + wh + 1e-6) / (0.5 * scale))


@torch.no_grad()
def assign(  # noqa: PLR0917 - one picture, column by column
    logits: Tensor, boxes: Tensor, points: Tensor, strides: Tensor, truth: Tensor, ignored: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Pair one picture's anchors with its boxes.

    logits NxK, boxes Nx4, points Nx2, strides N; truth Mx5 (class, x1 y1 x2 y2); ignored Jx4
    regions. Gives the index of the truth per anchor (N, -1 for none), the target score N and the
    mask N of anchors that count.
    """
    n = len(points)
    owner = torch.full((n,), -1, dtype=torch.long, device=points.device)
    target = torch.zeros(n, device=points.device)
    counts = torch.ones(n, dtype=torch.bool, device=points.device)
    if len(ignored):
        inside = (
            ((points[:, None] >= ignored[:, :2]) & (points[:, None] <= ignored[:, 2:]))
            .all(-1)
            .any(1)
        )
        counts &= ~inside
    if not len(truth):
        return owner, target, counts
    gt = truth[:, 1:]
    centre = (gt[:, :2] + gt[:, 2:]) / 2
    half = (gt[:, 2:] - gt[:, :2]) / 2
    # Near the middle, so that a large craft trains the same anchors every time; a tiny box still
    # holds one. Each level serves sizes of its own: left free, the middle one took all the large.
    reach = torch.maximum(half[:, None], strides[None, :, None] * 0.75)  # MxNx2
    reach = torch.minimum(reach, strides[None, :, None] * CENTRE_RADIUS)
    near = ((points[None] - centre[:, None]).abs() < reach).all(-1)
    side = (half * 2).prod(1).sqrt()[:, None]
    near &= (side <= strides[None] * 14) | (strides[None] == STRIDES[-1])
    near &= (side >= strides[None] * 2.5) | (strides[None] == STRIDES[0])
    iou = iou_pairs(gt[:, None], boxes[None])
    close = 0.5 * (iou + wasserstein(boxes[None], gt[:, None].expand(-1, n, -1)))
    score = logits.sigmoid()[:, truth[:, 0].long()].T
    metric = score.clamp(min=1e-6) ** SCORE_POWER * close**IOU_POWER * near
    top = metric.topk(min(TOP_K, n), 1)
    chosen = torch.zeros_like(metric).scatter_(1, top.indices, 1.0).bool() & (metric > 0)
    best = torch.where(chosen, close, torch.full_like(close, -1)).max(0)
    positive = best.values >= 0
    owner[positive] = best.indices[positive]
    aligned = metric * (torch.arange(len(gt), device=gt.device)[:, None] == owner[None])
    peak = aligned.amax(1, keepdim=True)
    peak_close = (close * (aligned > 0)).amax(1, keepdim=True)
    target = (aligned / (peak + 1e-9) * peak_close.clamp(min=0.4)).amax(
        0
    )  # never starve a box that is still far off
    counts |= positive
    return owner, target, counts


def losses(
    levels: list[tuple[Tensor, Tensor]], truths: list[Tensor], ignored: list[Tensor]
) -> Losses:
    """Give the loss of a batch; `truths` and `ignored` hold an Mx5 and a Jx4 a picture."""
    logits, boxes, points, strides = decode(levels)
    score_sum = logits.new_zeros(())
    box_sum = logits.new_zeros(())
    weight_sum, positives = 0.0, 0
    for logit, box, truth, skip in zip(logits, boxes, truths, ignored, strict=True):
        owner, target, counts = assign(logit.detach(), box.detach(), points, strides, truth, skip)
        hit = owner >= 0
        wanted = torch.zeros_like(logit)
        if hit.any():
            mine = truth[owner[hit]]
            wanted[hit.nonzero()[:, 0], mine[:, 0].long()] = target[hit]
            weight = target[hit]
            iou = iou_pairs(box[hit], mine[:, 1:], complete=True)
            near = wasserstein(box[hit], mine[:, 1:])
            box_sum = (
                box_sum
                + ((BOX_WEIGHT * (1 - iou) + WASSERSTEIN_WEIGHT * (1 - near)) * weight).sum()
            )
            weight_sum += float(weight.sum())
            positives += int(hit.sum())
        p = logit.detach().sigmoid()
        # On an object every class counts in full, or the classes stay undecided; elsewhere
        # only what the network believes in costs much.
        factor = torch.where(hit[:, None], 1.0, BACKGROUND_WEIGHT * p)
        entropy = functional.binary_cross_entropy_with_logits(logit, wanted, reduction="none")
        score_sum = score_sum + (entropy * factor * counts[:, None]).sum()
    scale = max(weight_sum, float(len(truths)) * 0.5)
    total = (SCORE_WEIGHT * score_sum + box_sum) / scale
    return Losses(
        total, float(score_sum.detach()) / scale, float(box_sum.detach()) / scale, positives
    )
