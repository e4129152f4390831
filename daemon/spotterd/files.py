"""Files that are whole or not there, whatever happens while they are written."""

import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

TEMPORARY = ".tmp-"  # what such files are called until they are whole


@contextmanager
def whole(path: Path, mode: int = 0o644) -> Iterator[Path]:
    """A temporary path to write to; it becomes `path` when the block ends well, else vanishes.

    Synced to the disk before the rename, and the directory after it: a power cut leaves the old
    file or the new one, never a half.

    Raises:
        OSError: disk full, no permission, ...
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=TEMPORARY, suffix=path.suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(mode)
        sync(temporary)
        temporary.replace(path)
        sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def sweep(folder: Path) -> None:
    """Remove what a kill or a power cut left half written, while nobody else writes there."""
    for left in folder.glob(f"{TEMPORARY}*"):
        with suppress(OSError):  # a read-only disk stays as it is
            left.unlink(missing_ok=True)


def write_whole(path: Path, data: bytes, mode: int = 0o644) -> None:
    """Write a small file that is whole or not there.

    Raises:
        OSError: disk full, no permission, ...
    """
    with whole(path, mode) as temporary:
        temporary.write_bytes(data)


def sync(path: Path) -> None:
    """Have the disk really store a file, or a directory's names."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, hex."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
