"""Progress on a terminal, plain lines elsewhere; always on stderr, stdout is for results."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def steps(what: str, total: int) -> Iterator[Callable[[], None]]:
    """Show progress of `total` steps; call what is yielded after each."""
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import Progress

        with Progress(console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(what, total=total)
            yield lambda: bar.advance(task)
        return
    done = 0

    def step() -> None:
        nonlocal done
        done += 1
        print(f"{what}: {done}/{total}", file=sys.stderr, flush=True)

    yield step
