"""A model is delivered to a running daemon: taken if it is good, else the old one goes on."""

import base64
import hashlib
import json
import shutil
import signal
import subprocess
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

import fileserver
import tiny_models
from brokers import Broker
from fileserver import FileServer
from journeys.daemon import Daemon, daemon, run
from spotterd.publish.base import Message

pytest.importorskip("cryptography", reason="needs pip install 'spotterd[signed]'")
if not shutil.which("openssl"):
    pytest.skip("no openssl here: sudo apt-get install openssl", allow_module_level=True)

OVER = ("current", "failed", "rolled_back")


@dataclass
class Site:
    """An operator's key and server, and a board that trusts both."""

    folder: Path
    server: FileServer
    public: Path = field(init=False)
    private: Path = field(init=False)

    def __post_init__(self) -> None:
        self.good = tiny_models.sees_many(self.folder / "good.onnx", 1)
        self.private = self.folder / "keys"
        self.private.mkdir()
        self.public, _ = fileserver.sign(self.private, self.good)

    def tree(self, **models: Any) -> dict[str, Any]:
        own = tiny_models.sees_bright(self.folder / "tiny.onnx")
        told = {
            "canary_s": 2,
            "canary_latency": 1000,  # of a busy machine
            "ca_file": str(self.folder / "ca.crt"),
            "public_key": str(self.public),
            **models,
        }
        return {
            "cameras": {"main": {"source": "sim:", "max_fps": 30}},
            "detector": {"model": str(own)},
            "remote": {"probation_s": 60, "probation_frames": 5, "models": told},
        }

    def args(self, file: Path, **other: Any) -> dict[str, Any]:
        """What to ask for, so that the board fetches this file."""
        content = self.server.content = file.read_bytes()
        _, signature = fileserver.sign(self.private, file)
        return {
            "url": self.server.url,
            "sha256": hashlib.sha256(content).hexdigest(),
            "size": len(content),
            "signature": base64.b64encode(signature).decode(),
            **other,
        }


@pytest.fixture
def site(tmp_path: Path):
    fileserver.make_certificates(tmp_path)
    with fileserver.serving(b"", tmp_path) as server:
        yield Site(tmp_path, server)


@pytest.fixture
def board(broker: Broker, site: Site):
    with daemon(broker, site.folder, site.tree()) as one:
        one.wait_for_state("running")
        yield one


def ask(one: Daemon, token: str, **args: Any) -> None:
    payload = json.dumps({"token": token, "args": args}).encode()
    one.send(Message(one.topics.request("model"), payload, qos=1))


def answer(one: Daemon, token: str) -> dict[str, Any]:
    return one.wait_for(
        "response/model", lambda told: told["token"] == token and told["progress"] is None
    )


def status(one: Daemon, *states: str) -> dict[str, Any]:
    return one.wait_for("model/status", lambda told: told["state"] in states)


def watches_with(one: Daemon, name: str) -> None:
    one.wait_for("info", lambda told: told["model"]["name"] == name)


def ends_with(one: Daemon, name: str) -> None:
    """As `watches_with`, where the word may have come before an answer."""
    if one.of("info")[-1]["model"]["name"] != name:
        watches_with(one, name)


def test_a_signed_model_is_delivered_kept_and_rolled_back(board: Daemon, site: Site) -> None:
    args = site.args(site.good)
    ask(board, "new", **args)
    watches_with(board, "New-sky")
    told = answer(board, "new")
    assert (told["ok"], told["result"]) == (True, {"state": "current"})
    seen = list(dict.fromkeys(told["state"] for told in board.of("model/status")))
    order = ("idle", "downloading", "verifying", "building", "built", "canary", "current")
    # Retained: of two at once, subscribers hear the second.
    assert seen == [state for state in order if state in seen]
    assert {"verifying", "building", "canary", "current"} <= set(seen)
    reported = board.of("config/reported")[-1]["config"]["detector"]
    assert reported["model"].endswith("New-sky.onnx"), "what is in force is what is told"
    shown = run(site.folder, "config", "show", "--origin", "--config", board.config).stdout
    assert "(delivered model)" in next(line for line in shown.splitlines() if "or.model" in line)

    board.signal(signal.SIGTERM)
    assert board.end()[0] == 0
    board.start()
    watches_with(board, "New-sky")
    ask(board, "back", rollback=True)
    assert answer(board, "back")["ok"]
    ends_with(board, "tiny")
    ask(board, "forth", rollback=True)
    assert answer(board, "forth")["ok"]
    ends_with(board, "New-sky")
    assert len(site.server.asked) == 1, "it was kept"


def test_an_operator_at_a_shell_waits_for_the_end(
    board: Daemon, broker: Broker, site: Site
) -> None:
    def request(**args: Any) -> subprocess.CompletedProcess[str]:
        told = [f"{name}={value}" for name, value in args.items()]
        return run(site.folder, "request", board.node, "model", *told, "--broker", broker.url)

    done = request(**site.args(site.good, name="sky-v3"))
    assert (done.returncode, done.stdout) == (0, "sky-v3 is in use.\n"), done.stderr
    assert f"{board.node}: canary 0% on trial" in done.stderr.splitlines()
    done = request(**{**site.args(site.good), "size": 5})
    assert done.returncode == 1
    assert "bytes; 5 were told" in done.stdout
    assert request(rollback="true").returncode == 0


def test_what_is_not_right_is_refused_and_the_old_model_goes_on(board: Daemon, site: Site) -> None:
    flipped = site.folder / "flipped.onnx"
    content = bytearray(site.good.read_bytes())
    content[len(content) // 2] ^= 1
    flipped.write_bytes(content)
    garbage = site.folder / "garbage.onnx"
    garbage.write_bytes(b"\x08\x08" + bytes(5000))

    good = site.args(site.good)
    of_good = {"signature": good["signature"]}
    refused: list[tuple[Path, dict[str, Any], str]] = [
        (flipped, of_good, "signature does not fit"),
        (site.good, {"signature": ""}, "not signed"),
        (site.good, {"sha256": "0" * 64}, "SHA-256"),
        (site.good, {"size": good["size"] - 1}, "bytes"),
        (site.good, {"labels": ["a", "b"]}, "3 classes, but there are 2 labels"),
        (site.good, {"labels": ["a", "b", "c"]}, "not those in the signed file"),
        (garbage, {}, "cannot load the model"),
        (site.good, {"size": 1 << 40}, "larger than"),
    ]
    for number, (file, wrong, said) in enumerate(refused):
        ask(board, f"t{number}", **{**site.args(file), **wrong})
        told = answer(board, f"t{number}")
        assert (told["ok"], said in told["message"]) == (False, True), told
    ask(board, "back", rollback=True)
    assert "no model before" in answer(board, "back")["message"]
    assert "canary" not in [told["state"] for told in board.of("model/status")]
    board.signal(signal.SIGTERM)
    code, stderr = board.end()
    assert code == 0
    assert "Traceback" not in stderr


def test_a_model_that_sees_ghosts_is_taken_back(broker: Broker, site: Site) -> None:
    ghosts = tiny_models.sees_many(site.folder / "ghosts.onnx", 9)
    tree = site.tree(canary_s=120, canary_objects=1)
    tree["cameras"]["main"] = {"source": "sim:?fps=100&size=160x128", "max_fps": 100}
    with daemon(broker, site.folder, tree) as one:
        one.wait_for_state("running")
        one.wait_for("health", lambda told: told["cameras"]["main"]["frames"] > 150)
        ask(one, "ghosts", **site.args(ghosts))
        watches_with(one, "New-sky")
        reason = status(one, "rolled_back")["reason"]
        assert "objects a frame" in reason
        told = answer(one, "ghosts")
        assert (told["ok"], told["message"]) == (False, reason)
        ends_with(one, "tiny")


def test_an_url_that_never_ends_ends(board: Daemon, site: Site) -> None:
    site.server.serve = site.server.endless
    ask(board, "endless", **site.args(site.good))
    told = answer(board, "endless")
    assert not told["ok"]
    assert "larger than" in told["message"]
    # A second operator meanwhile: refused at once. Then the first one gives up.
    site.server.serve = site.server.trickle
    ask(board, "slow", **site.args(site.good))
    status(board, "downloading")
    ask(board, "other", **site.args(site.good))
    assert "under way" in answer(board, "other")["message"]
    ask(board, "enough", rollback=True)
    assert not answer(board, "slow")["ok"]
    assert answer(board, "enough")["ok"]


@pytest.mark.parametrize("state", ["downloading", "verifying", "building", "canary"])
def test_a_kill_at_any_moment_resumes_or_goes_back(broker: Broker, site: Site, state: str) -> None:
    with daemon(broker, site.folder, site.tree(canary_s=2 if state != "canary" else 60)) as one:
        one.wait_for_state("running")
        half = threading.Event()

        def pauses(to: Any, begins: int) -> None:
            if begins or half.is_set():
                site.server.whole(to, begins)
                return
            site.server.head(to, 200, {"Content-Length": len(site.server.content)})
            to.wfile.write(site.server.content[:200])
            to.wfile.flush()
            half.wait(20)

        if state == "downloading":
            site.server.serve = pauses
        ask(one, "new", **site.args(site.good))
        status(one, state)
        if state == "downloading":
            parts = site.folder / "models"
            while not any(part.stat().st_size for part in parts.glob("*.part")):
                one.hear()
        one.signal(signal.SIGKILL)
        one.end()
        half.set()
        one.start()
        told = answer(one, "new")
        if state == "canary":
            assert not told["ok"]
            assert "ended before" in told["message"]
            ends_with(one, "tiny")
        else:
            assert told["ok"], told
            assert one.of("info")[-1]["model"]["name"] == "New-sky"
        if state == "downloading":
            assert site.server.asked[-1][0] == 200, "gone on with where it was killed"


def test_a_damaged_current_model_does_not_stop_the_board(board: Daemon, site: Site) -> None:
    ask(board, "new", **site.args(site.good))
    assert answer(board, "new")["ok"]
    board.signal(signal.SIGKILL)
    board.end()
    next((site.folder / "models").glob("*/*.onnx")).write_bytes(b"")
    board.start()
    told = status(board, "rolled_back")
    assert "0 bytes instead of" in told["reason"]
    assert told["current"] is None
    watches_with(board, "tiny")
    board.wait_for_state("running")
