"""`spotterd bench`: how fast is it, and where does the time go?"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spotterd.cli.common import ConfigOption, JsonOption, progress

if TYPE_CHECKING:
    from spotterd.config.schema import Config
    from spotterd.service.bench import Measured, Memory

COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7")  # told apart by the colour-blind, too


def bench(
    config: ConfigOption = None,
    source: Annotated[
        str, typer.Option(help="a recording, or a camera faster than the detector")
    ] = "sim:?live=0",
    precision: Annotated[
        str, typer.Option(help="auto, fp32, fp16, int8; several with commas")
    ] = "fp32",
    seconds: Annotated[float, typer.Option(help="for each measurement")] = 3.0,
    count: Annotated[int, typer.Option("--rounds", help="of two measurements")] = 8,
    plot: Annotated[Path | None, typer.Option(help="write a picture (PNG)")] = None,
    as_json: JsonOption = False,
) -> None:
    """Measure the daemon, camera to broker, against the bare backend, side by side in one run."""
    from spotterd.config.load import load
    from spotterd.publish.broker import DemoBroker
    from spotterd.service.bench import measure, memory

    told = {}
    with DemoBroker() as broker:
        for name in precision.split(","):
            tree = {
                "cameras": {"main": {"source": source, "loop": True}},
                "mqtt": {"url": broker.url},
                "engines": {"precision": name.strip()},
            }
            settings = load(config, tree)
            became = _built_before(settings)
            with progress(f"measuring {name}") as show:
                measured = measure(settings, seconds, count, show)
            told[name] = _told(measured, memory(settings, seconds), became)
    if as_json:
        print(json.dumps({"source": source, "precisions": told}))
    else:
        for name, figures in told.items():
            _print(name, figures)
    if plot:
        _plot(told, plot)


def _built_before(settings: "Config") -> str:
    """Build the engine if there is none yet; the precision it came to."""
    from spotterd.builder.wanted import want
    from spotterd.cli.build import engine_of

    return engine_of(want(settings.detector, settings.engines)).sidecar.precision


def _told(measured: "Measured", held: "Memory", became: str) -> dict[str, Any]:
    middle = measured.middle
    return {
        "engine": became,
        "efficiency": round(middle.efficiency, 3),
        "efficiencies": [round(r.efficiency, 3) for r in measured.rounds],
        "bare_fps": round(middle.bare_fps, 2),
        "bare_median_ms": round(measured.bare_ms, 2),
        "fps": round(middle.fps, 2),
        "cpu_ms_outside_inference": round(sum(measured.cpu_ms.values()), 2),
        "cpu_ms": {name: round(ms, 2) for name, ms in sorted(measured.cpu_ms.items())},
        "stages_ms": {
            s.name: {"p50": round(s.took.p50_ms, 2), "p99": round(s.took.p99_ms, 2)}
            for s in measured.figures.stages
        },
        "rss_mib": round(held.rss_mib, 1),
        "peak_rss_mib": round(held.peak_mib, 1),
    }


def _print(name: str, told: dict[str, Any]) -> None:
    print(f"{name}" + (f" (engine: {told['engine']})" if told["engine"] != name else ""))
    print(f"  bare backend    {told['bare_fps']:8.2f} frames/s, median {told['bare_median_ms']} ms")
    print(f"  camera->broker  {told['fps']:8.2f} frames/s")
    spread = ", ".join(str(e) for e in told["efficiencies"])
    print(f"  efficiency      {told['efficiency']:8.3f} (rounds: {spread})")
    by_thread = ", ".join(f"{thread} {ms}" for thread, ms in told["cpu_ms"].items())
    print(f"  CPU ms a frame outside inference {told['cpu_ms_outside_inference']}: {by_thread}")
    for stage, took in told["stages_ms"].items():
        print(f"  {stage:<15} p50 {took['p50']:8.2f} ms, p99 {took['p99']:8.2f} ms")
    print(
        f"  resident memory {told['rss_mib']} MiB of `spotterd run`, {told['peak_rss_mib']} at most"
    )


def _plot(told: dict[str, Any], path: Path) -> None:
    """Throughput by precision, and the time of each stage."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, (left, right) = plt.subplots(
        1, 2, figsize=(12, 4.2), width_ratios=(2, 3), layout="constrained"
    )
    _plot_throughput(left, told)
    _plot_stages(right, told)
    figure.savefig(path, dpi=110)


def _plot_throughput(axes: Any, told: dict[str, Any]) -> None:
    names = [n if told[n]["engine"] == n else f"{n} ({told[n]['engine']})" for n in told]
    places = range(len(names))
    bare, whole = ([t[key] for t in told.values()] for key in ("bare_fps", "fps"))
    for shift, values, colour, label in (
        (-0.2, bare, "0.75", "bare backend"),
        (0.2, whole, "0.35", "camera to broker"),
    ):
        bars = axes.bar([x + shift for x in places], values, 0.4, color=colour, label=label)
        axes.bar_label(bars, fmt="%.1f", padding=2)
    axes.set_xticks(list(places), names)
    axes.set_ylabel("frames/s")
    axes.set_title("Throughput")
    axes.margins(y=0.25)
    axes.legend(loc="upper left")


def _plot_stages(axes: Any, told: dict[str, Any]) -> None:
    from matplotlib.ticker import FormatStrFormatter

    stages = list(next(iter(told.values()))["stages_ms"])
    width = 0.8 / len(told)
    for index, (name, figures) in enumerate(told.items()):
        took = [figures["stages_ms"].get(stage, {"p50": 0, "p99": 0}) for stage in stages]
        at = [place + (index - (len(told) - 1) / 2) * width for place in range(len(stages))]
        axes.bar(at, [t["p50"] for t in took], width, color=COLOURS[index], label=f"{name}, p50")
        axes.plot(at, [t["p99"] for t in took], "k_", label="p99" if index == 0 else None)
    axes.set_xticks(range(len(stages)), stages)
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter(FormatStrFormatter("%g"))
    axes.grid(axis="y", alpha=0.3)
    axes.set_axisbelow(True)
    axes.set_ylabel("ms a frame")
    axes.set_title("Time by stage")
    axes.legend()
