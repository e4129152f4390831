"""Built engines on disk: a file and a sidecar that says what it is, or nothing.

`<key>.plan` or `<key>.onnx` is written first, `<key>.json` last; both whole or not at all. So what
has a sidecar was finished, whenever the power went. An engine is given out only if its sidecar
equals the wanted identity and its bytes are those that were written; everything else is set aside
and built again. Caches (calibration, timing) live beside, under names that carry their identity.
"""

import fcntl
import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from spotterd.builder.identity import Identity
from spotterd.builder.sidecar import Sidecar
from spotterd.errors import RetryError
from spotterd.files import TEMPORARY, sha256_of, sweep, sync, whole, write_whole

log = logging.getLogger(__name__)

ASIDE = "set-aside"
SUFFIXES = {".plan", ".onnx", ".json", ".cache", ".faults"}
ASIDE_KEPT = 4  # files; enough to look into what happened


@dataclass(frozen=True, slots=True)
class Engine:
    """An engine that may be used now; `path` is None where the model itself is the engine."""

    path: Path | None
    sidecar: Sidecar


class Store:
    """The engines of one directory.

    Args:
        folder: where they lie; made when something is written.
        max_bytes: all of them together; the longest unused go first.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self.folder = folder
        self._max_bytes = max_bytes

    def load(self, identity: Identity) -> Engine | None:
        """The engine for exactly this identity, or None: it has to be built.

        Never raises for what lies on disk: that is set aside with a line in the journal.
        """
        path = self._sidecar(identity)
        if not path.is_file():
            return None
        try:
            sidecar = Sidecar.model_validate_json(path.read_bytes())
        except (OSError, ValidationError) as error:
            reason = str(error).splitlines()[0]
            self._set_aside(identity, f"its sidecar cannot be read: {reason}")
            return None
        engine = self.folder / sidecar.file if sidecar.file else None
        problem = ""
        if sidecar.identity != identity:
            differs = "; ".join(identity.differences(sidecar.identity))
            problem = f"it was built for something else ({differs})"
        elif engine:
            problem = _damage(engine, sidecar)
        if problem:
            self._set_aside(identity, problem)
            return None
        self._touch(path)
        return Engine(engine, sidecar)

    def save(self, made: Path | None, sidecar: Sidecar) -> Engine:
        """Keep a built engine; an older one of the same identity is replaced.

        Args:
            made: the engine, a file in this folder (see `workfile`); None: the model itself.
            sidecar: what it is; `file`, `sha256` and `bytes` are filled in here.

        Raises:
            RetryError: it cannot be written (disk full, no permission).
        """
        path = self._sidecar(sidecar.identity)
        name, digest, size = "", "", 0
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)  # first: a new engine never meets an old sidecar
            if made is not None:
                name = f"{sidecar.identity.key}{made.suffix}"
                digest, size = sha256_of(made), made.stat().st_size
                sync(made)
                made.replace(self.folder / name)
                sync(self.folder)
            told = sidecar.model_copy(update={"file": name, "sha256": digest, "bytes": size})
            write_whole(path, told.model_dump_json(indent=1).encode())
        except OSError as error:
            raise RetryError(
                f"The engine cannot be kept in {self.folder}: {error.strerror}. "
                "Make room or mend the permissions; until then it is built again at every start."
            ) from error
        self.prune(keep=sidecar.identity)
        return Engine(self.folder / name if name else None, told)

    def drop(self, identity: Identity) -> None:
        """Forget the engine of an identity, so that it is built again; its caches too.

        Raises:
            RetryError: the disk does not let it go (read-only, no permission).
        """
        try:
            self._sidecar(identity).unlink(missing_ok=True)  # first, as in `save`
            for path in self.folder.glob(f"{identity.key}.*"):
                path.unlink(missing_ok=True)
        except OSError as error:
            raise RetryError(
                f"The engine {identity.key} cannot be removed from {self.folder}: "
                f"{error.strerror}. Mend the disk or its permissions."
            ) from error

    @contextmanager
    def workfile(self, suffix: str) -> Iterator[Path]:
        """A temporary path in this folder for a file that is being made; it vanishes at the end.

        Raises:
            RetryError: the folder cannot be written.
        """
        path = self.folder / f"{TEMPORARY}{os.getpid()}-{time.monotonic_ns()}{suffix}"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            path.touch()
        except OSError as error:
            raise RetryError(f"Cannot write to {self.folder}: {error.strerror}.") from error
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)

    @contextmanager
    def building(self) -> Iterator[None]:
        """One builder at a time, over all processes; waits. Sweeps up after builders that died.

        Raises:
            RetryError: the folder cannot be written.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = (self.folder / ".lock").open("w")
        except OSError as error:
            raise RetryError(f"Cannot write to {self.folder}: {error.strerror}.") from error
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)  # given back by the kernel, however a process ends
            sweep(self.folder)
            yield

    def last(self, model_sha256: str) -> Identity | None:
        """What the newest engine of a model was built for: tells why it does not fit any more."""
        for name, _ in reversed(self._by_use()):
            try:
                text = (self.folder / f"{name}.json").read_bytes()
                found = Sidecar.model_validate_json(text).identity
            except (OSError, ValidationError):
                continue
            if found.model_sha256 == model_sha256:
                return found
        return None

    def cache(self, name: str) -> bytes | None:
        """What `keep_cache` kept under a name; None if there is nothing."""
        try:
            return (self.folder / name).read_bytes()
        except OSError:
            return None

    def keep_cache(self, name: str, data: bytes) -> None:
        """Keep what only saves time: a full disk is a line in the journal and no more."""
        try:
            with whole(self.folder / name) as temporary:
                temporary.write_bytes(data)
        except OSError as error:
            log.warning("Cannot keep %s in %s: %s.", name, self.folder, error.strerror)

    def faults(self, identity: Identity) -> int:
        """How often in a row the engine has ended the process that ran it, as was noted."""
        noted = self.cache(f"{identity.key}.faults") or b""
        return int(noted) if noted.isdigit() else 0

    def note_faults(self, identity: Identity, times: int) -> None:
        """Keep that number until the engine is dropped; a full disk is a line in the journal."""
        self.keep_cache(f"{identity.key}.faults", b"%d" % times)

    def prune(self, keep: Identity) -> None:
        """Delete engines without sidecar, then the longest unused until the rest fits."""
        used = 0
        for name, files in reversed(self._by_use()):
            used += sum(_size(file) for file in files)
            whole_one = any(file.suffix in {".json", ".cache"} for file in files)
            if name != keep.key and (used > self._max_bytes or not whole_one):
                for file in files:
                    file.unlink(missing_ok=True)

    def _by_use(self) -> list[tuple[str, list[Path]]]:
        """The files of each key, longest unused first."""
        groups: dict[str, list[Path]] = {}
        for path in self.folder.glob("*.*"):
            if path.suffix in SUFFIXES and not path.name.startswith("."):
                groups.setdefault(path.name.split(".")[0], []).append(path)
        return sorted(groups.items(), key=lambda group: max(map(_used_ns, group[1])))

    def _sidecar(self, identity: Identity) -> Path:
        return self.folder / f"{identity.key}.json"

    def _touch(self, path: Path) -> None:
        try:
            os.utime(path)
        except OSError as error:  # a read-only state directory still serves
            log.debug("Cannot mark %s as used: %s", path, error)

    def _set_aside(self, identity: Identity, reason: str) -> None:
        log.warning("The engine %s is not used, %s. It is built again.", identity.key, reason)
        aside = self.folder / ASIDE
        try:
            aside.mkdir(exist_ok=True)
            # The sidecar goes first: without it, what is left is no engine any more.
            for path in (self._sidecar(identity), *self.folder.glob(f"{identity.key}.*")):
                if not path.exists():
                    continue
                path.replace(aside / f"{int(time.time())}-{path.name}")
            old = sorted(aside.iterdir(), key=lambda path: path.stat().st_mtime_ns)
            for path in old[:-ASIDE_KEPT]:
                path.unlink()
        except OSError as error:
            log.warning("It cannot be set aside either (%s); it stays where it is.", error.strerror)


def _damage(engine: Path, sidecar: Sidecar) -> str:
    """What is wrong with an engine's bytes; "" if they are those that were written."""
    if _size(engine) != sidecar.bytes:
        return f"it has {_size(engine)} bytes instead of {sidecar.bytes}"
    try:
        return "" if sha256_of(engine) == sidecar.sha256 else "its bytes have changed"
    except OSError as error:
        return f"it cannot be read: {error.strerror}"


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _used_ns(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
