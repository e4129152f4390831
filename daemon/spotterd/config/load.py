"""Read a configuration: defaults < config.yaml < overlay < command line."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError
from typing_extensions import Self

from spotterd.config.explain import Problem, problems_of
from spotterd.config.merge import Tree, leaves, merge
from spotterd.config.schema import Config
from spotterd.errors import BadInputError
from spotterd.paths import SYSTEM_CONFIG


class InvalidConfigError(BadInputError):
    """A configuration with mistakes.

    Attributes:
        problems: all of them.
    """

    def __init__(self, origin: str, problems: list[Problem]) -> None:
        listed = "\n".join(f"  - {problem}" for problem in problems)
        count = f"{len(problems)} problem" + ("s" if len(problems) > 1 else "")
        super().__init__(f"{origin} has {count}:\n{listed}")
        self.problems = problems


class _UniqueKeys(yaml.SafeLoader):
    """SafeLoader that refuses a key given twice in one mapping (YAML keeps the last, silently)."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:  # noqa: FBT001, FBT002
        seen: set[Hashable] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, Hashable) and key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key '{key}' is given twice", key_node.start_mark
                )
            if isinstance(key, Hashable):
                seen.add(key)
        return super().construct_mapping(node, deep=deep)


def find_config() -> Path | None:
    """The file that is read when none is named: the system's, else ./config.yaml, else none."""
    for path in (SYSTEM_CONFIG, Path("config.yaml")):
        if path.is_file():
            return path
    return None


def read_tree(path: Path) -> Tree:
    """Read a YAML file as a plain tree.

    Raises:
        BadInputError: the file cannot be read, is not YAML, or is not a mapping.
    """
    try:
        tree = yaml.load(path.read_text(encoding="utf-8"), Loader=_UniqueKeys)  # noqa: S506 (a SafeLoader)
    except OSError as error:
        raise BadInputError(
            f"Cannot read the configuration {path}: {error.strerror}. "
            "Check the path and its permissions."
        ) from error
    except UnicodeDecodeError as error:
        raise BadInputError(
            f"The configuration {path} is not UTF-8 text (byte {error.start}). Save it as UTF-8."
        ) from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        what = getattr(error, "problem", None) or str(error)
        raise BadInputError(
            f"The configuration {path} is not valid YAML:{where}: {what}."
        ) from error
    except RecursionError as error:
        raise BadInputError(
            f"The configuration {path} is nested too deeply to be one. Check its brackets."
        ) from error
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise BadInputError(
            f"The configuration {path} must be a mapping of sections, not {type(tree).__name__}."
        )
    return tree


def validate(tree: Mapping[str, Any], origin: str) -> Config:
    """Make a `Config` of a plain tree.

    Raises:
        InvalidConfigError: with every problem at once, each with its path.
    """
    try:
        return Config.model_validate(tree)
    except ValidationError as error:
        raise InvalidConfigError(origin, problems_of(error, Config)) from error


@dataclass(frozen=True, slots=True)
class Given:
    """What the board's owner says; what was changed from afar goes between its two parts.

    Attributes:
        path: of the file; None: there is none.
        file: what it holds.
        command_line: a tree of options given on the command line, which win.
    """

    path: Path | None
    file: Tree
    command_line: Tree

    @classmethod
    def read(cls, path: Path | None = None, command_line: Mapping[str, Any] | None = None) -> Self:
        """Read the file; None looks in the usual places.

        Raises:
            BadInputError: the file cannot be read.
        """
        path = path or find_config()
        return cls(path, read_tree(path) if path else {}, dict(command_line or {}))

    def with_overlay(self, overlay: Mapping[str, Any]) -> Config:
        """The whole configuration.

        Raises:
            InvalidConfigError: with every problem at once.
        """
        of_file = f"The configuration {self.path}" if self.path else "The configuration (defaults)"
        origin = f"{of_file} with remote changes" if overlay else of_file
        return validate(merge(merge(self.file, overlay), self.command_line), origin)

    def origins(self, config: Config, overlay: Mapping[str, Any]) -> dict[tuple[str, ...], str]:
        """Where each value comes from: by path, `default` or the name of a source."""
        file = f"file {self.path}" if self.path else "file"
        sources = ((file, self.file), ("overlay", overlay), ("command line", self.command_line))
        found = {}
        for path in leaves(config.model_dump(mode="json")):
            named = [name for name, tree in sources if _has(tree, path)]
            found[path] = named[-1] if named else "default"
        return found


def _has(tree: Mapping[str, Any], path: tuple[str, ...]) -> bool:
    here: Any = tree
    for key in path:
        if not isinstance(here, Mapping) or key not in here:
            return False
        here = here[key]
    return True


def load(path: Path | None = None, command_line: Mapping[str, Any] | None = None) -> Config:
    """Read and validate the configuration a command runs with, without changes from afar.

    Args:
        path: the file; None looks in the usual places and falls back to the defaults.
        command_line: a tree of options given on the command line, which win.
    """
    return Given.read(path, command_line).with_overlay({})
