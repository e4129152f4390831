"""`spotterd service install` into another root: what it writes, and that it may be repeated."""

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
from typer.testing import CliRunner

from spotterd.cli.main import app
from spotterd.errors import BadInputError
from spotterd.service import install

needs_tools = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("systemd-sysusers") is None,
    reason="needs root and systemd's tools (apt install systemd)",
)
UNIT = "etc/systemd/system/spotterd.service"


class Recorder:
    def __init__(self) -> None:
        self.commands: list[str] = []

    def __call__(self, command: Sequence[str]) -> None:
        self.commands.append(" ".join(command))


def go(steps: object) -> list[str]:
    """Take the steps as the command does; what had to be done."""
    taken = []
    for step in steps:  # type: ignore[attr-defined]
        if not step.done():
            step.do()
            taken.append(step.what)
    return taken


def test_files_are_written_once_and_the_configuration_is_never_touched_again(
    tmp_path: Path,
) -> None:
    first = go(install.install_steps(tmp_path, Recorder(), 252))
    assert f"write {tmp_path / UNIT}" in first
    config = tmp_path / "etc/spotterd/config.yaml"
    config.write_text("node: mine\n")
    (tmp_path / UNIT).write_text("# somebody's edit\n")
    again = go(install.install_steps(tmp_path, Recorder(), 252))
    assert [what for what in again if what.startswith("write")] == [f"write {tmp_path / UNIT}"]
    assert config.read_text() == "node: mine\n"


@pytest.mark.parametrize(("version", "there"), [(249, False), (252, False), (255, True)])
def test_newer_systemd_gets_a_drop_in(tmp_path: Path, version: int, there: bool) -> None:
    go(install.install_steps(tmp_path, Recorder(), version))
    drop_in = tmp_path / install.DROP_IN.relative_to("/")
    assert drop_in.exists() is there


def test_nothing_of_the_running_system_is_touched_for_another_root(tmp_path: Path) -> None:
    run = Recorder()
    go(install.install_steps(tmp_path, run, 252))
    assert run.commands == [
        f"systemd-sysusers --root={tmp_path} spotterd.conf",
        f"systemd-tmpfiles --create --root={tmp_path} spotterd.conf",
        f"systemctl --root={tmp_path} enable spotterd.service",
    ]


def test_uninstall_keeps_configuration_and_data_unless_purged(tmp_path: Path) -> None:
    go(install.install_steps(tmp_path, Recorder(), 255))
    (tmp_path / "var/lib/spotterd").mkdir(parents=True)
    go(install.uninstall_steps(tmp_path, Recorder(), purge=False))
    left = {str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if not p.is_dir()}
    assert left == {"etc/spotterd/config.yaml"}
    go(install.uninstall_steps(tmp_path, Recorder(), purge=True))
    assert not (tmp_path / "etc/spotterd").exists()
    assert not (tmp_path / "var/lib/spotterd").exists()
    assert go(install.uninstall_steps(tmp_path, Recorder(), purge=True)) == []


@needs_tools
def test_the_command_with_systemds_own_tools(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (tmp_path / "etc/group").write_text("root:x:0:\nvideo:x:44:\n")
    arguments = ["service", "install", "--root", str(tmp_path)]

    planned = CliRunner().invoke(app, [*arguments, "--dry-run"], catch_exceptions=False)
    assert planned.exit_code == 0
    assert "would     write" in planned.stdout
    assert not (tmp_path / UNIT).exists()

    done = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    assert "spotterd:x:" in (tmp_path / "etc/passwd").read_text()
    groups = (tmp_path / "etc/group").read_text()
    assert "video:x:44:spotterd" in groups
    assert "render:x:" in groups
    config = (tmp_path / "etc/spotterd/config.yaml").stat()
    assert (oct(config.st_mode & 0o777), config.st_uid) == ("0o640", 0)
    assert (tmp_path / "var/lib/spotterd").stat().st_uid != 0
    wants = tmp_path / "etc/systemd/system/multi-user.target.wants/spotterd.service"
    assert wants.is_symlink()

    again = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert again.stdout.count("already") == done.stdout.count("now") - 2  # all but the two tools


def test_a_tool_that_fails_or_is_missing_is_one_sentence() -> None:
    with pytest.raises(BadInputError, match=r"^`ls /nowhere` failed: .*No such file"):
        install.run_command(["ls", "/nowhere"])
    with pytest.raises(BadInputError, match="Cannot run no-such-tool"):
        install.run_command(["no-such-tool"])


def test_without_root_nothing_is_begun(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    done = CliRunner().invoke(app, ["service", "install", "--root", str(tmp_path)])
    assert done.exit_code != 0
    assert list(tmp_path.iterdir()) == []
