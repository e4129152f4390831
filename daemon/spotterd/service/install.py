"""What `spotterd service install` changes, as steps that know whether they are done."""

import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from spotterd.errors import BadInputError
from spotterd.paths import CHECKOUT, SYSTEM_CONFIG, shipped

PREFIX = Path("/opt/spotterd")
UNIT = Path("/etc/systemd/system/spotterd.service")
DROP_IN = Path("/etc/systemd/system/spotterd.service.d/newer-systemd.conf")
OLDEST_FOR_DROP_IN = 254

# File in the data room systemd/ -> where it belongs.
FILES = {
    "spotterd.service": UNIT,
    "spotterd.sysusers": Path("/etc/sysusers.d/spotterd.conf"),
    "spotterd.tmpfiles": Path("/etc/tmpfiles.d/spotterd.conf"),
    "spotterd.rules": Path("/etc/udev/rules.d/70-spotterd.rules"),
    "spotterd.polkit": Path("/etc/polkit-1/rules.d/49-spotterd.rules"),
}
KEPT = (Path("/etc/spotterd"), Path("/var/lib/spotterd"), Path("/var/cache/spotterd"))

Run = Callable[[Sequence[str]], None]


@dataclass(frozen=True, slots=True)
class Step:
    """One change.

    Attributes:
        what: for people: "write /etc/...".
        done: nothing is left to do.
        do: makes the change.
    """

    what: str
    done: Callable[[], bool]
    do: Callable[[], None]


def run_command(command: Sequence[str]) -> None:
    """Run a system tool.

    Raises:
        BadInputError: it failed; with its last words.
    """
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    except OSError as error:
        raise BadInputError(f"Cannot run {command[0]}: {error.strerror}. Install it.") from error
    if done.returncode != 0:
        words = (done.stderr or done.stdout).strip().splitlines() or ["it said nothing"]
        raise BadInputError(f"`{' '.join(command)}` failed: {words[-1]}")


def install_steps(root: Path, run: Run, systemd_version: int) -> Iterator[Step]:
    """The steps that make a service of this spotterd.

    Args:
        root: `/`, or the root of another file system (an image): then nothing is started or
            reloaded, and the Python environment has to be made inside of it.
        run: runs a system tool.
        systemd_version: of the machine that will run it.
    """
    here = root == Path("/")
    if here:
        yield _environment(run)
    for name, target in FILES.items():
        yield _file(shipped(f"systemd/{name}"), _under(root, target))
    if systemd_version >= OLDEST_FOR_DROP_IN:
        yield _file(shipped("systemd/newer-systemd.conf"), _under(root, DROP_IN))
    config = _under(root, SYSTEM_CONFIG)
    # Never written again: it is the user's.
    yield Step(f"write {config}", config.exists, lambda: _copy(shipped("config.yaml"), config))
    yield _tool(run, "systemd-sysusers", f"--root={root}", "spotterd.conf")
    yield _tool(run, "systemd-tmpfiles", "--create", f"--root={root}", "spotterd.conf")
    wanted = _under(root, Path("/etc/systemd/system/multi-user.target.wants/spotterd.service"))
    yield Step(
        "enable at boot",
        wanted.is_symlink,
        lambda: run(["systemctl", f"--root={root}", "enable", "spotterd.service"]),
    )
    if here:
        yield _tool(run, "systemctl", "daemon-reload")
        yield _tool(run, "udevadm", "control", "--reload")


def uninstall_steps(root: Path, run: Run, *, purge: bool) -> Iterator[Step]:
    """The steps back; configuration and data stay unless `purge`. The user spotterd stays too."""
    here = root == Path("/")
    unit = _under(root, UNIT)
    if here:
        yield Step(
            "stop and disable",
            lambda: not unit.exists(),
            lambda: run(["systemctl", "disable", "--now", "spotterd.service"]),
        )
    else:
        yield Step(
            "disable",
            lambda: not unit.exists(),
            lambda: run(["systemctl", f"--root={root}", "disable", "spotterd.service"]),
        )
    folders = [PREFIX, *(KEPT if purge else ())]
    for path in (*FILES.values(), DROP_IN.parent, *folders):
        yield _removal(_under(root, path))
    if here:
        yield _tool(run, "systemctl", "daemon-reload")


def _environment(run: Run) -> Step:
    """A Python environment that the service may read: not in a home, with the system's packages.

    JetPack brings tensorrt, apt brings gi and systemd: for the system's Python only.
    """
    python = "/usr/bin/python3"

    def make() -> None:
        if not (CHECKOUT / "setup.py").is_file():
            raise BadInputError(
                "`spotterd service install` installs from a checkout of spotterd, and this one is "
                f"not in a checkout. Make {PREFIX} yourself: `{python} -m venv "
                f"--system-site-packages {PREFIX}`, then install spotterd with {PREFIX}/bin/pip."
            )
        if not (PREFIX / "bin/pip").exists():
            run([python, "-m", "venv", "--system-site-packages", str(PREFIX)])
        run([f"{PREFIX}/bin/pip", "install", "--quiet", f"{CHECKOUT}[metrics,nvml]"])

    what = f"make the environment {PREFIX} (some minutes)"
    # The service's own environment is up to date by definition: it is the one that runs here.
    return Step(what, lambda: Path(sys.prefix) == PREFIX, make)


def _file(source: Path, target: Path) -> Step:
    def same() -> bool:
        return target.is_file() and target.read_bytes() == source.read_bytes()

    return Step(f"write {target}", same, lambda: _copy(source, target))


def _tool(run: Run, *command: str) -> Step:
    """A tool that is itself idempotent and quick: always run."""
    return Step(" ".join(command), lambda: False, lambda: run(command))


def _removal(path: Path) -> Step:
    def remove() -> None:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()

    return Step(f"remove {path}", lambda: not path.exists(), remove)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    target.chmod(0o644)


def _under(root: Path, path: Path) -> Path:
    return root / path.relative_to("/")
