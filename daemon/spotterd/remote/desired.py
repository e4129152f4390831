"""A wish for another configuration: what it says, what it would change, what it may. Pure."""

import re
from collections.abc import Iterable, Mapping
from enum import IntEnum
from typing import Any

from pydantic import ValidationError

from spotterd.camera.uri import mask_url
from spotterd.config.explain import Problem, problems_of
from spotterd.config.merge import Tree, leaves
from spotterd.config.schema import Config
from spotterd.errors import BadInputError
from spotterd.publish.payloads import DesiredPayload
from spotterd.remote.strict import read_object


class Effect(IntEnum):
    """What it takes to bring a change into force."""

    NONE = 0
    LIVE = 1  # between two frames, none is lost
    STAGE = 2  # a new pipeline, on probation
    FIXED = 3  # only in config.yaml, with a restart of the daemon


# The first pattern that a path begins with decides; `*` stands for any one key.
_EFFECTS: tuple[tuple[tuple[str, ...], Effect], ...] = (
    (("node",), Effect.FIXED),
    (("mqtt",), Effect.FIXED),
    (("web",), Effect.FIXED),
    (("remote",), Effect.FIXED),
    (("publish", "outbox"), Effect.FIXED),
    (("publish", "homeassistant"), Effect.FIXED),
    (("publish",), Effect.LIVE),
    (("detector", "score"), Effect.LIVE),
    (("detector", "iou"), Effect.LIVE),
    (("detector", "max_detections"), Effect.LIVE),
    (("tracking",), Effect.LIVE),
    (("events", "clips"), Effect.STAGE),
    (("events",), Effect.LIVE),
    (("health",), Effect.LIVE),
    (("log",), Effect.LIVE),
)
_BUNDLED = re.compile(r"[a-z0-9-]+|None")  # a name, no path
_OF_ENGINE = (("detector", "model"), ("detector", "labels"), ("detector", "input_size"))
# Nobody far away names files of the board, but its cameras.
_LOCAL = (("cameras", "*", "credentials_file"), ("engines", "calibration"))


def parse(payload: bytes) -> DesiredPayload:
    """The wish in a message.

    Raises:
        BadInputError: the message is none.
    """
    tree = read_object(payload)
    try:
        return DesiredPayload.model_validate(tree, strict=True)
    except ValidationError as error:
        listed = "; ".join(map(str, problems_of(error, DesiredPayload)))
        raise BadInputError(f"The message is no wish for a configuration: {listed}.") from error


def forbidden(patch: Mapping[str, Any]) -> list[Problem]:
    """What a patch must not touch, even with the value that is in force."""
    found = []
    for path, value in leaves(patch).items():
        why = _why_not(path, value)
        if why:
            found.append(Problem(".".join(path), why))
    return found


def merged(overlay: Mapping[str, Any], patch: Mapping[str, Any]) -> Tree:
    """The overlay after a patch; sections that `null` emptied are gone.

    Left there, they would be cameras and zones that nobody wished for.
    """
    both: Tree = dict(overlay)
    for key, value in patch.items():
        before = both.pop(key, None)
        if isinstance(value, Mapping):
            below = merged(before if isinstance(before, Mapping) else {}, value)
            if below or not value:
                both[key] = below
        elif value is not None:
            both[key] = value
    return both


def effect_of(before: Config, after: Config) -> Effect:
    """What it takes to go from one configuration to another."""
    return max((_effect(path) for path in changed(before, after)), default=Effect.NONE)


def changed(before: Config, after: Config) -> list[tuple[str, ...]]:
    """Paths whose values differ."""
    old, new = leaves(before.model_dump(mode="json")), leaves(after.model_dump(mode="json"))
    missing = object()
    return [
        path for path in sorted({*old, *new}) if old.get(path, missing) != new.get(path, missing)
    ]


def other_engine(before: Config, after: Config) -> bool:
    """Whether they are for different engines."""
    return any(path[:2] in _OF_ENGINE or path[0] == "engines" for path in changed(before, after))


def with_engine_of(tree: Mapping[str, Any], other: Mapping[str, Any]) -> Tree:
    """An overlay with the engine of another one, all else as it is."""
    patch: Tree = {"engines": other.get("engines")}
    detector = other.get("detector", {})
    patch["detector"] = {key: detector.get(key) for _, key in _OF_ENGINE}
    without = merged(tree, {"engines": None})
    return merged(without, patch)


def needs_restart(before: Config, after: Config) -> list[str]:
    """Paths that differ and are joined to things which live as long as the daemon."""
    return [".".join(path) for path in changed(before, after) if _effect(path) is Effect.FIXED]


def with_fixed_of(before: Config, after: Config) -> Config:
    """`after` as far as it can come into force without a restart."""
    publish = after.publish.model_copy(
        update={
            "outbox": before.publish.outbox,
            "homeassistant": before.publish.homeassistant,
        }
    )
    fixed = {name: getattr(before, name) for name in ("node", "mqtt", "web", "remote")}
    return after.model_copy(update={**fixed, "publish": publish})


def masked(config: Config) -> Tree:
    """The configuration as it may be told: without passwords in addresses."""
    tree: Tree = config.model_dump(mode="json")
    for camera in tree["cameras"].values():
        camera["source"] = mask_url(camera["source"])
    tree["mqtt"]["url"] = mask_url(tree["mqtt"]["url"])
    return tree


def _effect(path: tuple[str, ...]) -> Effect:
    found = (effect for pattern, effect in _EFFECTS if _begins(path, pattern))
    return next(found, Effect.STAGE)


def _why_not(path: tuple[str, ...], value: object) -> str:
    fixed = any(e is Effect.FIXED and _begins(path, pattern) for pattern, e in _EFFECTS)
    if fixed or any(_begins(path, pattern) for pattern in _LOCAL):
        return "cannot be changed remotely; change config.yaml on the board and restart"
    if path == ("detector", "model") and not _BUNDLED.fullmatch(str(value)):
        return "can only be a bundled model remotely; deliver others with request/model"
    if path == ("detector", "labels") and isinstance(value, str):
        return "cannot be a file remotely; give a list"
    if path[0] == "cameras" and path[-1] == "source" and str(value).startswith("gst:"):
        return "cannot be a gst: pipeline remotely, since those write files; change config.yaml"
    return ""


def _begins(path: Iterable[str], pattern: tuple[str, ...]) -> bool:
    begin = tuple(path)[: len(pattern)]
    return len(begin) == len(pattern) and all(
        part in (key, "*") for part, key in zip(pattern, begin, strict=True)
    )
