"""`spotterd doctor`: everything the daemon depends on, with what to do where it is not well."""

import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional
from urllib.parse import urlsplit

import typer

if TYPE_CHECKING:
    from spotterd.config.schema import Config
    from spotterd.health.checks.base import Finding

BROKER_TIMEOUT_S = 5.0


def doctor(
    config: Annotated[Optional[Path], typer.Option(help="configuration file")] = None,  # noqa: UP045
    as_json: Annotated[bool, typer.Option("--json", help="one JSON document on stdout")] = False,
) -> None:
    """Check dependencies, devices, clock, broker and disk; exit 1 where there is a problem."""
    from spotterd.health.checks.base import Level

    findings = list(examine(config))
    if as_json:
        _print_json(findings)
    else:
        _print_table(findings)
    raise typer.Exit(1 if any(f.level is Level.PROBLEM for f in findings) else 0)


def examine(config_file: Path | None) -> Iterator["Finding"]:
    """Every finding, in the order people should read them."""
    from spotterd.health.checks.machine import check_machine
    from spotterd.health.checks.software import check_software
    from spotterd.health.checks.unit import check_unit
    from spotterd.health.host import HostProbe
    from spotterd.paths import state_dir

    yield from check_software(nvidia=_has_nvidia())
    yield from check_machine(HostProbe(state_dir()).sample(), state_dir())
    yield from check_unit()
    yield from _configured(config_file)


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
    from spotterd.health.checks.cameras import check_camera

    for name, camera in config.cameras.items():
        yield from check_camera(name, camera.source)


def _broker(config: "Config") -> "Finding":
    from spotterd.health.checks.base import ok, problem

    url = urlsplit(config.mqtt.url)
    address = (url.hostname or "127.0.0.1", url.port or (8883 if url.scheme == "mqtts" else 1883))
    where = f"{address[0]}:{address[1]}"  # the URL itself may hold a password
    try:
        socket.create_connection(address, BROKER_TIMEOUT_S).close()
    except OSError as error:
        return problem(
            "broker",
            f"{where} cannot be reached: {error}",
            "check mqtt.url and that a broker runs there (`sudo apt install mosquitto`)",
        )
    return ok("broker", f"{where} answers")


def _has_nvidia() -> bool:
    return Path("/dev/nvhost-ctrl").exists() or Path("/dev/nvidiactl").exists()


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
