"""Log lines: fields for the journal, clean lines else, and repeats that do not fill a disk."""

import io
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from spotterd.service.journal import JournalHandler, Repeats, set_up_logging

SOURCE = Path(__file__).parents[2] / "daemon"


@pytest.fixture(autouse=True)
def root_logger_kept() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)


def test_lines_on_a_terminal_are_plain() -> None:
    out = io.StringIO()
    set_up_logging("info", out)
    log = logging.getLogger("spotterd.camera")
    log.warning("camera %s is lost", "north", extra={"CAMERA": "north"})
    log.debug("not shown")
    (line,) = out.getvalue().splitlines()
    assert line.endswith("WARNING spotterd.camera: camera north is lost")


def test_without_systemd_python_lines_for_the_journal_carry_their_priority(tmp_path: Path) -> None:
    code = (
        "import os, sys, logging; about = os.fstat(2);"
        "os.environ['JOURNAL_STREAM'] = f'{about.st_dev}:{about.st_ino}';"
        "sys.modules['systemd.journal'] = None;"
        "from spotterd.service.journal import set_up_logging; set_up_logging('debug');"
        "log = logging.getLogger('x'); log.debug('d'); log.info('i'); log.warning('w');"
        "\ntry: 1/0\nexcept ZeroDivisionError: log.exception('e')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(SOURCE)},
        stderr=subprocess.PIPE,
        text=True,
        check=True,
        timeout=30,
    )
    lines = done.stderr.splitlines()
    assert lines[:4] == ["<7>x: d", "<6>x: i", "<4>x: w", "<3>x: e"]
    assert len(lines) > 5
    assert all(line.startswith("<3>") for line in lines[4:])


def test_the_journal_gets_upper_case_extras_as_fields() -> None:
    sent: list[dict[str, object]] = []
    handler = JournalHandler(lambda message, **fields: sent.append({"MESSAGE": message, **fields}))
    log = logging.Logger("spotterd.camera")  # noqa: LOG001 (one that nothing else hears)
    log.addHandler(handler)
    log.warning("lost %s", "north", extra={"SPOTTER_EVENT": "camera_lost", "CAMERA": "north"})
    (entry,) = sent
    assert entry["MESSAGE"] == "lost north"
    assert isinstance(entry["CODE_LINE"], int)  # systemd-python formats it as a number
    assert (entry["PRIORITY"], entry["LOGGER"]) == ("4", "spotterd.camera")
    assert (entry["SPOTTER_EVENT"], entry["CAMERA"]) == ("camera_lost", "north")
    assert "msecs" not in entry


class Watch:
    """A log line every `step_s`, by a clock that the test turns."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.out = io.StringIO()
        handler = logging.StreamHandler(self.out)
        handler.addFilter(Repeats(clock=lambda: self.now_s))
        self.log = logging.Logger("spotterd.camera")  # noqa: LOG001
        self.log.addHandler(handler)


def test_a_week_of_a_dead_camera_writes_less_than_a_megabyte() -> None:
    watch = Watch()
    for second in range(0, 7 * 24 * 3600, 2):
        watch.now_s = second
        watch.log.warning(
            "Camera %s gave no picture for %d s; opening it again. Check cable and power.",
            "north",
            second,
        )
    written = watch.out.getvalue()
    assert len(written) < 1_000_000
    assert "(and 297 more like this)" in written


def test_other_lines_and_other_cameras_are_not_held_back() -> None:
    watch = Watch()
    for n in range(10):
        watch.log.warning("lost", extra={"CAMERA": f"camera{n}"})
        watch.log.warning(f"line of its own {n}")  # noqa: G004
    assert len(watch.out.getvalue().splitlines()) == 20


def test_a_state_is_told_however_many_others_were_before() -> None:
    watch = Watch()
    for state in ("starting", "starting", "starting", "building", "running"):
        watch.log.info("%s: %s", state, "why", extra={"SPOTTER_EVENT": "state", "STATE": state})
    assert watch.out.getvalue().splitlines()[-2:] == ["building: why", "running: why"]


def test_after_a_quiet_period_lines_come_through_again_without_a_count() -> None:
    watch = Watch()
    watch.log.warning("lost")
    watch.now_s = 10_000
    watch.log.warning("lost")
    assert watch.out.getvalue() == "lost\nlost\n"


def test_what_is_remembered_is_bounded() -> None:
    repeats = Repeats()
    for n in range(3 * Repeats.KINDS):
        repeats.filter(logging.LogRecord("x", logging.INFO, "", 0, f"line {n}", None, None))
    assert len(repeats._seen) == Repeats.KINDS


def test_systemd_python_itself_takes_an_entry() -> None:
    """The real `journal.send`, up to the socket; a bad argument would raise before it."""
    journal = pytest.importorskip("systemd.journal", reason="needs systemd-python")
    handler = JournalHandler(journal.send)
    handler.handleError = lambda record: pytest.fail(f"refused: {sys.exc_info()[1]}")  # type: ignore[method-assign]
    handler.emit(logging.LogRecord("x", logging.INFO, __file__, 7, "told by a test", None, None))
