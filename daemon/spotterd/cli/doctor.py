"""`spotterd doctor`: everything the daemon depends on, with what to do where it is not well."""

import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from spotterd.cli.common import ConfigOption, JsonOption

if TYPE_CHECKING:
    from spotterd.config.schema import Camera, Config, Detector
    from spotterd.health.checks.base import Finding

BROKER_TIMEOUT_S = 5.0
WORTH_TELLING = 0.9  # of the time that an inference takes now


def doctor(
    config: ConfigOption = None,
    camera: Annotated[
        bool, typer.Option("--camera", help="list cameras; take a test picture of configured ones")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Check dependencies, devices, clock, broker and disk; exit 1 where there is a problem."""
    from spotterd.health.checks.base import Level

    # The findings say it; without this, warnings of the rooms come between on stderr.
    logging.getLogger("spotterd").addHandler(logging.NullHandler())
    findings = list(examine_cameras(config) if camera else examine(config))
    if as_json:
        _print_json(findings)
    else:
        _print_table(findings)
    raise typer.Exit(1 if any(f.level is Level.PROBLEM for f in findings) else 0)


def examine(config_file: Path | None) -> Iterator["Finding"]:
    """Every finding, in the order people should read them."""
    from spotterd.health.board import BoardProbe
    from spotterd.health.checks.board import check_board
    from spotterd.health.checks.machine import check_machine
    from spotterd.health.checks.software import check_software
    from spotterd.health.checks.unit import check_unit
    from spotterd.health.host import HostProbe
    from spotterd.paths import state_dir

    board = BoardProbe().sample()
    yield from check_software(nvidia=board.model is not None)
    yield from check_board(board)
    yield from check_machine(HostProbe(state_dir()).sample(), state_dir())
    yield from check_unit()
    yield from _configured(config_file)


def examine_cameras(config_file: Path | None) -> Iterator["Finding"]:
    """The cameras of this board, and a picture of every configured one."""
    from spotterd.camera.survey import survey
    from spotterd.config.load import load
    from spotterd.health.checks.base import ok, problem, warning

    found = survey()
    if not found:
        yield warning("cameras", "no USB or CSI camera here", "plug one in, or use rtsp://")
    for one in found:
        if one.allowed:
            yield ok(one.source, f"{one.device.node}: {one}")
        else:
            remedy = "sudo usermod -aG video $USER, then log in again"
            yield problem(one.source, f"{one.device.node} may not be opened by this user", remedy)
    config = load(config_file)
    for name, configured in config.cameras.items():
        yield _picture(name, configured, config.detector)


def _picture(name: str, camera: "Camera", detector: "Detector") -> "Finding":
    from spotterd.camera.survey import take_picture
    from spotterd.errors import SpotterdError
    from spotterd.health.checks.base import ok, problem, warning
    from spotterd.paths import state_dir

    what = f"camera {name}"
    try:
        taken = take_picture(name, camera, state_dir() / "doctor")
    except SpotterdError as error:
        return problem(what, str(error), "is `spotterd run` using it? Stop that, and try again")
    width, height = taken.size_wh
    rate = f" at {taken.fps:.0f} fps" if taken.fps else ""
    said = f"{width}x{height}{rate}; look at {taken.path}"
    if taken.warnings:
        return warning(what, f"{said}. {' '.join(taken.warnings)}", "look at the picture")
    return ok(what, f"{said}{_better_input(taken.size_wh, detector)}")


def _better_input(size_wh: tuple[int, int], detector: "Detector") -> str:
    """The input in which pictures of that size leave no grey bars; "" where it saves nothing."""
    from spotterd.errors import BadInputError
    from spotterd.inference.model import inspect
    from spotterd.inference.open import model_path
    from spotterd.vision.letterbox import Letterbox

    try:
        path = model_path(detector.model)
        input_hw = inspect(path, detector.input_hw).input_hw
        height, width = Letterbox(size_wh, input_hw).tight_hw
        inspect(path, (height, width))
    except BadInputError:  # no model, which is told elsewhere, or one of a fixed size
        return ""
    share = width * height / (input_hw[0] * input_hw[1])
    if share > WORTH_TELLING:
        return ""
    return (
        f"; detector.input_size: [{width}, {height}] shows the detector the same without grey bars "
        f"in {share:.2f} of the time"
    )


def _configured(config_file: Path | None) -> Iterator["Finding"]:
    """What depends on the configuration; a bad one is a problem by itself."""
    from spotterd.config.load import find_config, load
    from spotterd.errors import BadInputError
    from spotterd.health.checks.base import ok, problem

    path = config_file or find_config()
    try:
        config = load(path)
    except BadInputError as error:
        yield problem("configuration", str(error), "mend it; `spotterd config validate` checks it")
        return
    yield ok("configuration", str(path or "built-in defaults"))
    yield from _cameras(config)
    yield _broker(config)


def _cameras(config: "Config") -> Iterator["Finding"]:
    from spotterd.camera.uri import scheme_of
    from spotterd.camera.usb import devices, find_node
    from spotterd.errors import SpotterdError
    from spotterd.health.checks.base import problem
    from spotterd.health.checks.cameras import check_camera

    for name, camera in config.cameras.items():
        source = camera.source
        if scheme_of(source) == "usb":
            try:
                source = str(find_node(source.partition(":")[2].partition("?")[0], devices()))
            except SpotterdError as error:
                yield problem(f"camera {name}", str(error), "`spotterd doctor --camera` lists them")
                continue
        yield from check_camera(name, source)


def _broker(config: "Config") -> "Finding":
    """A message to the broker and back, with the daemon's own connection code and rights."""
    import queue
    import time

    from spotterd.errors import BadInputError
    from spotterd.health.checks.base import ok, problem
    from spotterd.publish.base import Message
    from spotterd.publish.memory import MemoryOutbox
    from spotterd.publish.mqtt import MqttLink

    remedy = "check the section mqtt; is a broker there? (`sudo apt install mosquitto`)"
    topic = f"{config.root}/doctor"
    # The findings say it; without this, warnings of the link come between on stderr.
    logging.getLogger("spotterd").addHandler(logging.NullHandler())
    try:
        link = MqttLink(
            config.mqtt, f"doctor-{os.getpid()}", MemoryOutbox(), subscriptions=(topic,)
        )
    except BadInputError as error:
        return problem("broker", str(error), "mend the section mqtt")
    link.start()
    try:
        if not link.wait_connected(BROKER_TIMEOUT_S, patient=False):
            return problem("broker", link.last_error or f"{link.broker} does not answer", remedy)
        began_s = time.monotonic()
        link.send(Message(topic, b"how are you?", qos=1))
        link.inbox.get(timeout=BROKER_TIMEOUT_S)
        took_ms = (time.monotonic() - began_s) * 1000
        return ok("broker", f"{link.broker}: a message there and back took {took_ms:.0f} ms")
    except queue.Empty:
        why = link.last_error or f"a message to {topic} did not come back"
        return problem(
            "broker", why, "may this user write and read there? see systemd/mosquitto.acl"
        )
    finally:
        link.stop(timeout_s=1)


def _print_json(findings: list["Finding"]) -> None:
    import json
    from dataclasses import asdict

    print(json.dumps([asdict(finding) for finding in findings], ensure_ascii=False, indent=1))


def _print_table(findings: list["Finding"]) -> None:
    from collections import Counter

    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from spotterd.health.checks.base import Level

    colour = {Level.OK: "green", Level.WARNING: "yellow", Level.PROBLEM: "bold red"}
    table = Table.grid(padding=(0, 2))
    for finding in findings:
        said = Text(finding.said)
        if finding.remedy:
            said.append(f"\n→ {finding.remedy}", style="cyan")
        level = Text(finding.level.value, style=colour[finding.level])
        table.add_row(level, Text(finding.name, style="bold"), said)
    counts = Counter(finding.level for finding in findings)
    console = Console(soft_wrap=False, width=None if sys.stdout.isatty() else 160)
    console.print(table)
    console.print("  ".join(f"{counts[level]} {level.value}" for level in Level))
