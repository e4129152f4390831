"""`spotterd calibrate`: bring pictures of the board's own sky into the calibration room."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from spotterd.cli.common import ConfigOption, JsonOption, progress

if TYPE_CHECKING:
    from spotterd.builder.room import Imported

SHOWN = 5  # reasons that are told one by one


def calibrate(
    images_dir: Annotated[Path, typer.Argument(help="folder of pictures, e.g. the harvest")],
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Import pictures for INT8: checked, thinned of near-duplicates, shown on a contact sheet."""
    from spotterd.builder.pictures import split
    from spotterd.builder.room import import_pictures
    from spotterd.builder.sheet import contact_sheet
    from spotterd.builder.sources import imported_pictures
    from spotterd.config.load import load
    from spotterd.inference.model import inspect
    from spotterd.inference.open import model_path

    detector = load(config).detector
    info = inspect(model_path(detector.model), detector.input_hw)
    room = imported_pictures()
    with progress("looking through them") as show:
        done = import_pictures(images_dir, room, show)
    calibrating, held_back = split(done.room.usable)
    sheet = room.parent / "calibration.png"
    contact_sheet([item.path for item in done.room.usable], held_back, info.input_hw, sheet)
    problem = done.room.problem(room)
    told: dict[str, Any] = {
        "room": str(room),
        "added": len(done.added),
        "usable": len(done.room.usable),
        "calibrating": len(calibrating),
        "held_back": len(held_back),
        "alike": len(done.alike),
        "refused": [reason for _, reason in done.refused],
        "problem": problem,
        "sheet": str(sheet),
    }
    if as_json:
        import json

        print(json.dumps(told))
    else:
        _print(told, done)
    raise typer.Exit(1 if problem else 0)


def _print(told: dict[str, Any], done: "Imported") -> None:
    print(
        f"{told['added']} pictures added to {told['room']}, {done.known} were there: "
        f"{told['calibrating']} calibrate, {told['held_back']} are held back for the gate."
    )
    if told["alike"]:
        print(f"{told['alike']} left out: nearly the same as another one.")
    for reason in told["refused"][:SHOWN]:
        print(f"Left out: {reason}")
    if len(told["refused"]) > SHOWN:
        print(f"... and {len(told['refused']) - SHOWN} more.")
    print(f"Look at them as the network sees them: {told['sheet']}")
    print(told["problem"] or "The next start (or `spotterd build`) builds an engine with them.")
