"""What the commands share: options, and progress for people and for logs."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

ConfigOption: TypeAlias = Annotated[
    Path | None,
    typer.Option("--config", help="configuration file"),
]
JsonOption: TypeAlias = Annotated[
    bool, typer.Option("--json", help="one JSON document on stdout, all else on stderr")
]


@contextmanager
def progress(title: str) -> Iterator[Callable[[float, str], None]]:
    """A function that shows (fraction 0..1, step): a bar on a terminal, else a line per tenth."""
    if not sys.stderr.isatty():
        yield _Lines(title)
        return
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(title, total=1.0)
        yield lambda fraction, step: bar.update(
            task, completed=fraction, description=f"{title}: {step}" if step else title
        )


class _Lines:
    def __init__(self, title: str) -> None:
        self._title = title
        self._said = -1

    def __call__(self, fraction: float, step: str) -> None:
        tenth = int(fraction * 10)
        if tenth > self._said:
            self._said = tenth
            print(f"{self._title}: {fraction:4.0%} {step}".rstrip(), file=sys.stderr, flush=True)
