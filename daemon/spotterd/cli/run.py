"""`spotterd run`: the daemon in the foreground."""

import faulthandler
import logging
import os
import signal
import sys
from typing import Annotated, Any

import typer

from spotterd.cli.common import ConfigOption

log = logging.getLogger(__name__)


def run(
    config: ConfigOption = None,
    source: Annotated[
        str | None,
        typer.Option(help="one camera: a video, folder, usb:0, csi:0, rtsp://..., sim:"),
    ] = None,
    broker: Annotated[str | None, typer.Option(help="mqtt://HOST:PORT or mqtts://...")] = None,
    seconds: Annotated[
        float | None, typer.Option("--for", min=0, help="stop after so many seconds")
    ] = None,
    log_level: Annotated[str | None, typer.Option(help="debug, info, warning or error")] = None,
) -> None:
    """Watch the sky and report over MQTT, until told to stop."""
    from spotterd.config.load import Given
    from spotterd.memory import share_arenas
    from spotterd.service.journal import set_up_logging
    from spotterd.service.supervisor import NEVER, Daemon
    from spotterd.service.systemd import Notifier

    share_arenas()
    set_up_logging("info")  # until the configuration is known
    faulthandler.enable()  # systemd's watchdog sends SIGABRT: every thread's stack in the journal
    chosen: dict[str, Any] = {}
    if source is not None:
        chosen["cameras"] = {"main": {"source": source}}
    if broker is not None:
        chosen["mqtt"] = {"url": broker}
    if log_level is not None:
        chosen["log"] = {"level": log_level}

    def read() -> Given:
        return Given.read(config, chosen)

    daemon = Daemon(read(), Notifier())
    signal.signal(signal.SIGHUP, lambda _got, _frame: daemon.reload(read))
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda got, _frame: daemon.stop(signal.Signals(got).name))
    daemon.run(NEVER if seconds is None else seconds)
    if daemon.left_behind:
        # A thread that hangs in a driver would crash the interpreter while it winds up.
        log.warning("Left behind, busy: %s.", ", ".join(daemon.left_behind))
        logging.shutdown()
        if not daemon.restart:
            os._exit(0)
    if daemon.restart:
        # The same process to systemd: it keeps its number, and READY=1 comes again.
        os.execv(sys.executable, sys.orig_argv)  # noqa: S606 (ourselves)
