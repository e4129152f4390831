"""Source strings: their options, and how they look where anybody may read them."""

import re
from typing import TypeVar
from urllib.parse import parse_qsl

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
