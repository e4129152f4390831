"""`spotterd build`: build the engine for this machine, or load the one that is there."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from spotterd.cli.common import ConfigOption, JsonOption, progress

if TYPE_CHECKING:
    from spotterd.builder.store import Engine
    from spotterd.builder.wanted import Wanted


def build(
    precision: Annotated[
        str | None, typer.Option(help="auto, fp32, fp16 or int8; default: as configured")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="build even if there is one")] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Build or load the engine; prints what it is, and how it compares with the FP32 model."""
    from spotterd.builder.wanted import engine_store, want
    from spotterd.config.load import load

    asked = {"engines": {"precision": precision}} if precision else {}
    settings = load(config, asked)
    wanted = want(settings.detector, settings.engines)
    store = engine_store(settings.engines)
    if force:
        store.drop(wanted.identity)
    built = wanted.find() is None
    engine = engine_of(wanted)
    told = _summary(wanted, engine, built=built)
    if as_json:
        import json

        print(json.dumps(told))
    else:
        _print_table(told, engine)


def engine_of(wanted: "Wanted") -> "Engine":
    """The kept engine, or one that is built now."""
    return wanted.find() or _built(wanted)


def _built(wanted: "Wanted") -> "Engine":
    """Build in a child process; Ctrl-C ends it."""
    from spotterd.builder.supervise import Build
    from spotterd.errors import BadInputError

    with progress("building") as show:
        work = Build(wanted, lambda told: show(told.fraction, told.step))
        work.start()
        try:
            outcome = work.wait()
        except KeyboardInterrupt:
            work.cancel()
            raise
    if outcome is None or outcome.engine is None:
        raise BadInputError(outcome.problem if outcome else "The build did not end.")
    return outcome.engine


def _summary(wanted: "Wanted", engine: "Engine", *, built: bool) -> dict[str, Any]:
    sidecar = engine.sidecar
    figures, judgement = sidecar.figures, sidecar.judgement
    return {
        "key": wanted.identity.key,
        "backend": wanted.identity.backend,
        "precision": sidecar.precision,
        "built": built,
        "seconds": sidecar.seconds,
        "bytes": sidecar.bytes or wanted.model.stat().st_size,
        "gate": figures.model_dump() if figures else None,
        "verdict": judgement.verdict if judgement else None,
        "path": str(engine.path or wanted.model),
        "calibrated_by": sidecar.calibrated_by,
        "remarks": sidecar.remarks,
        "identity": wanted.identity.model_dump(mode="json"),
    }


def _print_table(told: dict[str, Any], engine: "Engine") -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(show_header=False, box=None)
    how = "built now" if told["built"] else "loaded; nothing to build"
    table.add_row("engine", f"{told['key']} ({how})")
    for name in ("backend", "precision", "path"):
        table.add_row(name, str(told[name]))
    table.add_row("size", f"{told['bytes'] / 1e6:.1f} MB")
    table.add_row("build time", f"{told['seconds']:.1f} s")
    if told["calibrated_by"]:
        table.add_row("calibrated by", told["calibrated_by"])
    figures = engine.sidecar.figures
    if figures:
        table.add_row(
            "FP32's objects",
            f"{figures.reference} in {figures.pictures} pictures; found: "
            + ", ".join(f"{k} {c.found}/{c.reference}" for k, c in figures.per_class.items()),
        )
        table.add_row("speed", f"{figures.ms:.1f} ms, FP32 {figures.reference_ms:.1f} ms")
    if told["remarks"]:
        table.add_row("gate", told["remarks"])
    for name in ("device", "capability", "runtime", "driver", "system"):
        if told["identity"][name]:
            table.add_row(name, told["identity"][name])
    Console(soft_wrap=True).print(table)
