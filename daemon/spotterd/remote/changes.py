"""Changes of the configuration: judged as a whole, kept, and accounted for."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from spotterd.config.explain import Problem
from spotterd.config.load import Given, InvalidConfigError
from spotterd.config.merge import Tree
from spotterd.config.schema import Config
from spotterd.publish.payloads import ConfigProblem, DesiredPayload, ReportedPayload
from spotterd.remote.desired import (
    Effect,
    effect_of,
    forbidden,
    masked,
    merged,
    needs_restart,
    other_engine,
    with_engine_of,
    with_fixed_of,
)
from spotterd.remote.overlay import Overlay, Status, Wish

log = logging.getLogger(__name__)

UNPROVEN = "The daemon ended before the change had proved itself; what was good before is back."


@dataclass(frozen=True, slots=True)
class Change:
    """A good configuration that is not in force yet.

    Attributes:
        config: the whole of it.
        effect: what it takes.
        wish: who wished for it; None: config.yaml was read again.
        overlay: what it differs by from config.yaml.
        engine: it takes another engine.
    """

    config: Config
    effect: Effect
    wish: Wish | None
    overlay: Tree
    engine: bool


class Changes:
    """Judges changes and keeps account of them. Used by one thread.

    Args:
        given: config.yaml and the command line.
        overlay: where changes from afar are kept.
    """

    def __init__(self, given: Given, overlay: Overlay) -> None:
        self._given = given
        self._overlay = overlay

    def at_start(self) -> Config:
        """The configuration to begin with: the last good one.

        Raises:
            BadInputError: config.yaml itself is wrong.
        """
        kept = self._overlay.kept
        if kept.trial is not None:
            log.warning(UNPROVEN)
            self.refuse(kept.trial.wish, [Problem("", UNPROVEN)], "rolled_back")
        try:
            return self._given.with_overlay(kept.set)
        except InvalidConfigError as error:
            if not kept.set:
                raise
            config = self._given.with_overlay({})
            log.warning("The remote changes are left out, they do not fit. %s", error)
            self.refuse(kept.wish, error.problems, "rejected")
            return config

    def judge(self, desired: DesiredPayload, now: Config) -> Change | None:
        """What a wish leads to from here; None: to nothing, which `reported` tells about."""
        wish, kept = Wish(version=desired.version, token=desired.token), self._overlay.kept
        if wish.version <= kept.wish.version:
            return None
        tree = merged(kept.set, desired.set)
        problems = forbidden(desired.set)
        known = {problem.path for problem in problems}
        try:
            after = with_fixed_of(now, self._given.with_overlay(tree))
        except InvalidConfigError as error:
            problems += [problem for problem in error.problems if problem.path not in known]
        if problems:
            self.refuse(wish, problems, "rejected")
            return None
        return Change(after, effect_of(now, after), wish, tree, other_engine(now, after))

    def read_again(self, given: Given, now: Config) -> Change:
        """What a new reading of config.yaml leads to from here.

        Raises:
            BadInputError: nothing good; what was given before stays.
        """
        tree = self._overlay.kept.set
        whole = given.with_overlay(tree)
        self._given = given
        if late := needs_restart(now, whole):
            log.warning("Restart the daemon for the new %s.", ", ".join(late))
        after = with_fixed_of(now, whole)
        return Change(after, effect_of(now, after), None, tree, other_engine(now, after))

    def begin(self, change: Change) -> None:
        """Before a change is tried."""
        if change.wish:
            self._overlay.begin(change.wish, change.overlay)

    def good(self, change: Change, *, unbuilt: bool) -> None:
        """It is in force.

        Args:
            change: what.
            unbuilt: its engine is still to be built; should that fail, `unbuilt` undoes it.
        """
        if change.wish is None:
            return
        if change.engine and not unbuilt:
            self._overlay.built()
        self._overlay.good(change.wish, change.overlay, unbuilt=change.engine and unbuilt)

    def built(self) -> None:
        """The engine that the last change asked for is in use."""
        self._overlay.built()

    def unbuilt(self, problem: Problem, now: Config) -> Config | None:
        """The configuration with the last good engine, where a good change's cannot be built.

        None where no change waits for its engine. Other changes stay.
        """
        waiting = self._overlay.kept.unbuilt
        if waiting is None:
            return None
        tree = with_engine_of(self._overlay.kept.set, waiting.set)
        try:
            config = with_fixed_of(now, self._given.with_overlay(tree))
        except InvalidConfigError as error:  # config.yaml has changed meanwhile
            log.warning("The engine before cannot be taken again. %s", error)
            return None
        said = f"Version {waiting.wish.version}: {problem.message}"
        self._overlay.undo(tree, (ConfigProblem(path=problem.path, message=said),))
        return config

    def refuse(self, wish: Wish | None, problems: Sequence[Problem], status: Status) -> None:
        """It is not in force, and why."""
        if wish:
            told = tuple(ConfigProblem(path=path, message=said) for path, said in problems)
            self._overlay.bad(wish, status, told)

    def reported(self, config: Config) -> ReportedPayload:
        """The configuration in force, and what became of the last wish."""
        kept = self._overlay.kept
        return ReportedPayload(
            version=kept.wish.version,
            token=kept.wish.token,
            status=kept.status,
            errors=kept.errors,
            config=masked(config),
        )

    def unreadable(self, sentence: str, config: Config) -> ReportedPayload:
        """The answer to what is no wish at all; it has no version to remember."""
        return self.reported(config).model_copy(
            update={
                "token": "",
                "status": "rejected",
                "errors": (ConfigProblem(path="", message=sentence),),
            }
        )
