"""`spotterd bench`: how fast is it, and where does the time go?"""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spotterd.cli.common import ConfigOption, JsonOption, progress

if TYPE_CHECKING:
    from spotterd.service.bench import Round


def bench(
    config: ConfigOption = None,
    source: Annotated[
        str, typer.Option(help="a recording, or a camera faster than the detector")
    ] = "sim:?live=0",
    seconds: Annotated[float, typer.Option(help="for each measurement")] = 8.0,
    count: Annotated[int, typer.Option("--rounds", help="pairs of measurements")] = 3,
    as_json: JsonOption = False,
) -> None:
    """Measure the daemon, camera to broker, against the bare backend, side by side in one run."""
    from spotterd.config.load import load
    from spotterd.publish.broker import DemoBroker
    from spotterd.service.bench import middle, rounds

    with DemoBroker() as broker:
        camera = {"source": source, "loop": True}
        settings = load(config, {"cameras": {"main": camera}, "mqtt": {"url": broker.url}})
        with progress("measuring") as show:
            measured = rounds(settings, seconds, count, show)
    told = _told(middle(measured), measured)
    if as_json:
        print(json.dumps(told))
    else:
        _print(told)


def _told(median: "Round", measured: "list[Round]") -> dict[str, Any]:
    figures = median.whole.figures
    return {
        "efficiency": round(median.efficiency, 3),
        "efficiencies": [round(r.efficiency, 3) for r in measured],
        "bare_fps": round(median.bare.fps, 2),
        "bare_median_ms": round(median.bare.median_ms, 2),
        "fps": round(median.whole.fps, 2),
        "cpu_ms_outside_inference": round(sum(median.whole.cpu_ms.values()), 2),
        "cpu_ms": {name: round(ms, 2) for name, ms in sorted(median.whole.cpu_ms.items())},
        "stages_ms": {
            s.name: {"p50": round(s.took.p50_ms, 2), "p99": round(s.took.p99_ms, 2)}
            for s in figures.stages
        },
        "rss_mib": round(median.whole.rss_mib, 1),
    }


def _print(told: dict[str, Any]) -> None:
    print(f"bare backend    {told['bare_fps']:8.2f} frames/s   median {told['bare_median_ms']} ms")
    print(f"camera->broker  {told['fps']:8.2f} frames/s")
    spread = ", ".join(str(e) for e in told["efficiencies"])
    print(f"efficiency      {told['efficiency']:8.3f}            rounds: {spread}")
    print(f"CPU outside inference {told['cpu_ms_outside_inference']} ms a frame: {told['cpu_ms']}")
    for name, took in told["stages_ms"].items():
        print(f"  {name:<12} p50 {took['p50']:8.2f} ms   p99 {took['p99']:8.2f} ms")
    print(f"resident memory {told['rss_mib']} MiB (this process; it also measures)")
