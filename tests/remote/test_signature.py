"""Only what the trusted key signed is taken; keys and signatures are made as the manual says."""

import base64
import shutil
from pathlib import Path

import pytest

import fileserver
from spotterd.errors import BadInputError
from spotterd.remote.signature import check_signature

pytest.importorskip("cryptography", reason="needs pip install 'spotterd[signed]'")
if not shutil.which("openssl"):
    pytest.skip("no openssl here: sudo apt-get install openssl", allow_module_level=True)


@pytest.fixture
def signed(tmp_path: Path) -> tuple[Path, str, Path]:
    file = tmp_path / "model.onnx"
    file.write_bytes(bytes(range(256)) * 100)
    key, signature = fileserver.sign(tmp_path, file)
    return file, base64.b64encode(signature).decode(), key


def test_what_was_signed_is_taken(signed) -> None:
    check_signature(*signed)


def test_one_flipped_bit_is_noticed(signed) -> None:
    file, signature, key = signed
    content = bytearray(file.read_bytes())
    content[1234] ^= 0x10
    file.write_bytes(content)
    with pytest.raises(BadInputError, match="does not fit"):
        check_signature(file, signature, key)


@pytest.mark.parametrize("spoil", ["", "!!!", "AAAA", "A" * 88, "ü"])
def test_what_is_no_signature_is_refused(signed, spoil: str) -> None:
    file, _, key = signed
    with pytest.raises(BadInputError, match=r"does not fit|not signed"):
        check_signature(file, spoil, key)


def test_another_key_did_not_sign_it(signed, tmp_path: Path) -> None:
    file, signature, _ = signed
    (tmp_path / "other").mkdir()
    other, _ = fileserver.sign(tmp_path / "other", file)
    with pytest.raises(BadInputError, match="does not fit"):
        check_signature(file, signature, other)


def test_a_key_that_cannot_be_used_is_told(signed, tmp_path: Path) -> None:
    file, signature, _ = signed
    with pytest.raises(BadInputError, match=r"remote\.models\.public_key"):
        check_signature(file, signature, tmp_path / "missing.pem")
    (tmp_path / "text.pem").write_text("no key")
    with pytest.raises(BadInputError, match="cannot be read"):
        check_signature(file, signature, tmp_path / "text.pem")
