"""What boards say, as a live table on a terminal or as plain lines elsewhere."""

import json
import sys
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text
from typing_extensions import Self

from spotterd.publish.topics import split

NEWS_SHOWN = 12
LATENCIES_KEPT = 4096
STYLES = {
    **dict.fromkeys(("online", "running", "current"), "green"),
    **dict.fromkeys(("offline", "failed"), "bold red"),
    **dict.fromkeys(("stopped", "degraded", "stalled", "rolled_back"), "yellow"),
}


@dataclass
class Board:
    """What one board said so far.

    Attributes:
        frames: messages about detections.
        by_class: objects in them, each frame counted anew.
        in_view: by camera, objects by class in the latest message.
        latencies_ms: capture to publish, the newest ones.
        events: by type.
    """

    availability: str = ""
    state: str = ""
    reason: str = ""
    health: dict[str, Any] = field(default_factory=dict)
    frames: int = 0
    by_class: Counter[str] = field(default_factory=Counter)
    in_view: dict[str, Counter[str]] = field(default_factory=dict)
    latencies_ms: deque[float] = field(default_factory=lambda: deque(maxlen=LATENCIES_KEPT))
    events: Counter[str] = field(default_factory=Counter)


class LiveTable:
    """Takes messages and shows them for as long as the `with` block lasts.

    Args:
        plain: one line a message; None: only where standard output is no terminal.
    """

    def __init__(self, *, plain: bool | None = None) -> None:
        self.boards: dict[str, Board] = {}
        self._console = Console(soft_wrap=True)
        self._news: deque[Text] = deque(maxlen=NEWS_SHOWN)
        self._live: Live | None = None
        if not (sys.stdout.isatty() if plain is None else not plain):
            return
        self._live = Live(get_renderable=self._render, console=self._console, refresh_per_second=4)

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    def feed(self, topic: str, payload: bytes) -> None:
        """Take one message; what is not spotterd's, or is broken, is shown as it is."""
        split_topic = split(topic)
        if split_topic is None:
            return
        root, tail = split_topic
        board = self.boards.setdefault(root, Board())
        said: Any = payload.decode("utf-8", "replace")
        try:
            said = json.loads(payload)
            line = _TELL[tail[0]](board, tail, said)
        except ValueError:
            line = _availability(board, said) if tail == ("availability",) else Text(repr(said))
        except (KeyError, TypeError, AttributeError):
            line = Text(f"{'/'.join(tail)} is not as expected: {said!r}")
        if line is None:
            return
        line = Text.assemble((f"{root.rpartition('/')[2]} ", "bold"), line)
        if self._live is None:
            self._console.print(line)
        elif tail[0] not in ("detections", "health"):  # the table tells those
            self._news.append(line)

    def _render(self) -> Group:
        table = Table(box=None, pad_edge=False, header_style="dim")
        for title in ("board", "state", "in view", "fps", "p50/p95 ms", "cpu", "outbox", "events"):
            table.add_column(title)
        for root, board in sorted(self.boards.items()):
            table.add_row(root, *_row(board))
        return Group(table, Text(), *self._news)


def _row(board: Board) -> list[Text | str]:
    health = board.health
    latency = health.get("latency_ms") or {}
    host = health.get("host") or {}
    outbox = health.get("outbox") or {}
    what = board.availability if board.availability != "online" else board.state or "online"
    return [
        Text(what or "?", STYLES.get(what, "")),
        "  ".join(f"{camera}: {_listed(seen)}" for camera, seen in sorted(board.in_view.items())),
        _number(health.get("fps")),
        f"{_number(latency.get('p50'))}/{_number(latency.get('p95'))}",
        f"{_number(host.get('cpu_percent'))} %",
        _number(outbox.get("depth")),
        _listed(board.events),
    ]


def _availability(board: Board, said: str) -> Text:
    board.availability = said
    return Text(said, STYLES.get(said, ""))


def _state(board: Board, _tail: tuple[str, ...], said: dict[str, Any]) -> Text:
    board.state, board.reason = said["state"], said.get("reason", "")
    share = said.get("progress")
    shown = f"{board.state} {share:.0%}" if share is not None else board.state
    return Text.assemble((shown, STYLES.get(board.state, "")), f" {board.reason}")


def _health(board: Board, _tail: tuple[str, ...], said: dict[str, Any]) -> Text:
    board.health = said
    latency = said.get("latency_ms") or {}
    percentiles = f"{_number(latency.get('p50'))}/{_number(latency.get('p95'))}"
    return Text(f"{_number(said.get('fps'))} fps, latency p50/p95 {percentiles} ms", "dim")


def _detections(board: Board, _tail: tuple[str, ...], said: dict[str, Any]) -> Text:
    seen = Counter(row["label"] for row in said["detections"])
    board.frames += 1
    board.by_class += seen
    board.in_view[said["camera"]] = seen
    board.latencies_ms.append(said["latency_ms"])
    best = ", ".join(f"{row['label']} {row['score']:.2f}" for row in said["detections"])
    return Text(f"{said['ts'][11:23]} {said['camera']} #{said['seq']}: {best}")


def _event(board: Board, tail: tuple[str, ...], said: dict[str, Any]) -> Text | None:
    if len(tail) > 1:
        return None  # a picture
    board.events[said["type"]] += 1
    zones = f" in {', '.join(said['zones'])}" if said["zones"] else ""
    lasted = f", after {said['duration_s']:.1f} s" if said["type"] == "end" else ""
    late = " (replayed)" if said["replayed"] else ""
    text = f"{said['label']} {said['top_score']:.2f} at {said['camera']}{zones}{lasted}{late}"
    return Text.assemble(f"{said['ts'][11:23]} ", (said["type"], "bold cyan"), f" {text}")


def _camera(board: Board, tail: tuple[str, ...], said: dict[str, Any]) -> Text | None:
    _, camera, what = tail
    if what == "count":
        board.in_view[camera] = Counter(said)
        return None
    style = STYLES.get(said["state"], "")
    return Text.assemble(f"camera {camera} ", (said["state"], style), f" {said['reason']}")


def _model(_board: Board, _tail: tuple[str, ...], said: dict[str, Any]) -> Text | None:
    if said["state"] == "idle":
        return None
    name = (said["ordered"] or said["current"] or {}).get("name", "of the configuration")
    share = f" {said['progress']:.0%}" if said["progress"] is not None else ""
    style = STYLES.get(said["state"], "")
    return Text.assemble(f"model {name} ", (said["state"] + share, style), f" {said['reason']}")


def _nothing(_board: Board, _tail: tuple[str, ...], _said: dict[str, Any]) -> None:
    """Not for people who watch."""


_Teller = Callable[[Board, tuple[str, ...], dict[str, Any]], Text | None]
_TELL: dict[str, _Teller] = {
    "state": _state,
    "health": _health,
    "detections": _detections,
    "event": _event,
    "camera": _camera,
    "model": _model,
    **dict.fromkeys(("info", "config", "request", "response"), _nothing),
}


def _listed(counts: Counter[str]) -> str:
    return ", ".join(f"{number} {name}" for name, number in counts.items() if number) or "-"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"
