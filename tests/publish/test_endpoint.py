"""Address, password and certificates: what is wrong with them is one sentence."""

from pathlib import Path

import pytest

from spotterd.config.schema import Mqtt
from spotterd.errors import BadInputError
from spotterd.publish.endpoint import Endpoint


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [
        ("mqtt://broker", "broker", 1883),
        ("mqtts://broker", "broker", 8883),
        ("mqtt://[::1]:1884/", "::1", 1884),
        ("mqtt://10.0.0.1:99", "10.0.0.1", 99),
    ],
)
def test_urls(url: str, host: str, port: int) -> None:
    endpoint = Endpoint.of(Mqtt(url=url))
    assert (endpoint.host, endpoint.port, bool(endpoint.tls)) == (host, port, "mqtts" in url)


def test_the_password_is_the_first_line_of_its_file(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("pass wörd\nmore\n", encoding="utf-8")
    assert Endpoint.of(Mqtt(password_file=str(file))).password == "pass wörd"


def test_systemd_hands_over_the_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mqtt-password").write_text("from systemd")
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert Endpoint.of(Mqtt()).password == "from systemd"
    (tmp_path / "other").write_text("configured")
    assert Endpoint.of(Mqtt(password_file=str(tmp_path / "other"))).password == "configured"


@pytest.mark.parametrize(
    ("options", "content", "said"),
    [
        ({"password_file": "F"}, None, "Cannot read the broker's password"),
        ({"password_file": "F"}, b"", "is empty"),
        ({"password_file": "F"}, b"\n", "is empty"),
        ({"password_file": "F"}, b"\xff\xfe", "not UTF-8"),
        ({"ca_file": "F"}, None, "Cannot read mqtt.ca_file"),
        ({"ca_file": "F"}, b"no certificate", "is not a CA certificate"),
        ({"cert_file": "F"}, b"", "give both, or neither"),
        ({"key_file": "F"}, b"", "give both, or neither"),
        ({"cert_file": "F", "key_file": "F"}, b"nothing", "is not a certificate and its key"),
        ({"cert_file": "F", "key_file": "F"}, None, "Cannot read mqtt.cert_file"),
    ],
)
def test_bad_files(tmp_path: Path, options: dict, content: bytes | None, said: str) -> None:
    file = tmp_path / "ünï"
    if content is not None:
        file.write_bytes(content)
    given = {option: str(file) for option in options}
    with pytest.raises(BadInputError) as told:
        Endpoint.of(Mqtt(url="mqtts://broker", **given))
    assert said in str(told.value)
