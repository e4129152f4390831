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
    """One batch: the sum to step on, its parts for the log and the number of positive anchors.

    All are tensors without dimensions: to look at one waits for the device.
    """

    total: Tensor
    score: Tensor
    box: Tensor
    positives: Tensor


def area(wh: Tensor) -> Tensor:
    """Give the product of ...x2; unlike `prod` its gradient need not look for zeros, and wait."""
    return wh[..., 0] * wh[..., 1]


def iou_pairs(a: Tensor, b: Tensor, *, complete: bool = False) -> Tensor:
    """Give the (complete) IoU of boxes ...x4 (x1 y1 x2 y2), broadcast over the rest."""
    lt, rb = torch.maximum(a[..., :2], b[..., :2]), torch.minimum(a[..., 2:], b[..., 2:])
    inter = area((rb - lt).clamp(min=0))
    wh_a, wh_b = (
        (a[..., 2:] - a[..., :2]).clamp(min=1e-3),
        (b[..., 2:] - b[..., :2]).clamp(min=1e-3),
    )
    iou = inter / (area(wh_a) + area(wh_b) - inter + 1e-7)
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
    scale = area((b[..., 2:] - b[..., :2]).clamp(min=1)).sqrt().clamp(min=WASSERSTEIN_PX)
    return torch.exp(-torch.sqrt(centre + wh + 1e-6) / (0.5 * scale))


@torch.no_grad()
def assign(  # noqa: PLR0917 - one batch, column by column
    logits: Tensor, boxes: Tensor, points: Tensor, strides: Tensor, truth: Tensor, ignored: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Pair anchors with boxes.

    logits BxNxK, boxes BxNx4, points Nx2, strides N; truth BxMx5 (class, x1 y1 x2 y2; class -1 in
    rows that only pad); ignored BxJx4 regions (padded with empty ones). Gives the index of the
    truth per anchor (BxN, -1 for none), the target score BxN and the mask BxN of anchors that
    count.
    """
    n, real = len(points), truth[..., 0] >= 0
    at = points[None, :, None]
    inside = (at >= ignored[:, None, :, :2]) & (at < ignored[:, None, :, 2:])  # BxNxJx2
    counts = ~inside.all(-1).any(-1)
    gt = truth[..., 1:]
    centre = (gt[..., :2] + gt[..., 2:]) / 2
    half = (gt[..., 2:] - gt[..., :2]) / 2
    # Near the middle, so that a large craft trains the same anchors every time; a tiny box still
    # holds one. Each level serves sizes of its own: left free, the middle one took all the large.
    reach = torch.maximum(half[:, :, None], strides[:, None] * 0.75)  # BxMxNx2
    reach = torch.minimum(reach, strides[:, None] * CENTRE_RADIUS)
    near = ((points - centre[:, :, None]).abs() < reach).all(-1) & real[..., None]
    side = area((half * 2).clamp(min=0)).sqrt()[..., None]
    near &= (side <= strides * 14) | (strides == STRIDES[-1])
    near &= (side >= strides * 2.5) | (strides == STRIDES[0])
    iou = iou_pairs(gt[:, :, None], boxes[:, None])
    close = 0.5 * (iou + wasserstein(boxes[:, None], gt[:, :, None]))
    classes = truth[..., 0].long().clamp(min=0)
    score = logits.sigmoid().gather(2, classes[:, None].expand(-1, n, -1)).transpose(1, 2)
    metric = score.clamp(min=1e-6) ** SCORE_POWER * close**IOU_POWER * near  # BxMxN
    top = metric.topk(min(TOP_K, n), 2)
    chosen = torch.zeros_like(metric).scatter_(2, top.indices, 1.0).bool() & (metric > 0)
    best = torch.where(chosen, close, torch.full_like(close, -1)).max(1)
    positive = best.values >= 0
    owner = torch.where(positive, best.indices, -1)
    order = torch.arange(gt.shape[1], device=gt.device)[:, None]
    aligned = metric * (order == owner[:, None])
    peak = aligned.amax(2, keepdim=True)
    peak_close = (close * (aligned > 0)).amax(2, keepdim=True)
    # Never starve a box that is still far off.
    target = (aligned / (peak + 1e-9) * peak_close.clamp(min=0.4)).amax(1)
    return owner, target, counts | positive


def losses(levels: list[tuple[Tensor, Tensor]], truth: Tensor, ignored: Tensor) -> Losses:
    """Give the loss of a batch; `truth` BxMx5 and `ignored` BxJx4 as `assign` takes them."""
    logits, boxes, points, strides = decode(levels)
    owner, target, counts = assign(logits.detach(), boxes.detach(), points, strides, truth, ignored)
    hit = owner >= 0
    index = owner.clamp(min=0)
    classes = truth[..., 0].long().clamp(min=0).gather(1, index)
    # All anchors, most of them with weight zero: shapes that never change can be recorded.
    mine = truth[..., 1:].gather(1, index[..., None].expand(-1, -1, 4))
    weight = target * hit
    wanted = torch.zeros_like(logits).scatter_(2, classes[..., None], weight[..., None])
    apart = 1 - iou_pairs(boxes, mine, complete=True)
    far = 1 - wasserstein(boxes, mine)
    box_sum = ((BOX_WEIGHT * apart + WASSERSTEIN_WEIGHT * far) * weight).sum()
    # On an object every class counts in full, or the classes stay undecided; elsewhere only what
    # the network believes in costs much.
    factor = torch.where(hit[..., None], 1.0, BACKGROUND_WEIGHT * logits.detach().sigmoid())
    entropy = functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    score_sum = (entropy * factor * counts[..., None]).sum()
    scale = weight.sum().clamp(min=0.5 * len(truth))
    return Losses(
        (SCORE_WEIGHT * score_sum + box_sum) / scale,
        score_sum.detach() / scale,
        box_sum.detach() / scale,
        hit.sum(),
    )
