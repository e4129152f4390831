"""Secrets never show; schemes and options are read as written."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spotterd.camera.open import open_source
from spotterd.camera.uri import add_user, mask_url, read_credentials, scheme_of
from spotterd.config.schema import Camera
from spotterd.errors import BadInputError, RetryError


@pytest.mark.parametrize(
    ("source", "scheme"),
    [
        ("rtsp://host/x", "rtsp"),
        ("RTSP://host/x", "rtsp"),
        ("sim:", "sim"),
        ("usb:0", "usb"),
        ("clips/a.mp4", ""),
        ("/abs/a:b.mp4", ""),
        ("", ""),
    ],
)
def test_scheme(source: str, scheme: str) -> None:
    assert scheme_of(source) == scheme


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("rtsp://user:pw@host:554/x", "rtsp://***@host:554/x"),
        ("rtsp://user:p@ss/w@host/x", "rtsp://***@host/x"),
        ("rtsp://host/x", "rtsp://host/x"),
        ("http://h/v?token=abc&n=1", "http://h/v?token=***&n=1"),
        ("http://h/v?PASSWORD=abc", "http://h/v?PASSWORD=***"),
        ("no address at all", "no address at all"),
        ("cannot open rtsp://a:b@c/d now", "cannot open rtsp://***@c/d now"),
    ],
)
def test_mask(text: str, shown: str) -> None:
    assert mask_url(text) == shown


WORD = st.text(st.characters(codec="utf-8", exclude_categories=("Z", "C")), min_size=1, max_size=12)


@given(WORD, WORD)
def test_no_password_ever_shows(user: str, password: str) -> None:
    secret = f"S3CR{password}"
    assert secret not in mask_url(f"rtsp://{user}:{secret}@host/path")


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("rtsp://host:554/x?a=1", "rtsp://us%20er:p%40s%2Fs@host:554/x?a=1"),
        ("rtsp://old:one@host/x", "rtsp://us%20er:p%40s%2Fs@host/x"),
        ("http://host", "http://us%20er:p%40s%2Fs@host"),
    ],
)
def test_credentials_are_quoted_into_the_address(url: str, wanted: str) -> None:
    assert add_user(url, ("us er", "p@s/s")) == wanted


def test_credentials_come_from_a_file_and_show_nowhere(
    tmp_path: Path, capfd: pytest.CaptureFixture
) -> None:
    secret = tmp_path / "cam"
    secret.write_text("admin:pa:ss wörd\nrest\n", encoding="utf-8")
    assert read_credentials(secret) == ("admin", "pa:ss wörd")
    camera = Camera(source="rtsp://127.0.0.1:1/x", credentials_file=str(secret))
    with pytest.raises(RetryError, match=r"rtsp://\*\*\*@127.0.0.1:1/x") as told:
        open_source(camera)
    assert "pa:ss" not in str(told.value)
    assert "admin" not in capfd.readouterr().err


@pytest.mark.parametrize("content", [None, b"", b"nocolon", b":pw", b"\xff\xfe:x"])
def test_bad_credentials_files(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "cam").write_bytes(content)
    with pytest.raises(BadInputError, match="cam'"):
        read_credentials(tmp_path / "cam")
