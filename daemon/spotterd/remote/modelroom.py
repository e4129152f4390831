"""Where delivered models lie: the record, the part that is being fetched, the files.

models/record.json              what Record says; replaced as a whole
models/<sha256>.part            a download under way, or one that may be gone on with
models/<sha256, short>/<name>.onnx
"""

import logging
import shutil
from contextlib import suppress
from pathlib import Path

from pydantic import ValidationError

from spotterd.errors import RetryError
from spotterd.files import sha256_of, sweep, sync, write_whole
from spotterd.paths import state_dir
from spotterd.remote.model import Delivered, Order, Record

log = logging.getLogger(__name__)

SHORT = 16  # characters of a hash in a folder's name
PRIVATE = 0o600  # a URL may hold a password


class ModelRoom:
    """One folder of delivered models. The record is written by one thread.

    Args:
        folder: made when something is written.

    Attributes:
        record: what was kept last.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.record = read_record(folder)

    def keep(self, record: Record) -> None:
        """Put a record in the place of the last one; it is on the disk when this returns.

        Raises:
            RetryError: it cannot be written; `record` is kept in memory all the same.
        """
        self.record = record
        try:
            text = record.model_dump_json(indent=1).encode()
            write_whole(self._folder / "record.json", text, PRIVATE)
        except OSError as error:
            raise RetryError(
                f"The state of the model update cannot be kept in {self._folder}: "
                f"{error.strerror}. Make room on the board."
            ) from error

    def part(self, order: Order) -> Path:
        """Where a download goes."""
        return self._folder / f"{order.model.sha256}.part"

    def file(self, model: Delivered) -> Path:
        """Where a model lies."""
        return self._folder / model.sha256[:SHORT] / f"{model.name}.onnx"

    def damage(self, model: Delivered) -> str:
        """What is wrong with a model's file, as part of a sentence; empty: nothing."""
        path = self.file(model)
        try:
            if path.stat().st_size != model.size:
                return f"has {path.stat().st_size} bytes instead of {model.size}"
            return "" if sha256_of(path) == model.sha256 else "has other bytes than it should"
        except OSError as error:
            return f"cannot be read ({error.strerror})"

    def take_in(self, order: Order) -> None:
        """Make a fetched part the model's file.

        Raises:
            RetryError: the disk does not let it.
        """
        path = self.file(order.model)
        try:
            path.parent.mkdir(exist_ok=True)
            self.part(order).replace(path)
            sync(path.parent)
            sync(self._folder)
        except OSError as error:
            raise RetryError(f"The model cannot be kept: {error.strerror}.") from error

    def sweep(self) -> None:
        """Delete what neither the history nor the last order names."""
        sweep(self._folder)
        kept = {model.sha256[:SHORT] for model in self.record.history if model is not None}
        if self.record.order is not None:
            order = self.record.order.model.sha256
            kept |= {order[:SHORT], f"{order}.part"} if self.record.order.url else {f"{order}.part"}
        for path in self._folder.glob("*"):
            if path.is_dir() and path.name not in kept:
                shutil.rmtree(path, ignore_errors=True)
            elif path.suffix == ".part" and path.name not in kept:
                with suppress(OSError):
                    path.unlink()


def models_folder() -> Path:
    """Where it lies."""
    return state_dir() / "models"


def read_record(folder: Path) -> Record:
    """The record for whoever only looks; one that cannot be read is as none."""
    try:
        return Record.model_validate_json((folder / "record.json").read_bytes())
    except FileNotFoundError:
        return Record()
    except (OSError, ValidationError) as error:
        log.warning("The record of delivered models in %s is unreadable. %s", folder, error)
        return Record()
