"""Measuring calibration ranges: pictures through the network, a histogram for each activation."""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor

import onnx
import onnxruntime as ort

from spotterd.builder.entropy import Histogram
from spotterd.builder.graph import layout, picture_input, prepared
from spotterd.data import Floats


def measure(
    model: onnx.ModelProto,
    inputs: Iterable[Floats],
    seen: Callable[[int], None] = lambda _done: None,
) -> dict[str, Histogram]:
    """Run pictures through a network and count every activation that INT8 may hold.

    One picture at a time: the memory is that of one picture's activations, however many there are.

    Args:
        model: the FP32 network.
        inputs: (1, 3, h, w) float32 arrays; each is used before the next is asked for.
        seen: called with the number of pictures done.

    Raises:
        ValueError: an activation is not a finite number.
    """
    named = prepared(model)
    wanted = layout(named).activations
    known = {v.name: v for v in (*named.graph.value_info, *named.graph.output)}
    given = {tensor.name for tensor in named.graph.output}
    picture = picture_input(named).name
    named.graph.output.extend(known[name] for name in wanted if name in known and name not in given)
    options = ort.SessionOptions()
    options.enable_cpu_mem_arena = False  # outputs are freed, not hoarded
    options.enable_mem_pattern = False
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    session = ort.InferenceSession(
        named.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    names = [tensor.name for tensor in session.get_outputs()]
    histograms = {name: Histogram() for name in wanted}
    counted = [name for name in names if name in histograms]
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:  # counting gives up the GIL
        for done, array in enumerate(inputs, start=1):
            outputs = session.run(counted, {picture: array})
            list(pool.map(Histogram.add, (histograms[name] for name in counted), outputs))
            del outputs  # not two pictures' activations at a time
            if picture in histograms:
                histograms[picture].add(array)
            seen(done)
    return histograms


def by_entropy(histograms: dict[str, Histogram]) -> dict[str, tuple[float, float]]:
    """Clipped where that distorts least."""
    return {name: histogram.range() for name, histogram in histograms.items()}


def by_extremes(histograms: dict[str, Histogram]) -> dict[str, tuple[float, float]]:
    """Nothing clipped: rare, strong activations (a far craft in a wide sky) keep their height."""
    return {name: (found.lowest, found.highest) for name, found in histograms.items()}
