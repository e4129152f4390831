"""A finding: what was looked at, how it is, and what to do about it."""

from dataclasses import dataclass
from enum import Enum


class Level(str, Enum):
    """How bad it is: `PROBLEM` means that the daemon cannot do its job as configured."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the doctor's report.

    Attributes:
        name: what was looked at: "python", "camera north".
        level: how it is.
        said: what was found.
        remedy: the command or change that mends it; empty where all is well.
    """

    name: str
    level: Level
    said: str
    remedy: str = ""


def ok(name: str, said: str) -> Finding:
    """All is well."""
    return Finding(name, Level.OK, said)


def warning(name: str, said: str, remedy: str) -> Finding:
    """It works, but not as well or not as safely as it could."""
    return Finding(name, Level.WARNING, said, remedy)


def problem(name: str, said: str, remedy: str) -> Finding:
    """It does not work."""
    return Finding(name, Level.PROBLEM, said, remedy)
