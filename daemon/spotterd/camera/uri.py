"""Source strings: their options, and how they look where anybody may read them."""

import re
from pathlib import Path
from typing import TypeVar
from urllib.parse import parse_qsl, quote

from pydantic import ValidationError

from spotterd.config.explain import problems_of
from spotterd.config.schema import Section
from spotterd.errors import BadInputError

S = TypeVar("S", bound=Section)

_SCHEME = re.compile(r"^([A-Za-z][A-Za-z0-9+.-]*):")
_USER = re.compile(r"(?<=://)\S*@")
_SECRET = re.compile(r"(?i)\b(pass\w*|pwd|token|secret|key|auth|sig\w*)=[^&\s'\"]*")


def scheme_of(source: str) -> str:
    """`rtsp` of `rtsp://host/path`, in lower case; empty for a path."""
    found = _SCHEME.match(source)
    return found.group(1).lower() if found else ""


def mask_url(text: str) -> str:
    """`text` with the user and secrets of every URL in it replaced by `***`.

    Everything between `://` and the last `@` of a word goes, so that a password with `/` or `@` in
    it is masked too.
    """
    return _SECRET.sub(r"\1=***", _USER.sub("***@", text))


def add_user(url: str, credentials: tuple[str, str]) -> str:
    """`url` with user and password, quoted; they replace a user that it names."""
    user, password = (quote(part, safe="") for part in credentials)
    scheme, _, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme}://{user}:{password}@{host.rpartition('@')[2]}{slash}{path}"


def read_credentials(path: Path) -> tuple[str, str]:
    """User and password from the first line of a file, `user:password`.

    Raises:
        BadInputError: it cannot be read, or says something else.
    """
    try:
        line = path.read_text(encoding="utf-8").partition("\n")[0].strip()
    except (OSError, UnicodeDecodeError) as error:
        raise BadInputError(
            f"Cannot read the credentials in '{path}': {error}. Check the path and permissions."
        ) from error
    user, colon, password = line.partition(":")
    if not (user and colon):
        raise BadInputError(f"The first line of '{path}' must be user:password.")
    return user, password


def read_options(source: str, schema: type[S]) -> S:
    """The options after `?` of a source string.

    Raises:
        BadInputError: every problem at once.
    """
    given = dict(parse_qsl(source.partition("?")[2], keep_blank_values=True))
    try:
        return schema.model_validate(given)
    except ValidationError as error:
        problems = "; ".join(str(problem) for problem in problems_of(error, schema))
        raise BadInputError(f"The source '{mask_url(source)}' is wrong: {problems}.") from error
