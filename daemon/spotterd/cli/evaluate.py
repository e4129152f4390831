"""`spotterd evaluate`: how good the detector is on labelled pictures, per precision."""

from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Annotated

import typer

from spotterd.cli.common import ConfigOption, JsonOption, progress

if TYPE_CHECKING:
    from spotterd.builder.score import Score
    from spotterd.config.schema import Config

LOWEST_SCORE = 0.01  # average precision looks at the whole curve
MOST_DETECTIONS = 100  # a picture, as COCO counts


def evaluate(
    images: Annotated[Path, typer.Option(help="folder of the pictures")],
    annotations: Annotated[Path, typer.Option(help="COCO annotations of them")],
    precision: Annotated[str, typer.Option(help="fp32, fp16, int8; several with commas")] = "fp32",
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure AP, F1 and false alarms on labelled pictures, per precision."""
    from spotterd.config.load import load

    settings = load(config)
    scores = {
        name: _measure(settings, name, images, annotations) for name in _precisions(precision)
    }
    if as_json:
        _print_json(scores, annotations, settings)
    else:
        _print_table(scores, settings.detector.score)


def _precisions(text: str) -> list[str]:
    from typing import get_args

    from spotterd.config.schema import Precision
    from spotterd.errors import BadInputError

    names = [name.strip() for name in text.split(",")]
    unknown = [name for name in names if name not in get_args(Precision)]
    if unknown:
        raise BadInputError(f"Unknown precision '{unknown[0]}'. Known: fp32, fp16, int8.")
    return names


def _measure(settings: "Config", precision: str, images: Path, annotations: Path) -> "Score":
    from spotterd.builder.score import score
    from spotterd.builder.truth import load_truth, look
    from spotterd.inference.detector import Detector
    from spotterd.inference.model import labels_of
    from spotterd.inference.open import open_backend

    backend = open_backend(settings.detector, settings.engines)
    try:
        labels = labels_of(backend.model, settings.detector.labels)
        truth = load_truth(images, annotations, labels)
        detector = Detector(backend, labels, LOWEST_SCORE, settings.detector.iou, MOST_DETECTIONS)
        with progress(precision) as show:
            found, taken_ms = look(
                detector,
                [item.path for item in truth],
                lambda done: show(done / len(truth), f"{done} of {len(truth)}"),
            )
    finally:
        backend.close()
    return score(truth, found, labels, settings.detector.score, round(median(taken_ms), 2))


def _print_json(scores: dict[str, "Score"], annotations: Path, settings: "Config") -> None:
    import json

    pictures = len(json.loads(annotations.read_text(encoding="utf-8"))["images"])
    print(
        json.dumps(
            {
                "images": pictures,
                "threshold": settings.detector.score,
                "precisions": {name: scores[name].model_dump() for name in scores},
            }
        )
    )


def _print_table(scores: dict[str, "Score"], threshold: float) -> None:
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
