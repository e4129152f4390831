"""Downloads end, resume, never take more than was told, and keep passwords to themselves."""

import hashlib
import os
import random
import shutil
import threading
from pathlib import Path

import pytest

import fileserver
from fileserver import FileServer
from spotterd.errors import BadInputError, RetryError
from spotterd.publish.mqtt import Backoff
from spotterd.remote import fetch as module
from spotterd.remote import https
from spotterd.remote.fetch import Cancelled, Fetch

CONTENT = random.Random(1).randbytes(700_000)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not shutil.which("openssl"):
        pytest.skip("no openssl here: sudo apt-get install openssl")
    return fileserver.make_certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def server(certificates: Path):
    with fileserver.serving(CONTENT, certificates) as one:
        yield one


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "Backoff", lambda *_: Backoff(0.01, 0.05))


@pytest.fixture
def get(tmp_path: Path, certificates: Path):
    def fetch(url: str, size: int = len(CONTENT), limit_s: float = 60.0, **more) -> Path:
        told = {
            "ca_file": str(certificates / "ca.crt"),
            "stop": threading.Event(),
            "progress": lambda _fraction, _doing: None,
            **more,
        }
        part = tmp_path / "models" / "x.part"
        Fetch(url, size, limit_s, **told).into(part)
        return part

    return fetch


def same(part: Path) -> bool:
    return hashlib.sha256(part.read_bytes()).digest() == hashlib.sha256(CONTENT).digest()


def test_a_file_is_fetched_and_progress_rises_to_the_end(server: FileServer, get) -> None:
    seen: list[float] = []
    assert same(get(server.url, progress=lambda fraction, _doing: seen.append(fraction)))
    assert seen == sorted(seen)
    assert seen[-1] == 1.0


def test_a_lost_connection_is_gone_on_with_where_it_broke(server: FileServer, get) -> None:
    def breaks(to, begins: int) -> None:
        size = len(CONTENT)
        said = {"Content-Range": f"bytes {begins}-{size - 1}/{size}"} if begins else {}
        server.head(to, 206 if begins else 200, {"Content-Length": size - begins, **said})
        to.wfile.write(CONTENT[begins : begins + 300_000])

    server.serve = breaks
    assert same(get(server.url))
    assert [begins for begins, _ in server.asked] == [0, 300_000, 600_000]


def test_a_part_is_gone_on_with_after_a_restart(server: FileServer, get, tmp_path: Path) -> None:
    part = tmp_path / "models" / "x.part"
    part.parent.mkdir()
    part.write_bytes(CONTENT[:500_000])
    assert same(get(server.url))
    assert server.asked[0][0] == 500_000


def test_a_server_without_ranges_begins_anew(server: FileServer, get, tmp_path: Path) -> None:
    part = tmp_path / "models" / "x.part"
    part.parent.mkdir()
    part.write_bytes(b"x" * 500_000)
    server.serve = lambda to, _begins: server.whole(to, 0)
    assert same(get(server.url))


def test_a_part_that_is_too_long_is_thrown_away(server: FileServer, get, tmp_path: Path) -> None:
    part = tmp_path / "models" / "x.part"
    part.parent.mkdir()
    part.write_bytes(b"x" * 800_000)
    assert same(get(server.url))


def test_an_endless_answer_ends_at_the_size_that_was_told(
    server: FileServer, get, tmp_path: Path
) -> None:
    server.serve = server.endless
    with pytest.raises(BadInputError, match="larger than the 100000 bytes"):
        get(server.url, size=100_000)
    assert (tmp_path / "models" / "x.part").stat().st_size == 100_000


def test_an_answer_that_never_ends_ends_by_time(server: FileServer, get) -> None:
    server.serve = server.trickle
    with pytest.raises(RetryError, match=r"not over within 0\.5 s"):
        get(server.url, limit_s=0.5)


def test_a_silent_server_ends_by_time(server: FileServer, get, monkeypatch) -> None:
    monkeypatch.setattr(module, "SILENCE_S", 0.1)
    server.serve = lambda to, _begins: server.stopped.wait(5)
    with pytest.raises(RetryError, match="the server does not answer"):
        get(server.url, limit_s=0.5)


def test_a_head_without_an_end_ends_by_time(server: FileServer, get, monkeypatch) -> None:
    monkeypatch.setattr(https, "HEAD_S", 0.1)
    server.serve = server.drip
    with pytest.raises(RetryError, match="not over within 2 s"):
        get(server.url, limit_s=2)
    assert len(server.asked) > 1  # it tried again


def test_it_ends_when_it_is_told_to(server: FileServer, get) -> None:
    server.serve, stop = server.trickle, threading.Event()
    with pytest.raises(Cancelled):
        get(server.url, stop=stop, progress=lambda *_: stop.set())


@pytest.mark.parametrize(("status", "times"), [(503, 2), (429, 1)])
def test_a_busy_server_is_asked_again(server: FileServer, get, status: int, times: int) -> None:
    left = [status] * times

    def busy(to, begins: int) -> None:
        if left:
            server.head(to, left.pop(), {"Content-Length": 0})
        else:
            server.whole(to, begins)

    server.serve = busy
    assert same(get(server.url))


@pytest.mark.parametrize(
    ("status", "headers", "said"),
    [
        (404, {}, "answers 404"),
        (403, {}, "answers 403"),
        (204, {}, "answers 204"),
        (302, {"Location": "http://127.0.0.1/x"}, "not https"),
        (302, {"Location": "file:///etc/passwd"}, "302"),
        (302, {"Location": "/again"}, "302"),
        (200, {"Content-Length": 5}, "has 5 bytes; 700000 were told"),
    ],
)
def test_what_no_retry_mends_ends_at_once(
    server: FileServer, get, status: int, headers: dict, said: str
) -> None:
    server.serve = lambda to, _begins: server.head(to, status, {"Content-Length": 0, **headers})
    with pytest.raises(BadInputError, match=said):
        get(server.url)
    assert len(server.asked) <= https.MOST_REDIRECTS + 1


def test_a_password_goes_to_the_host_of_the_url_alone(
    server: FileServer, get, certificates: Path, caplog
) -> None:
    with fileserver.serving(CONTENT, certificates) as other:
        away = {"Location": other.url, "Content-Length": 0}
        server.serve = lambda to, _begins: server.head(to, 302, away)
        assert same(get(server.url.replace("://", "://me:hunter%202@")))
        assert server.asked == [(0, "Basic bWU6aHVudGVyIDI=")]
        assert other.asked == [(0, None)]
    assert "hunter" not in caplog.text


def test_no_password_in_errors_and_log(server: FileServer, get, caplog) -> None:
    server.serve = lambda to, _begins: server.head(to, 401, {"Content-Length": 0})
    with pytest.raises(BadInputError) as told:
        get(server.url.replace("://", "://me:hunter2@"))
    assert "hunter2" not in str(told.value) + caplog.text


def test_a_server_that_nobody_vouches_for_is_not_trusted(server: FileServer, get) -> None:
    with pytest.raises(RetryError, match="certificate is not trusted"):
        get(server.url, ca_file=None, limit_s=0.1)
    with pytest.raises(BadInputError, match=r"remote\.models\.ca_file"):
        get(server.url, ca_file="/nowhere.crt")


def test_plain_http_is_not_spoken(get) -> None:
    with pytest.raises(BadInputError, match="over https"):
        get("http://127.0.0.1:1/x")


def test_a_file_on_the_board_is_copied(get, tmp_path: Path) -> None:
    source = tmp_path / "own ü.onnx"
    source.write_bytes(CONTENT)
    assert same(get(source.as_uri()))
    with pytest.raises(BadInputError, match="has 700000 bytes; 5 were told"):
        get(source.as_uri(), size=5)


@pytest.mark.parametrize(
    ("path", "said"),
    [("/dev/zero", "no file"), ("/nowhere", "No such file"), ("/tmp", "directory")],
)
def test_what_is_no_file_on_the_board_is_refused(get, path: str, said: str) -> None:
    with pytest.raises(BadInputError, match=said):
        get(f"file://{path}")


def test_a_pipe_does_not_make_it_wait(get, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(BadInputError, match="no file"):
        get((tmp_path / "pipe").as_uri())


def test_a_full_disk_is_told_before_it_is_full(server: FileServer, get, monkeypatch) -> None:
    monkeypatch.setattr(module, "SPARE", 1 << 60)
    with pytest.raises(RetryError, match="MiB left"):
        get(server.url)
