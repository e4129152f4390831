"""How far a build is."""

from collections.abc import Callable
from typing import TypeAlias

Report: TypeAlias = Callable[[float, str], None]  # (fraction 0..1, what is being done)


def part(report: Report, start: float, end: float) -> Report:
    """A report whose 0..1 is a part of another one."""
    return lambda fraction, step: report(start + (end - start) * min(fraction, 1.0), step)


def silent(_fraction: float, _step: str) -> None:
    """Tells nobody."""
