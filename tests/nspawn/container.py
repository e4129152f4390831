"""A container with systemd as its first process, for what only a real systemd can show."""

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import IO

Done = subprocess.CompletedProcess[str]


class Container:
    """Boots `root` without changing it: what is written goes to memory and is lost.

    Args:
        root: of a Debian with systemd, see root.sh.
        name: of the machine.
        shared: folder that appears as /shared, read only.
        log: takes what the console says.
    """

    def __init__(self, root: Path, name: str, shared: Path, log: IO[str]) -> None:
        command = ["systemd-nspawn", "--quiet", f"--directory={root}", f"--machine={name}",
                   "--boot", "--register=no", "--keep-unit", "--private-network", "--console=pipe",
                   "--volatile=overlay", f"--bind-ro={shared}:/shared"]  # fmt: skip
        self._nspawn = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        self._init = self._wait_for_init()
        self.wait("systemctl is-system-running | grep -qE 'running|degraded'", 60)

    def sh(self, command: str, timeout_s: float = 60, *, check: bool = True) -> Done:
        """Run a shell command inside."""
        enter = ["nsenter", "-t", str(self._init), "-m", "-u", "-i", "-n", "-p", "-C", "--"]
        done = subprocess.run(
            [*enter, "/bin/sh", "-c", command],
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
            env={"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
        )
        assert done.returncode == 0 or not check, f"{command}\n{done.stdout}\n{done.stderr}"
        return done

    def out(self, command: str, timeout_s: float = 60) -> str:
        """What a command prints."""
        return self.sh(command, timeout_s).stdout.strip()

    def wait(self, command: str, timeout_s: float) -> float:
        """Wait until a command succeeds; seconds it took."""
        began = time.monotonic()
        while self.sh(command, check=False).returncode != 0:
            assert time.monotonic() - began < timeout_s, f"not within {timeout_s} s: {command}"
            time.sleep(0.2)  # another machine's state: there is nothing to wait on
        return time.monotonic() - began

    def show(self, *properties: str, unit: str = "spotterd") -> dict[str, str]:
        """Properties of a unit."""
        shown = self.out(f"systemctl show {unit} --property={','.join(properties)}")
        return dict(line.split("=", 1) for line in shown.splitlines())

    def outer_pid(self, inner_pid: int) -> int:
        """The process id outside of the container, for a tracer there."""
        for folder in Path("/proc").glob("[0-9]*"):
            pids = _namespaced_pids(int(folder.name))
            if pids[1:] == [str(inner_pid)] and self._is_inside(int(folder.name)):
                return int(folder.name)
        raise LookupError(inner_pid)

    def stop(self) -> None:
        """Power off."""
        self._nspawn.send_signal(signal.SIGTERM)
        try:
            self._nspawn.wait(20)
        except subprocess.TimeoutExpired:
            os.kill(self._init, signal.SIGKILL)
            self._nspawn.wait(10)

    def _is_inside(self, pid: int) -> bool:
        namespace = Path(f"/proc/{self._init}/ns/pid").readlink()
        return Path(f"/proc/{pid}/ns/pid").readlink() == namespace

    def _wait_for_init(self) -> int:
        """The child that is process 1 inside; nspawn's first child is only on the way to it."""
        children = Path(f"/proc/{self._nspawn.pid}/task/{self._nspawn.pid}/children")
        began = time.monotonic()
        while time.monotonic() - began < 20:
            for pid in children.read_text().split():
                if _namespaced_pids(int(pid))[1:] == ["1"]:
                    return int(pid)
            time.sleep(0.05)
        self._nspawn.kill()
        raise TimeoutError("the container has no first process")


def _namespaced_pids(pid: int) -> list[str]:
    """The process's id here and in each namespace below; empty where it has gone."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return []
    return next(line.split()[1:] for line in status.splitlines() if line.startswith("NSpid"))
