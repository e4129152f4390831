"""Small reads of /sys and /proc: what is missing or refuses to be read is not known."""

from pathlib import Path


def text(path: Path) -> str | None:
    """The file's text without the line end; None where it cannot be read."""
    try:
        # Device tree strings end in a zero byte.
        return path.read_text(encoding="utf-8", errors="replace").strip("\0\n ")
    except OSError:  # missing, not permitted, or the driver answers EAGAIN, ENODEV, EIO
        return None


def number(path: Path) -> int | None:
    """The file's whole number; None where there is none."""
    try:
        return int(text(path) or "")
    except ValueError:
        return None
