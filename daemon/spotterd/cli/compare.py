"""`spotterd compare`: the FP32 model and the built engine on the same pictures, side by side."""

from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spotterd.cli.common import ConfigOption, JsonOption, progress

if TYPE_CHECKING:
    from collections.abc import Callable

    from spotterd.builder.side_by_side import SideBySide
    from spotterd.builder.wanted import Wanted
    from spotterd.cli.detect_files import Copies
    from spotterd.config.schema import Precision


def compare(
    inputs: Annotated[list[Path], typer.Argument(help="pictures, folders of these, videos")],
    out: Annotated[Path, typer.Option(help="folder for the side-by-side copies")],
    precision: Annotated[
        str | None, typer.Option(help="fp16 or int8, gate or no gate; default: the built engine")
    ] = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Draw what FP32 and the built engine see, with both speeds, and tell how they differ."""
    from spotterd.builder.ladder import reference_detector
    from spotterd.builder.side_by_side import Side, SideBySide
    from spotterd.builder.truth import alike
    from spotterd.builder.ungated import opened
    from spotterd.builder.wanted import engine_store, want
    from spotterd.cli.detect_files import Copies, files_of
    from spotterd.config.load import load

    settings = load(config)
    wanted = want(settings.detector, settings.engines)
    store = engine_store(settings.engines)
    chosen = _chosen(wanted, precision)
    files, _ = files_of(inputs)
    copies = Copies(out, files)
    with ExitStack() as stack:
        show = stack.enter_context(progress(f"FP32 and {chosen.upper()}"))
        backend = stack.enter_context(opened(wanted, store, chosen, show))
        reference = reference_detector(wanted)
        stack.enter_context(closing(reference.backend))
        both = SideBySide(
            Side("FP32", reference),
            Side(chosen.upper(), alike(reference, backend)),
            settings.detector.score,
        )
        for done, file in enumerate(files):
            _one(file, copies, both, partial(show, done / len(files)))
    _tell(both, chosen, out, as_json=as_json)


def _chosen(wanted: "Wanted", precision: str | None) -> "Precision":
    """As asked, else that of the engine in use, which is built if need be."""
    from spotterd.cli.build import engine_of
    from spotterd.errors import BadInputError

    if precision in {"fp16", "int8"}:
        return "int8" if precision == "int8" else "fp16"
    if precision is not None:
        raise BadInputError(f"'{precision}' cannot be compared with FP32. Known: fp16, int8.")
    sidecar = engine_of(wanted).sidecar
    if sidecar.precision == "fp32":
        raise BadInputError(
            f"The engine in use is FP32 itself. {sidecar.remarks} "
            "See how INT8 does all the same with --precision int8."
        )
    return sidecar.precision


def _one(file: Path, copies: "Copies", both: "SideBySide", show: "Callable[[str], None]") -> None:
    from spotterd.camera.replay import Video, open_recording

    with closing(open_recording(file)) as source:
        shot = source.read(None)
        video = isinstance(source, Video)
        writer = copies.of_video(file, source.fps) if video else copies.of_picture(file)
        count = 0
        with closing(writer):
            while shot is not None:
                writer.write(both.look(shot.pixels))
                count += 1
                show(f"{file.name}, frame {count}")
                shot = source.read(shot.pixels)


def _tell(both: "SideBySide", chosen: "Precision", out: Path, *, as_json: bool) -> None:
    import json

    figures = both.figures()
    if as_json:
        print(json.dumps({"precision": chosen, "out": str(out), **figures.model_dump()}))
        return
    faster = figures.reference_ms / figures.ms if figures.ms else 0.0
    print(
        f"{figures.pictures} pictures, {figures.reference} objects seen by FP32.\n"
        f"{chosen.upper()} finds {figures.recall:.1%} of them, AP50 against them is "
        f"{figures.agreement:.3f}, scores differ by {figures.score_shift:.3f} on average.\n"
        f"FP32 {figures.reference_ms:.1f} ms, {chosen.upper()} {figures.ms:.1f} ms an inference: "
        f"{faster:.2f} times as fast.\nLook at them in {out}."
    )
