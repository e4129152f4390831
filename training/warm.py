"""Start from a shipped ONNX file: its convolutions, with batch norm put back between them.

Exporting folds each batch norm into its convolution. To train on, a norm is needed again: one that
changes nothing at first. Statistics of the bare convolutions are measured on a few batches, scale
and offset set so that (y - mean) / deviation * scale + offset = y + bias.
"""

from __future__ import annotations

from pathlib import Path

import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from training.net import Conv, Sky


def _executed(net: Sky) -> list[nn.Conv2d]:
    """List the convolutions in the order in which a forward pass reaches them."""
    order: list[nn.Conv2d] = []
    convs = [m for m in net.modules() if isinstance(m, nn.Conv2d)]
    hooks = [c.register_forward_hook(lambda m, *_: order.append(m)) for c in convs]
    with torch.no_grad():
        net.eval()(torch.zeros(1, 3, 64, 64))
    for hook in hooks:
        hook.remove()
    return order


def from_onnx(path: Path, size: str, batches: list[Tensor]) -> Sky:
    """Give a trainable network that answers as the ONNX file does.

    Args:
        path: a file written by `training.export`.
        size: the network size that it was made with.
        batches: pictures Bx3xHxW, 0..1, as it will be trained on, to measure statistics with.
    """
    graph = onnx.load(path).graph
    known = {i.name: torch.tensor(numpy_helper.to_array(i)) for i in graph.initializer}
    nodes = [n for n in graph.node if n.op_type == "Conv"]
    net = Sky(size)
    convs = _executed(net)
    norms = {id(m[0]): m[1] for m in net.modules() if isinstance(m, Conv)}
    if len(nodes) != len(convs):
        message = f"{path} has {len(nodes)} convolutions, sky-{size} has {len(convs)}"
        raise ValueError(message)
    with torch.no_grad():
        for node, conv in zip(nodes, convs, strict=True):
            conv.weight.copy_(known[node.input[1]])
            norm = norms.get(id(conv))
            if norm is None and conv.bias is not None:
                conv.bias.copy_(known[node.input[2]])
            elif norm is not None:
                norm.bias.copy_(known[node.input[2]])
                norm.running_var.fill_(1 - norm.eps)
        sums = {
            k: [torch.zeros(n.num_features, dtype=torch.float64) for _ in "ab"]
            for k, n in norms.items()
        }
        hooks = []
        for key, norm in norms.items():

            def measure(_: nn.Module, args: tuple[Tensor], key: int = key) -> None:
                y = args[0].double()
                sums[key][0] += y.mean((0, 2, 3))
                sums[key][1] += (y**2).mean((0, 2, 3))

            hooks.append(norm.register_forward_pre_hook(measure))
        for batch in batches:
            net.eval()(batch)
        for hook in hooks:
            hook.remove()
        for key, norm in norms.items():
            mean, square = (s / len(batches) for s in sums[key])
            variance = (square - mean**2).clamp(min=1e-6)
            norm.running_mean.copy_(mean)
            norm.running_var.copy_(variance)
            norm.weight.copy_((variance + norm.eps).sqrt())
            norm.bias.add_(mean)
    return net
