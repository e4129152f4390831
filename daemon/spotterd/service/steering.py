"""Which configuration is in force: wishes from afar, reloads, live changes, and probation."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from spotterd.config.explain import Problem
from spotterd.config.load import Given
from spotterd.config.schema import Config
from spotterd.errors import BadInputError
from spotterd.health.meters import Figures
from spotterd.publish.payloads import DesiredPayload, ReportedPayload
from spotterd.remote.changes import Change, Changes
from spotterd.remote.desired import Effect
from spotterd.remote.probation import Probation
from spotterd.service.engine import EngineNews, EngineReady, Loaded, NoEngine

log = logging.getLogger(__name__)

ENGINE = "engines.precision"  # what a build that fails is told about


@dataclass(slots=True)
class _Trial:
    """A change on probation, and the configuration to go back to."""

    change: Change
    before: Config
    probation: Probation | None = None  # None until the new pipeline runs


class Steering:
    """Decides which configuration is in force. Used by the main thread.

    Args:
        changes: judges and keeps them.
        config: to begin with.
        tell: publishes what became of a change.
        applied: a configuration with the model that is in use.

    Attributes:
        config: in force.
    """

    def __init__(
        self,
        changes: Changes,
        config: Config,
        tell: Callable[[ReportedPayload], None],
        applied: Callable[[Config], Config],
    ) -> None:
        self._changes = changes
        self._tell = tell
        self._applied = applied
        self.config = config
        self._unbuilt = False
        self._trial: _Trial | None = None

    @property
    def busy(self) -> bool:
        """A change is on probation; others must wait."""
        return self._trial is not None

    def tell(self) -> None:
        """Say which configuration is in force."""
        self._tell(self._changes.reported(self._applied(self.config)))

    def unreadable(self, sentence: str) -> None:
        """Answer what is no wish at all."""
        self._tell(self._changes.unreadable(sentence, self._applied(self.config)))

    def wish(self, desired: DesiredPayload, adopt: Callable[[Config], None]) -> bool:
        """Take in a wish.

        Args:
            desired: what somebody wishes for.
            adopt: brings a live change into force; may raise BadInputError.

        Returns:
            Whether a new pipeline is due, for what `config` is now.
        """
        change = self._changes.judge(desired, self.config)
        if change is None:
            self.tell()
            return False
        return self._enact(change, adopt)

    def reload(self, read: Callable[[], Given], adopt: Callable[[Config], None]) -> bool:
        """Take in config.yaml, read again; else as `wish`."""
        try:
            change = self._changes.read_again(read(), self.config)
        except BadInputError as error:
            log.error("The configuration in force is kept. %s", error)  # noqa: TRY400 (a sentence)
            return False
        return self._enact(change, adopt)

    def begun(self, now_s: float, figures: Figures, *, connected: bool) -> None:
        """A pipeline has started; if it is a change, its probation begins."""
        if self._trial is None:
            return
        settings, done = self.config.remote, _done(figures)
        self._trial.probation = Probation(
            now_s + settings.probation_s,
            {name: done.get(name, 0) + settings.probation_frames for name in self.config.cameras},
            needs_broker=connected,
        )

    def look(
        self, now_s: float, figures: Figures, trouble: Mapping[str, str], *, connected: bool
    ) -> bool:
        """See how a change does; True where it must be left, and a new pipeline is due."""
        if self._trial is None or self._trial.probation is None:
            return False
        done, probation = _done(figures), self._trial.probation
        if probation.passed(done, connected=connected):
            self.passed()
            return False
        why = probation.failed(now_s, done, trouble)
        return bool(why) and self.back(why)

    def engine(self, loaded: Loaded) -> bool:
        """What detects now; True: it is not what a change promised, and a new pipeline is due."""
        self._unbuilt = loaded.engine is None
        if loaded.engine is None:
            return False
        asked, sidecar = self.config.engines.precision, loaded.engine.sidecar
        if asked in {"auto", sidecar.precision}:
            if self._trial is None:
                self._changes.built()
            return False
        return self._no_engine(sidecar.remarks or f"{asked.upper()} could not be built.")

    def news(self, news: EngineNews) -> bool:
        """How a build goes; as `engine`."""
        if isinstance(news, EngineReady):
            return self.engine(news.loaded)
        return isinstance(news, NoEngine) and self._no_engine(news.problem)

    def passed(self) -> None:
        """The change works: it is kept."""
        if self._trial is not None:
            self._changes.good(self._trial.change, unbuilt=self._unbuilt)
            self._trial = None
            log.info("The new configuration is in force.")
            self.tell()

    def back(self, why: str, path: str = "") -> bool:
        """Leave a change that does not work; False where nothing is on probation."""
        if self._trial is None:
            return False
        trial, self._trial = self._trial, None
        log.warning("The configuration before is taken again. %s", why)
        self._changes.refuse(trial.change.wish, [Problem(path, why)], "rolled_back")
        self.config = trial.before
        self.tell()
        return True

    def _no_engine(self, why: str) -> bool:
        """A build came to less than was asked for; True where a change goes back for it."""
        if not why:
            return False  # it was ended
        if self._trial is not None and self._trial.change.engine:
            return self.back(why, ENGINE)
        config = self._changes.unbuilt(Problem(ENGINE, why), self.config)
        if config is None:
            return False
        log.warning("The engine before is taken again. %s", why)
        self.config = config
        self.tell()
        return True

    def _enact(self, change: Change, adopt: Callable[[Config], None]) -> bool:
        if change.effect is Effect.STAGE:
            self._changes.begin(change)
            self._trial = _Trial(change, self.config)
            self.config = change.config
            return True
        try:
            adopt(change.config)
        except BadInputError as error:
            log.warning("The configuration in force is kept. %s", error)
            self._changes.refuse(change.wish, [Problem("", str(error))], "rejected")
        else:
            self.config = change.config
            self._changes.good(change, unbuilt=False)
        self.tell()
        return False


def _done(figures: Figures) -> Mapping[str, int]:
    """Finished frames by camera, since the start."""
    return {camera.name: camera.done for camera in figures.cameras}
