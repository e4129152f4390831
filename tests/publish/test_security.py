"""TLS, passwords and ACL at a real mosquitto: let in, kept out, told why, and in again."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from brokers import Mosquitto
from spotterd.config.schema import Mqtt
from spotterd.publish import delivery
from spotterd.publish.base import Message
from spotterd.publish.memory import MemoryOutbox
from spotterd.publish.mqtt import Backoff, MqttLink

ACL = Path(__file__).parents[2] / "systemd" / "mosquitto.acl"
Make = Callable[..., MqttLink]


@pytest.fixture
def make() -> Iterator[Make]:
    links: list[MqttLink] = []

    def link(url: str, heard: tuple[str, ...] = (), **options: object) -> MqttLink:
        made = MqttLink(
            Mqtt(url=url, **options),
            f"security-{len(links)}",
            MemoryOutbox(),
            subscriptions=heard,
            backoff=Backoff(0.02, 0.1),
        )
        links.append(made)
        made.start()
        return made

    yield link
    for made in links:
        made.stop(timeout_s=0.2)


def told(link: MqttLink) -> str:
    """Why there is no connection."""
    assert not link.wait_connected(30, patient=False)
    return link.last_error


def openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CA, a server's certificate for localhost and one for elsewhere, a client's."""
    if not shutil.which("openssl"):
        pytest.skip("no openssl here: sudo apt-get install openssl")
    folder = tmp_path_factory.mktemp("certificates")
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    ca = ("-subj", "/CN=test-ca", "-keyout", "ca.key", "-out", "ca.crt")
    openssl(folder, "req", "-x509", *key, "-days", "2", *ca)
    for name, host in (("here", "DNS:localhost,IP:127.0.0.1"), ("elsewhere", "DNS:x.invalid")):
        (folder / "san").write_text(f"subjectAltName={host}\n")
        openssl(folder, "req", *key, "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", "r")
        signed = ("-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2")
        openssl(
            folder, "x509", "-req", "-in", "r", *signed, "-extfile", "san", "-out", f"{name}.crt"
        )
    return folder


def tls(folder: Path, certificates: Path, name: str = "here", extra: str = "") -> Mosquitto:
    lines = (
        f"cafile {certificates}/ca.crt",
        f"certfile {certificates}/{name}.crt",
        f"keyfile {certificates}/{name}.key",
        "allow_anonymous true",
        extra,
    )
    broker = Mosquitto(folder, "\n".join(lines) + "\n")
    broker.url = broker.url.replace("mqtt:", "mqtts:")
    return broker


def test_tls_with_our_ca(make: Make, tmp_path: Path, certificates: Path) -> None:
    with tls(tmp_path, certificates) as broker:
        link = make(broker.url, ("a",), ca_file=str(certificates / "ca.crt"))
        assert link.wait_connected(15), link.last_error
        # Larger than a TLS record: what waits decrypted inside OpenSSL must be read, too.
        link.send(Message("a", b"x" * 100_000, qos=1))
        assert link.inbox.get(timeout=15).payload == b"x" * 100_000


@pytest.mark.parametrize(
    ("name", "trust", "said"),
    [
        ("here", False, "certificate is not trusted"),
        ("elsewhere", True, "check mqtt.ca_file and the host name"),
    ],
)
def test_tls_that_must_not_be_trusted(
    make: Make, tmp_path: Path, certificates: Path, name: str, trust: bool, said: str
) -> None:
    with tls(tmp_path, certificates, name) as broker:
        options = {"ca_file": str(certificates / "ca.crt")} if trust else {}
        assert said in told(make(broker.url, **options))


def test_client_certificate(make: Make, tmp_path: Path, certificates: Path) -> None:
    ours = {
        "ca_file": str(certificates / "ca.crt"),
        "cert_file": str(certificates / "here.crt"),
        "key_file": str(certificates / "here.key"),
    }
    with tls(tmp_path, certificates, extra="require_certificate true") as broker:
        assert make(broker.url, **ours).wait_connected(15)
        without = make(broker.url, ca_file=ours["ca_file"])
        assert "broker" in told(without)
        assert not without.connected


def test_tls_and_plain_mixed_up(
    make: Make, tmp_path: Path, certificates: Path, mosquitto: Mosquitto
) -> None:
    assert "broker's TLS port" in told(make(mosquitto.url.replace("mqtt:", "mqtts:")))
    folder = tmp_path / "tls"
    folder.mkdir()
    with tls(folder, certificates) as broker:
        assert "is it one for mqtts://?" in told(make(broker.url.replace("mqtts:", "mqtt:")))


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Mosquitto]:
    """A broker with users `roof-1`, `operator`, `viewer` and our ACL sample."""
    if not shutil.which("mosquitto_passwd"):
        pytest.skip("no mosquitto_passwd here: sudo apt-get install mosquitto")
    passwords = tmp_path / "passwords"
    for flag, user in (["-c"], "roof-1"), ([], "operator"), ([], "viewer"):
        subprocess.run(["mosquitto_passwd", "-b", *flag, passwords, user, user], check=True)
    acl = tmp_path / "acl"
    acl.write_text(ACL.read_text())
    for file in (passwords, acl):
        file.chmod(0o600)
    rules = f"allow_anonymous false\npassword_file {passwords}\nacl_file {acl}\n"
    with Mosquitto(tmp_path, rules) as broker:
        yield broker


def password(folder: Path, word: str) -> str:
    file = folder / f"password-of-{word}"
    file.write_text(word)
    return str(file)


@pytest.mark.parametrize("protocol", ["5", "3.1.1"])
def test_a_wrong_password_is_told_and_the_right_one_is_picked_up(
    make: Make, guarded: Mosquitto, tmp_path: Path, protocol: str
) -> None:
    file = Path(password(tmp_path, "wrong"))
    link = make(guarded.url, username="roof-1", password_file=str(file), protocol=protocol)
    assert "not authorised; check mqtt.username, the password" in told(link)
    assert not link.connected
    file.write_text("roof-1")
    assert link.wait_connected(15)
    assert link.last_error == ""


@pytest.mark.parametrize(
    ("user", "topic", "allowed"),
    [
        ("roof-1", "spotter/roof-1/event", True),
        ("roof-1", "spotter/roof-1/camera/north/status", True),
        ("roof-1", "homeassistant/device/roof-1/config", True),
        ("roof-1", "spotter/roof-2/event", False),
        ("roof-1", "homeassistant/device/roof-2/config", False),
        ("operator", "spotter/roof-1/config/desired", True),
        ("operator", "spotter/roof-1/request/ping", True),
        ("operator", "spotter/roof-1/event", False),
        ("operator", "spotter/roof-1/config/reported", False),
        ("viewer", "spotter/roof-1/request/ping", False),
    ],
)
def test_the_acl_sample(
    make: Make, guarded: Mosquitto, tmp_path: Path, user: str, topic: str, allowed: bool
) -> None:
    link = make(guarded.url, username=user, password_file=password(tmp_path, user))
    assert link.wait_connected(15)
    link.send(Message(topic, b"{}", qos=1, retain=True))
    link.stop(timeout_s=20)
    assert link.refused == (0 if allowed else 1)
    assert link.last_error == (
        ""
        if allowed
        else f"The broker {link.broker} refused {topic}: not authorised; "
        "check mqtt.username, the password and the broker's ACL."
    )


def test_an_event_the_acl_refused_is_kept_until_the_acl_is_mended(
    make: Make, guarded: Mosquitto, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery, "REFUSED_PAUSE_S", 0.05)
    listener = make(
        guarded.url, ("spotter/#",), username="viewer", password_file=password(tmp_path, "viewer")
    )
    board = make(guarded.url, username="roof-1", password_file=password(tmp_path, "roof-1"))
    assert listener.wait_connected(15)
    assert board.wait_connected(15)
    board.send(Message("spotter/elsewhere/event", b'{"replayed":false}', qos=1))
    with board._changed:
        assert board._changed.wait_for(lambda: "refuses spotter/elsewhere" in board.last_error, 15)
    acl = tmp_path / "acl"
    acl.write_text("user roof-1\ntopic write spotter/elsewhere/#\n" + acl.read_text())
    guarded.reload()
    board._wake()
    heard = listener.inbox.get(timeout=20)
    assert heard.payload == b'{"replayed":true}'
    with board._changed:
        assert board._changed.wait_for(lambda: not board.last_error, 15)
    assert board.refused == 0
