"""The unit file, judged by systemd's own tools (no systemd needs to run)."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

UNIT = Path(__file__).parents[2] / "systemd" / "spotterd.service"
EXPOSURE_LIMIT = 2.5

pytestmark = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="needs systemd-analyze (apt install systemd)"
)


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit with a program that exists: `verify` looks for it."""
    copy = tmp_path / UNIT.name
    text = UNIT.read_text(encoding="utf-8")
    copy.write_text(text.replace("/opt/spotterd/bin/spotterd", shutil.which("true") or ""))
    return copy


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["systemd-analyze", *arguments], capture_output=True, text=True, check=False, timeout=60
    )


def test_verify_has_nothing_to_say(unit: Path) -> None:
    done = analyze("verify", str(unit))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_exposure_is_low_although_the_devices_of_a_jetson_are_allowed(unit: Path) -> None:
    done = analyze("security", "--offline=yes", "--no-pager", str(unit))
    found = re.search(r"Overall exposure level for spotterd.service: ([\d.]+)", done.stdout)
    assert found, done.stdout + done.stderr
    assert float(found.group(1)) <= EXPOSURE_LIMIT


def test_everything_that_is_not_hardened_says_why() -> None:
    lines = UNIT.read_text(encoding="utf-8").splitlines()
    opened = [n for n, line in enumerate(lines) if re.fullmatch(r"\w+=(no|all)", line)]
    assert opened
    assert [lines[n] for n in opened if not lines[n - 1].startswith("#")] == []
