"""Where the broker is and how to be let in: address, TLS, user and password."""

import os
import ssl
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from spotterd.config.schema import Mqtt
from spotterd.errors import BadInputError

CREDENTIAL = "mqtt-password"  # of systemd: LoadCredential=mqtt-password:/etc/spotterd/mqtt-password


@dataclass(frozen=True, slots=True)
class Endpoint:
    """All that a connection needs, read from the files anew at every attempt."""

    host: str
    port: int
    tls: ssl.SSLContext | None
    username: str | None
    password: str | None

    @property
    def name(self) -> str:
        """Host and port, as people write them."""
        return f"{self.host}:{self.port}"

    @classmethod
    def of(cls, mqtt: Mqtt) -> "Endpoint":
        """Read what the configuration names.

        Raises:
            BadInputError: a file is missing, unreadable or not what it should be.
        """
        url = urlsplit(mqtt.url)
        secure = url.scheme == "mqtts"
        host, port = str(url.hostname), url.port or (8883 if secure else 1883)
        return cls(host, port, _tls(mqtt) if secure else None, mqtt.username, _password(mqtt))


def _password(mqtt: Mqtt) -> str | None:
    """First line of the configured file, else of systemd's credential, else none."""
    if mqtt.password_file is not None:
        path = Path(mqtt.password_file)
    else:
        path = Path(os.environ.get("CREDENTIALS_DIRECTORY", "/nonexistent")) / CREDENTIAL
        # The unit gives a blank one where nobody set a password.
        if not path.is_file() or not path.read_bytes().strip():
            return None
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise BadInputError(
            f"Cannot read the broker's password from {path}: {error.strerror}. "
            "Check mqtt.password_file, and that the daemon's user may read it."
        ) from error
    except UnicodeDecodeError as error:
        raise BadInputError(f"The password file {path} is not UTF-8 text.") from error
    if not lines or not lines[0]:
        raise BadInputError(f"The password file {path} is empty; its first line is the password.")
    return lines[0]


def _tls(mqtt: Mqtt) -> ssl.SSLContext:
    if bool(mqtt.cert_file) != bool(mqtt.key_file):
        raise BadInputError(
            "mqtt.cert_file and mqtt.key_file belong together: give both, or neither."
        )
    try:
        context = ssl.create_default_context(cafile=mqtt.ca_file)
    except OSError as error:
        raise _bad_file("mqtt.ca_file", mqtt.ca_file, error, "a CA certificate in PEM") from error
    if mqtt.cert_file and mqtt.key_file:
        try:
            # Without a callback OpenSSL would ask for a passphrase on the terminal.
            context.load_cert_chain(mqtt.cert_file, mqtt.key_file, password=lambda: "")
        except OSError as error:
            files = f"{mqtt.cert_file} with {mqtt.key_file}"
            wanted = "a certificate and its key, in PEM, without a passphrase"
            raise _bad_file("mqtt.cert_file", files, error, wanted) from error
    return context


def _bad_file(option: str, path: str | None, error: OSError, wanted: str) -> BadInputError:
    # ssl.SSLError is an OSError too: the file is there, its content is wrong.
    if isinstance(error, ssl.SSLError):
        return BadInputError(f"{option} {path} is not {wanted}.")
    return BadInputError(f"Cannot read {option} {path}: {error.strerror}.")
