"""In the machine: the kernel ends a build for lack of memory; the daemon lives, tells, tries again.

The unit that ships is used, with its own OOMPolicy; what it may use is cut (MemoryMax) to less than
it needs, once, as soon as a build goes on. Real cgroups, which a container here does not have.
"""

import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import tiny_models

SHARE = Path("/share")
UNIT = Path("/etc/systemd/system/spotterd.service")
MODEL = Path("/var/tmp/dark.onnx")
CONFIG = Path("/var/tmp/spotterd.yaml")
OURS = f"""[Service]
ExecStart=
ExecStart=/usr/bin/python3 -m spotterd run --config {CONFIG}
Environment=PYTHONPATH=/share/daemon:/opt/site PYTHONDONTWRITEBYTECODE=1
User=root
Group=root
# A processor in software: Python takes half a minute to begin.
TimeoutStartSec=300
WatchdogSec=120
"""
PATIENCE_S = 240
SLACK = 4 << 20  # bytes; only to import what a build needs takes more


def sh(command: str) -> str:
    return subprocess.run(command, shell=True, check=True, capture_output=True, text=True).stdout


def show(*names: str) -> list[str]:
    return [sh(f"systemctl show spotterd -P {name}").strip() for name in names]


def journal() -> str:
    return sh("journalctl -u spotterd -o cat --no-pager")


def in_use() -> int:
    """Bytes that the service uses, once the kernel has taken back what it can: cached files."""
    group = Path("/sys/fs/cgroup/system.slice/spotterd.service")
    with suppress(OSError):  # EAGAIN: there was less than that to take back
        (group / "memory.reclaim").write_text("1G")
    return int((group / "memory.current").read_text())


def wait_for(what: str, where: str) -> None:
    """Until the journal or the status line has these words."""
    for _ in range(PATIENCE_S):
        said = journal() if where == "journal" else show("StatusText")[0]
        if what in said:
            return
        time.sleep(1)  # another program's state: there is nothing to wait on
    raise TimeoutError(f"no '{what}' in the {where}:\n{journal()}")


def main() -> int:
    tiny_models.sees_dark(MODEL)
    CONFIG.write_text(
        f"detector: {{model: {MODEL}}}\n"
        "engines: {calibration: /share/calibration}\n"
        'cameras: {north: {source: "sim:?size=384x256&fps=2", stall_timeout_s: 60}}\n'
    )
    UNIT.write_bytes((SHARE / "systemd" / UNIT.name).read_bytes())
    UNIT.with_suffix(".service.d").mkdir()
    (UNIT.with_suffix(".service.d") / "vm.conf").write_text(OURS)
    sh("systemctl daemon-reload && systemctl start --no-block spotterd")
    wait_for("building", "status")
    (pid,) = show("MainPID")
    used = in_use()
    print(f"the daemon is {pid}; it and its build use {used >> 20} MiB", flush=True)

    # Hardly more than is in use: what the child takes on ends it. Below, the kernel would end one
    # process after the other, before the memory of the first is free.
    sh(f"systemctl set-property --runtime spotterd MemoryMax={used + SLACK}")
    wait_for("The builder was ended by SIGKILL", "journal")
    wait_for("Trying again", "journal")
    sh("systemctl set-property --runtime spotterd MemoryMax=infinity")
    print(next(line for line in journal().splitlines() if "ended by SIGKILL" in line), flush=True)
    wait_for("running: Watching with", "status")

    now, restarts, state, status = show("MainPID", "NRestarts", "ActiveState", "StatusText")
    print(f"the same daemon, {now}, {restarts} restarts, {state}: {status}", flush=True)
    kills = sh("journalctl -k --no-pager | grep -i 'memory cgroup out of memory' || true")
    print(kills.strip(), flush=True)
    good = (now, restarts, state) == (pid, "0", "active") and "out of memory" in kills.lower()
    print("vm-test:", "passed" if good else "FAILED", flush=True)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
