"""What was changed from afar, on disk: the last good state, and a change that is on probation.

Both lie in one file that is replaced as a whole, so no crash or power cut leaves them at odds: a
start that finds a change on probation knows that it never became good, and takes the state before.
"""

import logging
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from spotterd.config.merge import Tree
from spotterd.files import sweep, write_whole
from spotterd.paths import state_dir
from spotterd.publish.payloads import ConfigProblem

log = logging.getLogger(__name__)

Status: TypeAlias = Literal["applied", "rejected", "rolled_back"]


class _Saved(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Wish(_Saved):
    """Who wished: an operator's version and token."""

    version: int = 0
    token: str = ""


class Trial(_Saved):
    """A change on probation."""

    wish: Wish
    set: dict[str, Any]


class Unbuilt(_Saved):
    """A change in force whose engine is still to be built.

    Attributes:
        wish: that asked for it.
        set: the overlay with the last engine that was good.
    """

    wish: Wish
    set: dict[str, Any]


class Kept(_Saved):
    """All that is kept.

    Attributes:
        set: the overlay: what differs from config.yaml since somebody changed it from afar.
        wish: the last one that was answered.
        status, errors: what became of it.
        trial: what is being tried.
        unbuilt: what waits for its engine.
    """

    set: dict[str, Any] = Field(default_factory=dict)
    wish: Wish = Wish()
    status: Status = "applied"
    errors: tuple[ConfigProblem, ...] = ()
    trial: Trial | None = None
    unbuilt: Unbuilt | None = None


class Overlay:
    """The file. Used by one thread.

    Args:
        path: of the file; a broken one is set aside.

    Attributes:
        kept: what it holds; a disk that does not take it leaves the new state in memory.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        sweep(path.parent)
        self.kept = _read(path)

    def begin(self, wish: Wish, tree: Tree) -> None:
        """Note that a change is tried, before it is."""
        self._write(self.kept.model_copy(update={"trial": Trial(wish=wish, set=tree)}))

    def good(self, wish: Wish, tree: Tree, *, unbuilt: bool = False) -> None:
        """The change is in force, and comes back at the next start; `unbuilt`: see `Kept`."""
        waiting = self.kept.unbuilt
        if unbuilt:
            waiting = Unbuilt(wish=wish, set=waiting.set if waiting else self.kept.set)
        self._write(Kept(set=tree, wish=wish, unbuilt=waiting))

    def built(self) -> None:
        """What waited for its engine has it."""
        if self.kept.unbuilt is not None:
            self._write(self.kept.model_copy(update={"unbuilt": None}))

    def undo(self, tree: Tree, errors: tuple[ConfigProblem, ...]) -> None:
        """The engine that a change waited for cannot be built."""
        self._write(Kept(set=tree, wish=self.kept.wish, status="rolled_back", errors=errors))

    def bad(self, wish: Wish, status: Status, errors: tuple[ConfigProblem, ...]) -> None:
        """The wish came to nothing; what was good stays."""
        new = {"wish": wish, "status": status, "errors": errors, "trial": None}
        self._write(self.kept.model_copy(update=new))

    def _write(self, kept: Kept) -> None:
        self.kept = kept
        try:
            write_whole(self._path, kept.model_dump_json(indent=1).encode())
        except OSError as error:
            log.error(  # noqa: TRY400 (a sentence, not a defect)
                "Cannot keep the remote configuration in %s: %s. It is lost at the next start.",
                self._path,
                error.strerror,
            )


def overlay_path() -> Path:
    """Where it lies."""
    return state_dir() / "overlay.json"


def read_set(path: Path) -> Tree:
    """The overlay for whoever only looks; changes nothing."""
    try:
        return Kept.model_validate_json(path.read_bytes()).set
    except (OSError, ValidationError):
        return {}


def _read(path: Path) -> Kept:
    try:
        return Kept.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return Kept()
    except (OSError, ValidationError) as error:
        log.warning("The remote configuration in %s is unreadable and set aside. %s", path, error)
        with suppress(OSError):
            path.replace(path.with_suffix(".broken"))
        return Kept()
