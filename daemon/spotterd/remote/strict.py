"""JSON from strangers: small, shallow, unambiguous, or refused with one sentence. Pure."""

import json
import math
import re
from itertools import accumulate
from typing import Any, NoReturn

from spotterd.config.merge import Tree
from spotterd.errors import BadInputError

MOST_BYTES = 64 * 1024  # the whole configuration takes 4 KiB
MOST_DEPTH = 16  # the configuration has 7 levels

_STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_STEP = {"{": 1, "[": 1, "}": -1, "]": -1}


def read_object(payload: bytes) -> Tree:
    """The JSON object in `payload`.

    Raises:
        BadInputError: too large, too deep, not UTF-8, not JSON, a key twice in one object, a number
            that is not finite, text that is not Unicode, or no object.
    """
    if len(payload) > MOST_BYTES:
        raise BadInputError(
            f"The message has {len(payload)} bytes, the most are {MOST_BYTES}. Send less at once."
        )
    try:
        text = payload.decode("utf-8")
        _check_depth(text)
        value = json.loads(
            text, object_pairs_hook=_unique, parse_float=_finite, parse_constant=_no_number
        )
        json.dumps(value, ensure_ascii=False).encode("utf-8")  # "\ud800" is JSON, but no text
    except UnicodeError as error:
        why = getattr(error, "reason", error)
        raise BadInputError(f"The message is not UTF-8 text: {why}.") from error
    except json.JSONDecodeError as error:
        raise BadInputError(
            f"The message is not JSON: line {error.lineno}, column {error.colno}: {error.msg}."
        ) from error
    except ValueError as error:
        raise BadInputError(f"The message is not JSON that can be used: {error}.") from error
    if not isinstance(value, dict):
        raise BadInputError(f"The message must be a JSON object, not {type(value).__name__}.")
    return value


def _check_depth(text: str) -> None:
    """Before parsing: what is nested too deep exhausts the stack of whoever reads or copies it."""
    steps = (_STEP.get(character, 0) for character in _STRING.sub("", text))
    if max(accumulate(steps), default=0) > MOST_DEPTH:
        raise BadInputError(f"The message is nested more than {MOST_DEPTH} levels deep.")


def _unique(pairs: list[tuple[str, Any]]) -> Tree:
    found: Tree = dict(pairs)
    if len(found) != len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"the key {twice!r} is given twice")
    return found


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is too large a number")
    return value


def _no_number(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a number in JSON")
