"""`spotterd evaluate`: how good the detector is on labelled pictures, per precision."""

from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Annotated

import typer

from spotterd.cli.common import ConfigOption, JsonOption, progress

if TYPE_CHECKING:
    from spotterd.builder.score import Score
    from spotterd.builder.truth import Labelled
    from spotterd.builder.wanted import Wanted
    from spotterd.config.schema import Precision

LOWEST_SCORE = 0.01  # average precision looks at the whole curve
MOST_DETECTIONS = 100  # a picture, as COCO counts
MAKING = 0.3  # share of the time that making an engine takes


def evaluate(
    images: Annotated[Path, typer.Option(help="folder of the pictures")],
    annotations: Annotated[Path, typer.Option(help="COCO annotations of them")],
    precision: Annotated[str, typer.Option(help="fp32, fp16, int8; several with commas")] = "fp32",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure AP, F1 and false alarms on labelled pictures, per precision."""
    from spotterd.builder.truth import load_truth
    from spotterd.builder.wanted import want
    from spotterd.config.load import load

    settings = load(config)
    precisions = _precisions(precision)
    wanted = want(settings.detector, settings.engines)
    truth = load_truth(images, annotations, wanted.labels)
    scores = {name: _measured(wanted, name, truth) for name in precisions}
    if as_json:
        _print_json(scores, len(truth), settings.detector.score)
    else:
        _print_table(scores, settings.detector.score)


def _precisions(text: str) -> list["Precision"]:
    from typing import get_args

    from spotterd.config.schema import Precision
    from spotterd.errors import BadInputError

    known = {str(name): name for name in get_args(Precision)}
    names = [name.strip() for name in text.split(",")]
    unknown = [name for name in names if name not in known]
    if unknown:
        raise BadInputError(f"Unknown precision '{unknown[0]}'. Known: {', '.join(known)}.")
    return [known[name] for name in names]


def _measured(wanted: "Wanted", precision: "Precision", truth: list["Labelled"]) -> "Score":
    """One precision on all pictures, whatever the gate says of it."""
    from spotterd.builder.progress import part
    from spotterd.builder.score import score
    from spotterd.builder.truth import look
    from spotterd.builder.ungated import opened
    from spotterd.builder.wanted import engine_store
    from spotterd.inference.detector import Detector

    seen = wanted.detector
    store = engine_store(wanted.engines)
    with progress(precision) as show:
        looking = part(show, MAKING, 1.0)
        with opened(wanted, store, precision, part(show, 0.0, MAKING)) as backend:
            detector = Detector(backend, wanted.labels, LOWEST_SCORE, seen.iou, MOST_DETECTIONS)
            found, taken_ms = look(
                detector,
                [item.path for item in truth],
                lambda done: looking(done / len(truth), f"picture {done} of {len(truth)}"),
            )
    return score(truth, found, wanted.labels, seen.score, round(median(taken_ms), 2))


def _print_json(scores: "dict[Precision, Score]", images: int, threshold: float) -> None:
    import json

    tree = {name: score.model_dump() for name, score in scores.items()}
    print(json.dumps({"images": images, "threshold": threshold, "precisions": tree}))


def _print_table(scores: "dict[Precision, Score]", threshold: float) -> None:
    from rich.console import Console
    from rich.table import Table

    def cell(value: float | None) -> str:
        return "-" if value is None else f"{value:.3f}"

    table = Table(title=f"F1, false alarms and centre recall at score {threshold:g}")
    table.add_column("")
    for name in scores:
        table.add_column(name, justify="right")
    columns = scores.values()
    for title in ("AP50", "AP", "F1", "craft_AP50", "centre_recall", "false_alarms_per_100_empty"):
        table.add_row(title, *(cell(getattr(score, title)) for score in columns))
    for label in next(iter(columns)).per_class:
        for title in ("AP50", "AP", "F1"):
            table.add_row(
                f"{label} {title}",
                *(cell(getattr(score.per_class[label], title)) for score in columns),
            )
    for size, first in next(iter(columns)).by_size.items():
        table.add_row(
            f"{size} AP50 ({first.objects})", *(cell(score.by_size[size].AP50) for score in columns)
        )
    table.add_row("ms an image", *(f"{score.ms_per_image:.1f}" for score in columns))
    Console().print(table)
