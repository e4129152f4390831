"""Secrets never show; schemes and options are read as written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spotterd.camera.uri import mask_url, scheme_of


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
