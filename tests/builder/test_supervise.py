"""The build in a child process: progress, death, cancel; and no child outlives anything."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from builder.models import SIDE
from spotterd.builder import supervise
from spotterd.builder.child import ORPHANED
from spotterd.builder.ladder import build
from spotterd.builder.progress import silent
from spotterd.builder.store import Store
from spotterd.builder.supervise import Build, Outcome, after_death
from spotterd.builder.wanted import Wanted
from spotterd.builder.wire import Progress, Request

Wanting = Callable[..., tuple[Wanted, Store]]
PATIENCE_S = 60
KILLS = int(os.environ.get("SPOTTERD_KILLS", "10"))  # `make kill-test` asks for fifty


def finished(work: Build) -> Outcome:
    outcome = work.wait(PATIENCE_S)
    assert outcome is not None, "the build did not end"
    return outcome


def children() -> list[psutil.Process]:
    return [c for c in psutil.Process().children() if "spotterd.builder" in " ".join(c.cmdline())]


def test_a_child_builds_and_tells_how_far_it_is(wanting: Wanting) -> None:
    wanted, store = wanting()
    told: list[Progress] = []
    ended: list[Outcome] = []
    work = Build(wanted, told.append, ended.append)
    work.start()
    outcome = finished(work)
    assert outcome.problem == ""
    assert outcome.engine is not None
    assert outcome.engine.sidecar.precision == "int8"
    assert store.load(wanted.identity) == outcome.engine
    assert ended == [outcome]
    assert told[-1].fraction == 1
    assert children() == []


def test_cancelling_ends_the_child_and_leaves_no_zombie(wanting: Wanting) -> None:
    running = threading.Event()
    work = Build(wanting()[0], lambda _: running.set())
    work.start()
    assert running.wait(PATIENCE_S)
    work.cancel()
    assert work.outcome == Outcome()
    assert children() == []


def test_cancelling_before_the_start_and_twice_is_harmless(wanting: Wanting) -> None:
    work = Build(wanting()[0], lambda _: None)
    work.cancel()
    work.start()
    work.cancel()
    assert finished(work) == Outcome()
    assert children() == []


def child_that(monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    """Replace the child by a few lines; they find the request as `request`."""
    head = "import json, os, sys; request = json.loads(sys.stdin.readline())\n"
    monkeypatch.setattr(supervise, "COMMAND", (sys.executable, "-c", head + script))


def test_a_killed_child_is_started_again_without_the_precision(
    wanting: Wanting, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog
) -> None:
    wanted, store = wanting()
    log = tmp_path / "requests"
    child_that(
        monkeypatch,
        f"open({str(log)!r}, 'a').write(','.join(request['leave_out']) + ';')\n"
        "if not request['leave_out']: os.kill(os.getpid(), 9)\n"
        "from spotterd.builder.wire import *\n"
        "from spotterd.builder import child\n"
        "told = child._build(Request(**request), child.Teller(sys.stderr))\n"
        "print(told.model_dump_json())\n",
    )
    work = Build(wanted, lambda _: None)
    work.start()
    outcome = finished(work)
    assert log.read_text() == ";int8;"
    assert outcome.engine is not None
    assert outcome.engine.sidecar.precision == "fp32"
    assert "more memory than there is" in outcome.engine.sidecar.remarks
    assert "ended by SIGKILL, most likely for lack of memory" in caplog.text
    assert store.load(wanted.identity) is not None


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("os.kill(os.getpid(), 9)", "ended by SIGKILL"),
        ("os.kill(os.getpid(), 11)", "ended by SIGSEGV, it crashed"),
        ("sys.exit(7)", "status 7"),
        ("print('half a mess')", "without a word"),
        ('print(\'{"kind": "failed", "reason": "No room.", "again": true}\')', "No room."),
        ('print(\'{"kind": "failed", "reason": "No model."}\')', "No model."),
        ('print(\'{"kind": "done"}\')', "not of this machine"),
    ],
)
def test_a_child_that_always_dies_is_told_and_given_up(
    wanting: Wanting, monkeypatch: pytest.MonkeyPatch, script: str, said: str
) -> None:
    child_that(monkeypatch, script)
    work = Build(wanting()[0], lambda _: None)
    work.start()
    outcome = finished(work)
    assert outcome.engine is None
    assert said in outcome.problem
    assert children() == []


def test_a_child_that_dies_before_it_is_asked_is_told(
    wanting: Wanting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervise, "COMMAND", (sys.executable, "-c", "raise SystemExit(7)"))
    started = supervise._started

    def dead() -> subprocess.Popen[str]:
        child = started()
        child.wait(PATIENCE_S)
        return child

    monkeypatch.setattr(supervise, "_started", dead)
    work = Build(wanting()[0], lambda _: None)
    work.start()
    assert "status 7" in finished(work).problem


def test_a_child_that_cannot_be_started_is_told(
    wanting: Wanting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervise, "COMMAND", ("/nowhere/python",))
    ended: list[Outcome] = []
    work = Build(wanting()[0], lambda _: None, ended.append)
    work.start()
    assert finished(work).problem == "The builder cannot be started: No such file or directory."
    assert ended == [work.outcome]


def test_a_defect_ends_a_build_and_not_only_its_thread(wanting: Wanting, caplog) -> None:
    def broken(_progress: Progress) -> None:
        raise ValueError("nobody expects this")

    work = Build(wanting()[0], broken)
    work.start()
    assert "nobody expects this" in finished(work).problem
    assert "Traceback" in caplog.text
    assert children() == []


def test_a_defect_of_who_takes_the_engine_is_told_to_him(wanting: Wanting, caplog) -> None:
    ended: list[Outcome] = []

    def takes(outcome: Outcome) -> None:
        ended.append(outcome)
        if outcome.engine is not None:
            raise RuntimeError("it does not load")

    work = Build(wanting()[0], lambda _: None, takes)
    work.start()
    assert finished(work).problem == "A defect: RuntimeError('it does not load')."
    assert [outcome.engine is None for outcome in ended] == [False, True]
    assert "Traceback" in caplog.text


def test_ctrl_c_at_the_terminal_does_not_reach_the_child(wanting: Wanting) -> None:
    with started_child(wanting()[0]) as child:
        assert os.getpgid(child.pid) != os.getpgid(0)
        child.kill()


class Shrinking:
    """A road that can do with less memory, once."""

    ladder = ("int8", "fp16", "fp32")
    runs_models = False

    def smaller(self) -> "Shrinking":
        return self


def test_after_each_death_less_is_asked_for(wanting: Wanting) -> None:
    wanted = wanting(precision="auto")[0]
    object.__setattr__(wanted, "road", Shrinking())
    request: Request | None = Request(detector=wanted.detector, engines=wanted.engines)
    seen = []
    while request is not None:
        seen.append((request.smaller, request.leave_out))
        request = after_death(request, wanted)
    assert seen == [
        (False, ()),
        (True, ()),
        (True, ("int8",)),
        (True, ("int8", "fp16")),
    ]


def started_child(wanted: Wanted) -> subprocess.Popen[str]:
    child = supervise._started()
    assert child.stdin is not None
    request = Request(detector=wanted.detector, engines=wanted.engines)
    child.stdin.write(request.model_dump_json() + "\n")
    child.stdin.flush()
    return child


def test_a_child_ends_with_its_parent(wanting: Wanting) -> None:
    child = started_child(wanting()[0])
    assert child.stdin is not None
    assert child.stdout is not None
    assert child.stdout.readline(), "it builds"
    child.stdin.close()  # what the kernel does when a parent dies
    with child.stdout:
        assert child.wait(PATIENCE_S) in (0, 3)


def test_a_child_that_was_asked_nothing_ends_without_a_word(capfd: pytest.CaptureFixture) -> None:
    for heard in ("", '{"detector": {'):  # the parent was killed before, and while it asked
        with supervise._started() as child:
            assert child.communicate(heard)[0] == ""
        assert child.returncode == ORPHANED
    assert capfd.readouterr().err == ""


def test_a_child_that_nobody_listens_to_ends_without_a_traceback(
    wanting: Wanting, capfd: pytest.CaptureFixture
) -> None:
    with started_child(wanting()[0]) as child:
        assert child.stdout is not None
        child.stdout.close()  # the first half of what the kernel does when a parent dies
        assert child.wait(PATIENCE_S) == ORPHANED
    assert "Traceback" not in capfd.readouterr().err


def test_a_child_that_has_told_all_ends_in_order(
    wanting: Wanting, capfd: pytest.CaptureFixture
) -> None:
    with started_child(wanting()[0]) as child:
        assert child.stdout is not None
        assert '"done"' in child.stdout.read()  # while its own thread still waits for our end
        assert child.wait(PATIENCE_S) == 0
    assert "rror" not in capfd.readouterr().err


def test_a_child_offers_itself_to_the_oom_killer_first(wanting: Wanting) -> None:
    child = started_child(wanting()[0])
    assert child.stdin is not None
    assert child.stdout is not None
    with child:
        assert child.stdout.readline()
        assert int(Path(f"/proc/{child.pid}/oom_score_adj").read_text()) == 1000
        assert os.getpriority(os.PRIO_PROCESS, child.pid) >= 10
        child.kill()


def torn(wanted: Wanted, store: Store, seed: int) -> None:
    """Kill a build at a random moment; a start after it must end with a valid engine."""
    child = started_child(wanted)
    assert child.stdout is not None
    lines = random.Random(seed).randrange(6)
    for _ in range(lines):
        child.stdout.readline()
    time.sleep(random.Random(seed).random() * 0.1)
    child.send_signal(signal.SIGKILL)
    with child:
        pass
    found = store.load(wanted.identity)
    engine = found or build(wanted, store, silent)
    assert store.load(wanted.identity) == engine
    assert not list(store.folder.glob(".tmp-*")) or found
    wanted.open(engine).close()
    assert wanted.info.input_hw[0] == SIDE


@pytest.mark.timeout(1200)
def test_a_build_killed_at_random_moments_leaves_a_valid_engine_in_the_end(
    wanting: Wanting,
) -> None:
    wanted, store = wanting()
    for seed in range(KILLS):
        torn(wanted, store, seed)
        store.drop(wanted.identity)
