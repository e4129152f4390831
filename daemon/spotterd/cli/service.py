"""`spotterd service install, uninstall, status`."""

import os
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from spotterd.service.install import Step

app = typer.Typer(help="Run spotterd as a service of this machine.", no_args_is_help=True)

DryRun = Annotated[bool, typer.Option("--dry-run", help="print the steps, change nothing")]
Root = Annotated[Path, typer.Option(help="root of another file system, for making images")]


@app.command()
def install(dry_run: DryRun = False, root: Root = Path("/")) -> None:
    """Make user, directories, environment, unit and rules; may be repeated at any time."""
    from spotterd.service.install import install_steps, run_command

    take(install_steps(root, run_command, _systemd_version()), dry_run)
    if not dry_run and root == Path("/"):
        print("Now: edit /etc/spotterd/config.yaml, then `sudo systemctl start spotterd`.")


@app.command()
def uninstall(
    dry_run: DryRun = False,
    root: Root = Path("/"),
    purge: Annotated[bool, typer.Option("--purge", help="configuration and data too")] = False,
) -> None:
    """Stop and remove the service; configuration and data stay unless --purge."""
    from spotterd.service.install import run_command, uninstall_steps

    take(uninstall_steps(root, run_command, purge=purge), dry_run)


@app.command()
def status() -> None:
    """How the service is; exit 1 where it is not running."""
    from spotterd.health.checks.base import Level
    from spotterd.health.checks.unit import check_unit

    findings = list(check_unit())
    if not findings:
        print("service: this machine was not started by systemd")
    for finding in findings:
        print(f"{finding.name}: {finding.said}")
        if finding.remedy:
            print(f"→ {finding.remedy}")
    raise typer.Exit(0 if findings and findings[0].level is Level.OK else 1)


def take(steps: Iterable["Step"], dry_run: bool) -> None:
    """Take each step that is not done yet, and print every one."""
    from spotterd.errors import BadInputError

    if os.geteuid() != 0 and not dry_run:
        raise BadInputError("This changes the system: run it with sudo, or with --dry-run.")
    for step in steps:
        if step.done():
            print(f"already   {step.what}")
        elif dry_run:
            print(f"would     {step.what}")
        else:
            print(f"now       {step.what}", flush=True)
            step.do()


def _systemd_version() -> int:
    """Of `systemd 252 (252.38-1~deb12u1)`; 0 without systemd."""
    systemctl = shutil.which("systemctl")
    if systemctl is None:
        return 0
    told = subprocess.run([systemctl, "--version"], capture_output=True, text=True, check=True)  # noqa: S603
    return int(told.stdout.split()[1])
