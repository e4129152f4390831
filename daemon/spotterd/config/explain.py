"""Validation problems as sentences: all at once, each with its path; typos with a suggestion."""

import re
from difflib import get_close_matches
from typing import Any, NamedTuple

from pydantic import BaseModel, ValidationError

USER = re.compile(r"(?<=://)\S*@")  # of a URL, with the password
_WORDS = {  # where pydantic speaks to programmers
    "tuple_type": "must be a list",
    "too_short": "must have at least {min_length} entries",
    "string_type": "must be text (in quotes)",
    "string_too_short": "must have at least {min_length} character",
    "float_parsing": "must be a number",
    "int_parsing": "must be a whole number",
}


class Problem(NamedTuple):
    """One thing wrong in a configuration."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


def problems_of(error: ValidationError, schema: type[BaseModel]) -> list[Problem]:
    """Turn pydantic's error into one `Problem` a path, in the order of the paths."""
    found: dict[str, list[str]] = {}
    for item in error.errors(include_url=False, include_context=True):
        keys = [str(part) for part in item["loc"] if part != "[key]"]
        path = _known_path(keys, schema)
        found.setdefault(path, []).append(_sentence(item, keys, schema))
    return [Problem(path, ", or ".join(dict.fromkeys(said))) for path, said in found.items()]


def _fields_at(keys: list[str], schema: type[BaseModel]) -> dict[str, Any] | None:
    """Fields of the section that `keys` leads to; None where it leads to no section."""
    model: Any = schema
    for key in keys:
        if not (isinstance(model, type) and issubclass(model, BaseModel)):
            return None
        info = model.model_fields.get(key)
        if info is None:
            return None
        model = info.annotation
        if getattr(model, "__origin__", None) is dict:
            # A mapping of names to sections: the next key is free, stand in for every section.
            rest = keys[keys.index(key) + 2 :]
            return _fields_at(rest, model.__args__[1])
    if isinstance(model, type) and issubclass(model, BaseModel):
        return dict(model.model_fields)
    return None


def _known_path(keys: list[str], schema: type[BaseModel]) -> str:
    """Drop the names of union members, which pydantic appends and no user wrote."""
    for end in range(len(keys), 0, -1):
        fields = _fields_at(keys[: end - 1], schema)
        if fields is not None:
            return ".".join(keys[:end])
    return ".".join(keys)


def _sentence(item: Any, keys: list[str], schema: type[BaseModel]) -> str:
    kind, given = item["type"], item["input"]
    if kind == "extra_forbidden":
        known = sorted(_fields_at(keys[:-1], schema) or {})
        close = get_close_matches(keys[-1], known, n=1)
        if close:
            return f"unknown key; did you mean '{close[0]}'?"
        return f"unknown key; known here: {', '.join(known)}"
    if kind in ("model_type", "dict_type"):
        return f"must be a section with keys of its own, not {_shown(given)}"
    if kind == "missing":
        return "is missing"
    if kind in _WORDS:
        return f"{_WORDS[kind].format(**item.get('ctx', {}))}, not {_shown(given)}"
    text: str = item["msg"]
    text = text.removeprefix("Value error, ").removeprefix("Input ")
    return f"{text[:1].lower()}{text[1:]}, not {_shown(given)}"


def _shown(value: object, most: int = 60) -> str:
    text = USER.sub("***@", repr(value))
    return text if len(text) <= most else text[: most - 3] + "..."
