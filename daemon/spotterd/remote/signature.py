"""Whether a model file was signed by whom the board's owner trusts: Ed25519 (RFC 8032).

The signature is over the bytes of the file, as `openssl pkeyutl -sign -rawin` makes it.
"""

import base64
import mmap
from pathlib import Path

from spotterd.errors import BadInputError

INSTALL = "pip install 'spotterd[signed]'"


def check_signature(file: Path, signature: str, key_file: Path) -> None:
    """Return where the signature fits.

    Args:
        file: what was signed.
        signature: base64; empty: there is none.
        key_file: public key, PEM.

    Raises:
        BadInputError: it does not fit, is missing, or the key cannot be used.
    """
    try:
        from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 (an extra)
        from cryptography.hazmat.primitives.asymmetric import ed25519  # noqa: PLC0415
        from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415
            load_pem_public_key,
        )
    except ImportError as error:
        raise BadInputError(
            f"Signatures cannot be checked: cryptography is not installed. Type: {INSTALL}."
        ) from error
    if not signature:
        raise BadInputError("The model is not signed, and this board only takes signed ones.")
    try:
        key = load_pem_public_key(key_file.read_bytes())
    except (OSError, ValueError) as error:
        raise BadInputError(
            f"The public key {key_file} cannot be read: {error}. Check remote.models.public_key."
        ) from error
    if not isinstance(key, ed25519.Ed25519PublicKey):
        raise BadInputError(f"The public key {key_file} is no Ed25519 key.")
    try:
        # Mapped, not read: a model may be larger than what memory is left.
        with (
            file.open("rb") as opened,
            mmap.mmap(opened.fileno(), 0, prot=mmap.PROT_READ) as mapped,
            memoryview(mapped) as data,
        ):
            key.verify(base64.b64decode(signature, validate=True), data)
    except (InvalidSignature, ValueError):  # the latter: no base64
        raise BadInputError(
            "The signature does not fit: the file is not the one that was signed, or another key "
            "signed it."
        ) from None
