"""The training loop: resumable, on a schedule of hours, with a running average of the weights."""

from __future__ import annotations

import copy
import csv
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from training.batches import Batch, Batches, Shape
from training.data import Album
from training.loss import Losses, losses
from training.net import Sky
from training.warm import from_onnx

CPU_SHAPES = [Shape(96, 80, 0.35), Shape(160, 36, 0.25), Shape(416, 6, 0.15), Shape(640, 3, 0.25)]
"""Equal work a batch, and small: a slow machine needs many steps more than exact ones."""
GPU_SHAPES = [Shape(256, 128, 0.35), Shape(416, 48, 0.3), Shape(640, 24, 0.35)]
LOG_EVERY = 50
KEPT = 600
"""Batches that an `Echo` remembers: about 18 GB of a GPU's memory at the shapes above."""


@dataclass(frozen=True)
class Plan:
    """Everything that decides a run; written into its checkpoints."""

    data: Path
    out: Path
    sizes: tuple[str, ...] = ("n",)
    """Networks trained side by side on the same batches: scenes cost more than steps."""
    hours: float = 1.5
    """Length of the learning-rate schedule, resumed time counted in."""
    rate: float = 1.5e-3
    decay: float = 0.05
    warm_up: int = 300
    average: float = 0.9995
    echo: int = 1
    """Steps made of each batch; above 1, with mirroring and changed light (see Echo)."""
    seed: int = 20
    workers: int = 2
    threads: int = 2
    sprites: Path | None = None
    start: tuple[Path, ...] = ()
    """Weights to start from, one of each size (.pt or .onnx of this recipe): a fresh schedule."""
    resume: bool = False
    freeze_stem: bool = False
    """Leave the layers down to stride 4 as they are: a third less work a step."""
    save_every_s: float = 150.0


class Average:
    """Exponential moving average of the weights; starts quickly, ends slow."""

    def __init__(self, net: nn.Module, decay: float) -> None:
        self.net = copy.deepcopy(net).eval().requires_grad_(False)
        self.decay, self.steps = decay, 0
        pairs = list(zip(self.net.state_dict().values(), net.state_dict().values(), strict=True))
        self._mine = [a for a, _ in pairs if a.dtype.is_floating_point]
        self._theirs = [b.detach() for a, b in pairs if a.dtype.is_floating_point]

    @torch.no_grad()
    def update(self) -> None:
        """Take one step towards the trained weights."""
        self.steps += 1
        d = min(self.decay, (1 + self.steps) / (20 + self.steps))
        torch._foreach_lerp_(self._mine, self._theirs, 1 - d)


class Echo:
    """Remembers batches on the device and gives each out again, changed (Choi et al. 2019).

    With a GPU the scenes, made by CPU cores, are what a run waits for. A batch comes back after
    others have passed, mirrored and in another light, so a step on it still teaches nearly as much
    as one on a fresh batch.
    """

    def __init__(self, times: int, seed: int) -> None:
        self.times, self.rng = times, np.random.default_rng(seed)
        self.kept: list[Batch] = []

    def __call__(self, fresh: Batch) -> Iterator[Batch]:
        """Give the fresh batch, then `times - 1` remembered ones."""
        yield fresh
        if self.times == 1:
            return
        if len(self.kept) < KEPT:
            self.kept.append(fresh)
        else:
            self.kept[int(self.rng.integers(KEPT))] = fresh
        for _ in range(self.times - 1):
            yield self._changed(self.kept[int(self.rng.integers(len(self.kept)))])

    def _changed(self, batch: Batch) -> Batch:
        images, truth, ignored = batch
        gain = torch.rand(len(images), 1, 1, 1, device=images.device) * 0.6 + 0.7
        shift = torch.rand(len(images), 1, 1, 1, device=images.device) * 40 - 20
        images = (images * gain + shift).clamp_(0, 255)
        if self.rng.random() < 0.5:
            side = images.shape[2]
            images, truth, ignored = images.flip(2), truth.clone(), ignored.clone()
            truth[..., [1, 3]] = side - truth[..., [3, 1]]
            ignored[..., [0, 2]] = side - ignored[..., [2, 0]]
        return images, truth, ignored


def rate_at(plan: Plan, step: int, progress: float) -> float:
    """Give the learning rate: linear warm-up by steps, then half a cosine down to 2 %."""
    warm = min(1.0, (step + 1) / plan.warm_up)
    return plan.rate * warm * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0))))


def groups(net: nn.Module, plan: Plan) -> list[dict[str, Any]]:
    """Split parameters: only convolution kernels are decayed."""
    kernels = [p for p in net.parameters() if p.ndim > 1]
    rest = [p for p in net.parameters() if p.ndim <= 1]
    return [{"params": kernels, "weight_decay": plan.decay}, {"params": rest, "weight_decay": 0.0}]


def to_input(images: Tensor) -> Tensor:
    """Turn BxHxWx3 values 0..255 into Bx3xHxW float 0..1 in channels-last memory."""
    x = images.permute(0, 3, 1, 2).to(torch.float32).div(255)
    return x.contiguous(memory_format=torch.channels_last)


def save(path: Path, state: dict[str, Any]) -> None:
    """Write a checkpoint so that a crash in the middle leaves the last one."""
    part = path.with_suffix(".part")
    torch.save(state, part)
    part.replace(path)


class Recorded:
    """A step recorded once for each shape of batch and replayed: a CUDA graph.

    Launched one by one, the kernels of a small network take Python ten times as long as the GPU.
    The step must not look at any tensor's values, and whoever reads what it gives must do so
    before the next call.
    """

    def __init__(self, step: Callable[[Batch], Losses]) -> None:
        self.step, self.pool = step, torch.cuda.graph_pool_handle()
        self.made: dict[tuple[torch.Size, ...], tuple[torch.cuda.CUDAGraph, Batch, Losses]] = {}

    def __call__(self, batch: Batch) -> Losses:
        """Make one step."""
        shapes = tuple(t.shape for t in batch)
        if shapes not in self.made:
            self.made[shapes] = self._record(batch)
        graph, inputs, out = self.made[shapes]
        for mine, theirs in zip(inputs, batch, strict=True):
            mine.copy_(theirs)
        graph.replay()
        return out

    def _record(self, batch: Batch) -> tuple[torch.cuda.CUDAGraph, Batch, Losses]:
        x, truth, ignored = (t.clone() for t in batch)
        inputs = (x, truth, ignored)
        now, aside = torch.cuda.current_stream(), torch.cuda.Stream()
        aside.wait_stream(now)
        with torch.cuda.stream(aside):
            for _ in range(3):  # choose algorithms, allocate the optimizer's state
                self.step(inputs)
        now.wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        # Other threads (the loader's pinning one) may use CUDA meanwhile.
        with torch.cuda.graph(graph, pool=self.pool, capture_error_mode="thread_local"):
            out = self.step(inputs)
        return graph, inputs, out


class Learner:
    """One network being trained: its optimizer, running average, log and checkpoint."""

    def __init__(self, plan: Plan, size: str, device: torch.device) -> None:
        self.plan, self.size, self.step = plan, size, 0
        net = Sky(size)
        start = dict(zip(plan.sizes, plan.start, strict=False)).get(size)
        if start and start.suffix == ".onnx":
            net = from_onnx(start, size, _scenes(plan, 8))
        elif start:
            state = torch.load(start, map_location="cpu", weights_only=True)
            net.load_state_dict(state["weights"])
        self.net = net.to(device, memory_format=torch.channels_last).train()
        self.net.stem.requires_grad_(not plan.freeze_stem)
        self.average = Average(self.net, plan.average)
        cuda = device.type == "cuda"
        self.rate = torch.tensor(plan.rate, device=device)
        self.optimizer = torch.optim.AdamW(
            groups(self.net, plan), lr=self.rate, betas=(0.9, 0.99), fused=cuda, capturable=cuda
        )
        self.make_step = Recorded(self._step) if cuda else self._step
        self.checkpoint = plan.out / f"sky-{size}.checkpoint.pt"
        self.weights = plan.out / f"sky-{size}.weights.pt"
        self.log = plan.out / f"sky-{size}.csv"

    def resume(self, device: torch.device) -> float:
        """Go on from the checkpoint, if there is one; give the hours' seconds already spent."""
        if not self.checkpoint.exists():
            return 0.0
        state = torch.load(self.checkpoint, map_location=device, weights_only=True)
        self.net.load_state_dict(state["net"])
        self.average.net.load_state_dict(state["average"])
        self.average.steps = self.step = state["step"]
        self.optimizer.load_state_dict(state["optimizer"])
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate  # loading made a copy
        return float(state["spent"])

    def _step(self, batch: Batch) -> Losses:
        x, truth, ignored = batch
        self.optimizer.zero_grad(set_to_none=True)
        # No cache of converted weights: a recorded step must convert them each time.
        with torch.autocast(x.device.type, torch.bfloat16, cache_enabled=False):
            levels = self.net(x)
        loss = losses(levels, truth, ignored)
        loss.total.backward()
        nn.utils.clip_grad_norm_(self.net.parameters(), 10.0)
        self.optimizer.step()
        return loss

    def learn(self, batch: Batch, progress: float) -> None:
        """Make one step on a batch whose pictures are the network's input; log now and then."""
        self.rate.fill_(rate_at(self.plan, self.step, progress))
        loss = self.make_step(batch)
        self.average.update()
        self.step += 1
        if self.step % LOG_EVERY == 0:
            parts = [f"{float(v.detach()):.4f}" for v in (loss.total, loss.score, loss.box)]
            spent = f"{progress * self.plan.hours:.4f}"
            rate, side = f"{float(self.rate):.2e}", batch[0].shape[-1]
            row = [self.step, spent, rate, *parts, int(loss.positives), side]
            with self.log.open("a", newline="") as file:
                csv.writer(file).writerow(row)

    def save(self, spent: float) -> None:
        """Write everything to go on with, and the averaged weights by themselves."""
        average = self.average.net.state_dict()
        facts = {"size": self.size, "step": self.step, "spent": spent}
        rest = {"net": self.net.state_dict(), "optimizer": self.optimizer.state_dict()}
        plan = {k: str(v) for k, v in asdict(self.plan).items()}
        save(self.checkpoint, {**facts, **rest, "average": average, "plan": plan})
        save(self.weights, {**facts, "weights": average})


def train(plan: Plan) -> list[Path]:
    """Train until the schedule's end; give the file of averaged, settled weights of each size."""
    torch.manual_seed(plan.seed)
    np.random.seed(plan.seed)  # noqa: NPY002 - for third parties; this recipe passes its own generators
    torch.set_num_threads(plan.threads)
    torch.backends.cudnn.benchmark = True
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    plan.out.mkdir(parents=True, exist_ok=True)
    learners = [Learner(plan, size, device) for size in plan.sizes]
    spent = max([learner.resume(device) for learner in learners] if plan.resume else [0.0])
    cache = plan.out.parent / "cache"
    Album(plan.data, "train", cache)  # decoded once, before every worker would do it
    batches = Batches(
        plan.data,
        cache,
        plan.sprites,
        GPU_SHAPES if device.type == "cuda" else CPU_SHAPES,
        seed=plan.seed,
        first=learners[0].step // plan.echo,
    )
    loader = DataLoader(
        batches,
        batch_size=None,
        num_workers=plan.workers,
        pin_memory=device.type == "cuda",
        prefetch_factor=4 if plan.workers else None,
    )
    for learner in learners:
        if not learner.step:
            learner.log.write_text("step,hours,rate,loss,score,box,positives,side\n")
    echo = Echo(plan.echo, plan.seed)
    saved = begun = time.monotonic()
    for made in loader:
        fresh: Batch = tuple(t.to(device, non_blocking=True) for t in made)
        progress = (spent + time.monotonic() - begun) / (plan.hours * 3600)
        if progress >= 1:
            break
        for batch in echo(fresh):
            ready = (to_input(batch[0]), *batch[1:])
            for learner in learners:
                learner.learn(ready, progress)
        if time.monotonic() - saved > plan.save_every_s:
            saved = time.monotonic()
            for learner in learners:
                learner.save(spent + saved - begun)
    for learner in learners:
        learner.save(spent + time.monotonic() - begun)
    return [settle(plan, learner.weights) for learner in learners]


def settle(plan: Plan, weights: Path, batches: int = 16) -> Path:
    """Measure batch-norm statistics anew on whole 640 px scenes; give the file of settled weights.

    While training they are a mixture over crops of all sizes; the network runs on whole pictures.
    Settling took class-agnostic AP50 from 0.51 to 0.60 in a run of 3000 steps.
    """
    state = torch.load(weights, map_location="cpu", weights_only=True)
    net = Sky(state["size"])
    net.load_state_dict(state["weights"])
    net = net.to(memory_format=torch.channels_last).train()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None  # a plain mean over the batches below
    with torch.no_grad():
        for images in _scenes(plan, batches):
            net(images)
    settled = weights.with_name(weights.name.replace("weights", "settled"))
    save(settled, {**state, "weights": net.state_dict()})
    return settled


def _scenes(plan: Plan, count: int) -> list[Tensor]:
    """Make a few batches of whole 640 px scenes, 4x3x640x640 each."""
    cache = plan.out.parent / "cache"
    made = Batches(plan.data, cache, plan.sprites, [Shape(640, 4, 1.0)], seed=plan.seed + 1)
    return [to_input(b[0]) for _, b in zip(range(count), made, strict=False)]
