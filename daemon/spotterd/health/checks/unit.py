"""The systemd unit: installed, enabled, running?"""

import shutil
import subprocess
from collections.abc import Iterator, Mapping

from spotterd.health.checks.base import Finding, ok, problem, warning

PROPERTIES = ("LoadState", "ActiveState", "SubState", "Result", "UnitFileState", "StatusText")


def check_unit(unit: str = "spotterd.service") -> Iterator[Finding]:
    """Nothing where this machine was not started by systemd."""
    shown = _show(unit)
    if shown:
        yield judge_unit(shown)


def judge_unit(shown: Mapping[str, str]) -> Finding:
    """A finding out of the properties that `systemctl show` prints."""
    if shown.get("LoadState") == "not-found":
        return warning("service", "not installed", "sudo spotterd service install")
    state = f"{shown.get('ActiveState')} ({shown.get('SubState')})"
    if shown.get("ActiveState") == "failed":
        return problem(
            "service",
            f"{state}, result {shown.get('Result')}",
            "`journalctl -u spotterd -n 50` tells why; then `sudo systemctl restart spotterd`",
        )
    if shown.get("UnitFileState") == "disabled":
        return warning(
            "service", f"{state}, does not start at boot", "sudo systemctl enable spotterd"
        )
    if shown.get("ActiveState") != "active":
        return warning("service", state, "sudo systemctl start spotterd")
    return ok("service", f"{state}: {shown.get('StatusText') or 'no status yet'}")


def _show(unit: str) -> dict[str, str]:
    systemctl = shutil.which("systemctl")
    if systemctl is None:
        return {}
    command = [systemctl, "show", unit, f"--property={','.join(PROPERTIES)}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)  # noqa: S603
    except subprocess.TimeoutExpired:
        return {}
    # Not booted with systemd: systemctl says so on stderr and prints nothing.
    return dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)
