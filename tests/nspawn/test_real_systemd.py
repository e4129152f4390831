"""The package in a real systemd: `make systemd-test`. Needs root, and $SPOTTERD_SYSTEMD_ROOT.

One container for all of it; each test leaves the service running and the broker up.
"""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from nspawn.container import Container
from nspawn.freeze import frozen, threads_named

ROOT = os.environ.get("SPOTTERD_SYSTEMD_ROOT", "")
DIST = Path(__file__).parents[2] / "dist"
PASSWORD = "s3cret-of-the-board"
SUBSCRIBE = f"mosquitto_sub -h 127.0.0.1 -u board -P {PASSWORD} -v -t 'spotter/jet1/#'"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif(not ROOT, reason="run by `make systemd-test`"),
]

CONFIG = """\
node: jet1
mqtt: {username: board}
health: {interval_s: 1}
engines: {precision: fp32}
cameras:
  north: {source: "sim:", max_fps: 4}
"""
BROKER = """\
listener 1883 127.0.0.1
allow_anonymous false
password_file /etc/mosquitto/pw
"""


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Container]:
    """Booted, with a broker that wants a password, and the package installed."""
    console = tmp_path_factory.mktemp("console") / "log"
    with console.open("w") as log:
        made = Container(Path(ROOT), f"spotterd{os.getpid()}", DIST, log)
        try:
            write(made, "/etc/mosquitto/conf.d/spotterd.conf", BROKER)
            made.sh(f"mosquitto_passwd -b -c /etc/mosquitto/pw board {PASSWORD}")
            made.sh("chown mosquitto /etc/mosquitto/pw && systemctl restart mosquitto")
            package = max(DIST.glob("spotterd_*_amd64.deb"), key=lambda deb: deb.stat().st_mtime)
            made.sh(f"apt-get install -y --no-install-recommends /shared/{package.name}", 400)
            yield made
        finally:
            made.stop()


def write(machine: Container, path: str, content: str) -> None:
    machine.sh(f"cat >{path} <<'END'\n{content}END\n")


@pytest.fixture
def running(machine: Container) -> Container:
    """The service as an owner sets it up, started."""
    write(machine, "/etc/spotterd/config.yaml", CONFIG)
    machine.sh(f"printf %s {PASSWORD} >/etc/spotterd/mqtt-password")
    machine.sh("systemctl reset-failed spotterd; systemctl restart spotterd", 120)
    return machine


def main_pid(machine: Container) -> int:
    return int(machine.show("MainPID")["MainPID"])


def hear(machine: Container, topic: str) -> str:
    """What is retained below the root."""
    return machine.out(f"{SUBSCRIBE.replace('#', topic)} -C 1 -W 20")


def journal(machine: Container, since: str = "@0") -> str:
    return machine.out(f"journalctl -u spotterd --no-pager -o cat --since={since}")


def now(machine: Container) -> str:
    """For `since`: what an earlier test did is no proof."""
    return machine.out("date +@%s.%6N")


def test_the_package_makes_user_directories_and_an_enabled_unit(machine: Container) -> None:
    assert machine.out("systemctl is-enabled spotterd") == "enabled"
    assert machine.sh("systemctl is-active spotterd", check=False).stdout.strip() == "inactive"
    assert {"spotterd", "video", "render"} == set(machine.out("id -nG spotterd").split())
    owners = machine.out(
        "stat -c '%U:%G %a' /etc/spotterd /etc/spotterd/config.yaml /var/lib/spotterd"
    )
    assert owners.split("\n") == ["root:spotterd 750", "root:spotterd 640", "spotterd:spotterd 750"]


def test_ready_comes_with_the_first_frame_and_status_tells(running: Container) -> None:
    shown = running.show("ActiveState", "SubState", "StatusText", "User")
    assert (shown["ActiveState"], shown["SubState"]) == ("active", "running")
    assert "Watching with " in shown["StatusText"]  # on first boot after "building: ... Meanwhile"
    said = journal(running)
    assert said.index("Waiting for the first picture of north") < said.index("Watching with")
    for topic in ("availability", "state", "info", "camera/north/status", "config/reported"):
        assert hear(running, topic)


def test_ready_with_a_stated_reason_when_there_is_no_camera(running: Container) -> None:
    write(running, "/etc/spotterd/config.yaml", CONFIG.replace('"sim:", max_fps: 4', "/dev/video9"))
    began = time.monotonic()
    running.sh("systemctl restart spotterd", 120)
    assert time.monotonic() - began < 60
    assert running.show("StatusText")["StatusText"].startswith("degraded: Camera north:")


def test_the_password_is_nowhere_to_be_seen(running: Container) -> None:
    pid = main_pid(running)
    assert PASSWORD not in running.out("ps -eo args")
    assert PASSWORD not in running.out(f"tr '\\0' '\\n' </proc/{pid}/environ")
    assert PASSWORD not in running.out("journalctl --no-pager | grep -v mosquitto_passwd")
    assert PASSWORD not in running.out("systemctl show spotterd")
    assert running.out("stat -c '%U %a' /etc/spotterd/mqtt-password").startswith("root")
    assert running.sh("su -s /bin/sh nobody -c 'cat /run/credentials/spotterd.service/*'",
                      check=False).returncode != 0  # fmt: skip


def test_journal_entries_have_fields(running: Container) -> None:
    found = running.out("journalctl -u spotterd SPOTTER_EVENT=state -o cat | tail -1")
    assert "Watching with" in found


def test_stop_is_quick_and_says_goodbye(running: Container) -> None:
    began = time.monotonic()
    running.sh("systemctl stop spotterd")
    assert time.monotonic() - began < 3
    assert running.show("Result")["Result"] == "success"
    assert hear(running, "availability") == "spotter/jet1/availability stopped"


def test_reload_takes_a_new_camera_and_keeps_the_process(running: Container) -> None:
    pid = main_pid(running)
    write(running, "/etc/spotterd/config.yaml", CONFIG.replace("north", "south"))
    running.sh("systemctl reload spotterd")
    running.wait("systemctl show spotterd -p StatusText | grep -q 'Watching with'", 30)
    assert main_pid(running) == pid
    assert "online" in hear(running, "camera/south/status")


def test_reload_of_a_bad_configuration_keeps_the_good_one(running: Container) -> None:
    pid = main_pid(running)
    write(running, "/etc/spotterd/config.yaml", "detector: {scor: 1}\n")
    running.sh("systemctl reload spotterd")
    running.wait("journalctl -u spotterd -o cat | grep -q \"did you mean 'score'\"", 20)
    running.wait("systemctl show spotterd -p StatusText | grep -q 'Watching with'", 30)
    assert main_pid(running) == pid


def test_a_bad_configuration_at_the_start_is_a_visible_failure_at_once(running: Container) -> None:
    write(running, "/etc/spotterd/config.yaml", "detector: {scor: 1}\n")
    running.sh("systemctl restart spotterd", check=False)
    shown = running.show("ActiveState", "ExecMainStatus", "NRestarts")
    assert shown == {"ActiveState": "failed", "ExecMainStatus": "2", "NRestarts": "0"}
    assert "did you mean 'score'?" in journal(running)


@pytest.mark.parametrize("stage", ["detect", "interpret", "mqtt"])
def test_a_frozen_stage_leads_to_a_restart(running: Container, stage: str) -> None:
    override(running, "WatchdogSec=4")
    pid = main_pid(running)
    outer = running.outer_pid(pid)
    running.wait(f"test -d /proc/{pid} && grep -qx {stage} /proc/{pid}/task/*/comm", 20)
    limit_s, began = 150 if stage == "mqtt" else 30, now(running)
    with frozen(threads_named(outer, stage)):
        running.wait(f"test $(systemctl show spotterd -P MainPID) != {pid}", limit_s)
    running.wait("systemctl show spotterd -p StatusText | grep -q 'Watching with'", 60)
    said = journal(running, began)
    assert f"{stage} made no progress" in said
    assert "Watchdog timeout" in said
    assert "Fatal Python error: Aborted" in said  # the stacks of all threads


def test_a_frozen_main_thread_leads_to_a_restart(running: Container) -> None:
    override(running, "WatchdogSec=4")
    pid = main_pid(running)
    with frozen([running.outer_pid(pid)]):  # the thread that has the number of its process
        running.wait(f"test $(systemctl show spotterd -P MainPID) != {pid}", 30)
    running.wait("systemctl show spotterd -p StatusText | grep -q 'Watching with'", 60)


def test_a_frozen_process_leads_to_a_restart(running: Container) -> None:
    override(running, "WatchdogSec=4")
    pid = main_pid(running)
    running.sh(f"kill -STOP {pid}")
    took_s = running.wait(f"test $(systemctl show spotterd -P MainPID) != {pid}", 30)
    assert took_s < 15
    running.wait("systemctl show spotterd -p StatusText | grep -q 'Watching with'", 60)


def test_a_frozen_camera_is_left_behind_and_opened_again(running: Container) -> None:
    override(running, "WatchdogSec=4")
    pid = main_pid(running)
    outer = running.outer_pid(pid)
    running.wait(f"grep -qx camera-north /proc/{pid}/task/*/comm", 20)
    said = f"journalctl -u spotterd -o cat --since={now(running)}"
    with frozen(threads_named(outer, "camera-north")):
        running.wait(f"{said} | grep -q 'degraded: Camera north'", 40)
        running.wait("systemctl show spotterd -p StatusText | grep -q 'Watching with'", 60)
        assert main_pid(running) == pid


def override(machine: Container, line: str) -> None:
    """A shorter watchdog, so that the test is short; the limits of the stages stay."""
    machine.sh("mkdir -p /run/systemd/system/spotterd.service.d")
    write(machine, "/run/systemd/system/spotterd.service.d/test.conf", f"[Service]\n{line}\n")
    machine.sh("systemctl daemon-reload; systemctl restart spotterd", 120)


def test_exposure_on_the_running_system(running: Container) -> None:
    said = running.out("systemd-analyze security --no-pager spotterd")
    exposure = float(said.rsplit("spotterd.service: ", 1)[1].split()[0])
    assert exposure <= 2.5


def test_removal_leaves_configuration_and_purge_takes_all(running: Container) -> None:
    running.sh("apt-get remove -y spotterd", 120)
    assert running.sh("test -e /opt/spotterd", check=False).returncode != 0
    running.sh("test -e /etc/spotterd/config.yaml")
    running.sh("apt-get purge -y spotterd", 120)
    assert running.sh("ls -d /etc/spotterd /var/lib/spotterd", check=False).stdout == ""
