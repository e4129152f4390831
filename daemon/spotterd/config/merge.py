"""JSON merge patch (RFC 7396) on plain configuration trees."""

from collections.abc import Mapping
from typing import Any, TypeAlias

Tree: TypeAlias = dict[str, Any]


def merge(base: Mapping[str, Any], patch: Mapping[str, Any]) -> Tree:
    """`base` with `patch` applied: mappings merge, `None` removes a key, all else replaces."""
    merged: Tree = dict(base)
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        elif isinstance(value, Mapping):
            below = merged.get(key)
            merged[key] = merge(below if isinstance(below, Mapping) else {}, value)
        else:
            merged[key] = value
    return merged


def leaves(tree: Mapping[str, Any], path: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    """Flatten a tree: path of keys -> value, for every value that is not a non-empty mapping."""
    flat: dict[tuple[str, ...], Any] = {}
    for key, value in tree.items():
        here = (*path, str(key))
        if isinstance(value, Mapping) and value:
            flat.update(leaves(value, here))
        else:
            flat[here] = value
    return flat
