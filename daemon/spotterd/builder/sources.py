"""What there is to calibrate INT8 by, and to judge engines with.

Pictures of the board's own come first. Else the ranges that ship with the model, or, for a runtime
that calibrates by itself, the bundled pictures. Without any of these there is no INT8.
"""

import logging
from dataclasses import dataclass
from pathlib import Path

from spotterd.builder.pictures import check, find, split
from spotterd.builder.ranges import Ranges, shipped_ranges
from spotterd.paths import shipped, state_dir

log = logging.getLogger(__name__)


def imported_pictures() -> Path:
    """Where `spotterd calibrate` puts the board's own pictures."""
    return state_dir() / "calibration"


def bundled_pictures() -> Path:
    """The pictures that ship with spotterd."""
    return shipped("calibration")


def gate_pictures() -> Path:
    """Pictures that ship with spotterd to judge engines with: four craft each, of all kinds."""
    return shipped("engines/gate")


def folder_in_force(configured: str | None) -> Path:
    """Where the calibration pictures lie: as configured, else imported, else bundled."""
    if configured:
        return Path(configured).expanduser()
    return imported_pictures() if find(imported_pictures()) else bundled_pictures()


@dataclass(frozen=True, slots=True)
class Sources:
    """What there is to calibrate by, and to judge with.

    Attributes:
        pictures: that calibrate; empty where there are too few.
        own: they are of this board or user, not the bundled ones.
        judging: pictures for the gate, none of which calibrates. The bundled ones for that are
            among them: a board's own may show hardly any craft.
        ranges: that ship with the model; None if there are none.
        problem: why there are no pictures, as sentences; "" if there are.
    """

    pictures: tuple[Path, ...]
    own: bool
    judging: tuple[Path, ...]
    ranges: Ranges | None
    problem: str

    def words(self, ranges: Ranges | None) -> str:
        """What calibrated, for people and for the sidecar; None: the runtime, by the pictures."""
        if ranges is None or ranges != self.ranges:
            return f"{len(self.pictures)} pictures"
        return f"shipped ranges ({ranges.method}, {ranges.pictures} pictures)"


def sources(folder: Path, model: Path, model_sha256: str) -> Sources:
    """Look at the pictures of a folder and at what ships with a model."""
    own = folder != bundled_pictures()
    checked = check(find(folder))
    calibrating, judging = split(checked.usable)
    problem = checked.problem(folder)
    for path, reason in checked.refused:
        log.warning("The picture %s does not calibrate: %s", path.name, reason)
    if own:
        judging += split(check(find(bundled_pictures())).usable)[1]
    return Sources(
        pictures=() if problem else tuple(calibrating),
        own=own,
        judging=(*judging, *find(gate_pictures())),
        ranges=shipped_ranges(model, model_sha256),
        problem=problem,
    )
