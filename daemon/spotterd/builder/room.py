"""The calibration room: pictures imported from a folder or from the board's own harvest."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from spotterd.builder.pictures import Checked, Picture, check, find
from spotterd.errors import BadInputError, RetryError
from spotterd.files import whole

MOST = 512  # pictures in the room; building takes what it needs of them
NAME_CHARS = 16


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import did.

    Attributes:
        added: pictures that are new in the room, as they lie there.
        known: how many usable ones the room had before.
        alike: (left out, the one that it resembles).
        refused: (left out, why).
        room: all that is in the room now.
    """

    added: tuple[Path, ...]
    known: int
    alike: tuple[tuple[Path, Path], ...]
    refused: tuple[tuple[Path, str], ...]
    room: Checked


def import_pictures(
    source: Path, room: Path, tell: Callable[[float, str], None] = lambda _share, _step: None
) -> Imported:
    """Copy the usable pictures of a folder that differ from one another and from the room's.

    Args:
        source: folder of pictures; its subfolders count.
        room: where to; made if need be.
        tell: told how far it is, 0..1, and with what.

    Raises:
        BadInputError: no such folder, or no picture in it.
        RetryError: the room cannot be written.
    """
    found = find(source) if source.is_dir() else []
    if not found:
        raise BadInputError(
            f"There are no pictures in {source}. Name a folder of JPEG or PNG files."
        )
    checked = check(_told([*find(room), *found], tell))
    inside = [item for item in checked.usable if item.path.is_relative_to(room)]
    fresh = [item for item in checked.usable if not item.path.is_relative_to(room)]
    places = max(MOST - len(inside), 0)
    added = tuple(_copied(item, room) for item in fresh[:places])
    return Imported(added, len(inside), checked.alike, checked.refused, check(find(room)))


def _told(paths: Sequence[Path], tell: Callable[[float, str], None]) -> Iterator[Path]:
    for at, path in enumerate(paths):
        tell(at / len(paths), f"picture {at + 1} of {len(paths)}")
        yield path


def _copied(picture: Picture, room: Path) -> Path:
    """Under the name of its bytes, so that nothing is ever there twice."""
    target = room / f"{picture.sha256[:NAME_CHARS]}{picture.path.suffix.lower()}"
    try:
        with whole(target) as temporary:
            shutil.copyfile(picture.path, temporary)
    except OSError as error:
        raise RetryError(f"Cannot write to {room}: {error.strerror}. Make room there.") from error
    return target
