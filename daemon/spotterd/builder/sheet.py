"""A contact sheet: every picture as the network sees it, on one PNG."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from spotterd.builder.truth import read_picture
from spotterd.data import Floats, Image
from spotterd.errors import RetryError
from spotterd.files import whole
from spotterd.vision.letterbox import Letterbox

SIDE = 160  # of a preview, pixels
LINE = 18  # of text under it
COLUMNS = 8
HEAD = 30  # of the line at the top
MOST = 160  # as many as are used
INK = (30, 30, 30)
PAPER = 245
HELD_BACK = (0, 120, 200)  # frame around pictures that judge instead of calibrating (BGR)


def contact_sheet(
    pictures: Sequence[Path], held_back: Sequence[Path], input_hw: tuple[int, int], out: Path
) -> int:
    """Draw the pictures, letterboxed as at run time, with their names; the first 160 of them.

    Args:
        pictures: all of them.
        held_back: those among them that are kept for the gate: framed.
        input_hw: height and width of the network's input.
        out: the PNG.

    Returns:
        How many are on it.

    Raises:
        RetryError: it cannot be written.
    """
    shown = list(pictures)[:MOST]
    rows = -(-len(shown) // COLUMNS)
    sheet = np.full((HEAD + rows * (SIDE + LINE), COLUMNS * SIDE, 3), PAPER, np.uint8)
    _title(sheet, len(pictures), len(shown), len(held_back), input_hw)
    for at, path in enumerate(shown):
        top, left = HEAD + at // COLUMNS * (SIDE + LINE), at % COLUMNS * SIDE
        tile = sheet[top : top + SIDE + LINE, left : left + SIDE]
        _draw(tile, path, input_hw, framed=path in held_back)
    done, png = cv2.imencode(".png", sheet)
    try:
        with whole(out) as temporary:
            temporary.write_bytes(png.tobytes())
    except OSError as error:
        raise RetryError(f"Cannot write {out}: {error.strerror}.") from error
    return len(shown) if done else 0


def _title(sheet: Image, total: int, shown: int, judging: int, input_hw: tuple[int, int]) -> None:
    told = f"{total} pictures as the network sees them ({input_hw[1]}x{input_hw[0]})"
    told += f", the first {shown}" if shown < total else ""
    told += f". Framed: {judging} that judge built engines; the others calibrate."
    cv2.putText(sheet, told, (4, 20), cv2.FONT_HERSHEY_SIMPLEX, 0.5, INK, 1, cv2.LINE_AA)


def _draw(tile: Image, path: Path, input_hw: tuple[int, int], *, framed: bool) -> None:
    preview = seen_by_network(read_picture(path), input_hw)
    scale = (SIDE - 4) / max(input_hw)
    width, height = round(input_hw[1] * scale), round(input_hw[0] * scale)
    tile[2 : 2 + height, 2 : 2 + width] = cv2.resize(
        preview, (width, height), interpolation=cv2.INTER_AREA
    )
    if framed:
        cv2.rectangle(tile, (1, 1), (SIDE - 2, SIDE - 2), HELD_BACK, 2)
    name = path.stem if len(path.stem) <= 22 else path.stem[:19] + "..."  # noqa: PLR2004
    cv2.putText(tile, name, (3, SIDE + 12), cv2.FONT_HERSHEY_SIMPLEX, 0.36, INK, 1, cv2.LINE_AA)


def seen_by_network(picture: Image, input_hw: tuple[int, int]) -> Image:
    """The letterboxed picture, back in pixels."""
    height, width = picture.shape[:2]
    tensor: Floats = np.empty((1, 3, *input_hw), np.float32)
    Letterbox((width, height), input_hw).fill(picture, tensor)
    rgb = np.rint(tensor[0] * 255).astype(np.uint8)
    return np.ascontiguousarray(rgb[::-1].transpose(1, 2, 0))
