"""What systemd and the daemon tell each other: readiness, status, watchdog, credentials.

Outside of systemd every call does nothing. The protocol is sd_notify(3).
"""

import os
import socket
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeAlias

Send: TypeAlias = Callable[[str], object]


class Notifier:
    """Tells the service manager how the daemon is doing; usable from any thread.

    Args:
        send: hands one message to the service manager; None finds the way.
    """

    def __init__(self, send: Send | None = None) -> None:
        self._send = send or _way_to_systemd()

    def ready(self, status: str) -> None:
        """The daemon does its job, or says in `status` in what way it cannot yet.

        Also ends a reload.
        """
        self._send(f"READY=1\nSTATUS={_line(status)}")

    def status(self, status: str) -> None:
        """One line for `systemctl status`."""
        self._send(f"STATUS={_line(status)}")

    def watchdog(self) -> None:
        """Every required stage made progress; see `service.watchdog`."""
        self._send("WATCHDOG=1")

    def reloading(self, status: str) -> None:
        """The configuration is being read again; `ready` ends it."""
        now_us = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        # Type=notify-reload needs the time, to tell this reload from an earlier one.
        self._send(f"RELOADING=1\nMONOTONIC_USEC={now_us}\nSTATUS={_line(status)}")

    def extend_timeout(self, seconds: float) -> None:
        """Start (or stop) may take this much longer from now; repeat until it is done."""
        self._send(f"EXTEND_TIMEOUT_USEC={int(seconds * 1e6)}")

    def stopping(self, status: str) -> None:
        """The daemon was asked to stop and does so."""
        self._send(f"STOPPING=1\nSTATUS={_line(status)}")


def watchdog_limit_s(environ: Mapping[str, str] = os.environ) -> float | None:
    """Seconds without `Notifier.watchdog` after which systemd restarts this process.

    None where nobody watches this very process. Feed at least twice as often.
    """
    if environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    try:
        limit_us = int(environ.get("WATCHDOG_USEC", ""))
    except ValueError:
        return None
    return limit_us / 1e6 if limit_us > 0 else None


def credential(name: str, environ: Mapping[str, str] = os.environ) -> Path | None:
    """File with a secret given by `LoadCredential=NAME:...`; None where it is missing or blank."""
    folder = environ.get("CREDENTIALS_DIRECTORY")
    path = Path(folder) / name if folder else None
    return path if path and path.is_file() and path.read_bytes().strip() else None


def _way_to_systemd() -> Send:
    """systemd-python where it is installed, else the datagram that it would send."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return lambda _message: None
    try:
        # A folder named systemd/ makes `import systemd` succeed, empty: ask for the module.
        from systemd import daemon  # noqa: PLC0415
    except ImportError:
        return lambda message: _send_datagram(address, message)
    notify: Send = daemon.notify
    return notify


def _send_datagram(address: str, message: str) -> None:
    """Like sd_notify(3), silent where the service manager went away."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
        try:
            # @ stands for the zero byte of Linux's abstract addresses.
            out.sendto(message.encode(), "\0" + address[1:] if address[0] == "@" else address)
        except OSError:
            return


def _line(status: str) -> str:
    """A status of several lines would be taken for further messages."""
    return " ".join(status.split())
