"""What runs: the configuration in force with the model in use, and one change of them at a time."""

import logging
from collections.abc import Callable
from typing import TypeAlias

from spotterd.config.schema import Config
from spotterd.service.answer import Rebuild
from spotterd.service.delivery import ModelNews, Undelivered, Underway
from spotterd.service.engine import EngineNews
from spotterd.service.listen import Wished
from spotterd.service.notes import Reload
from spotterd.service.steering import Steering
from spotterd.service.trial import Moment
from spotterd.service.update import ModelAsked, ModelUpdate
from spotterd.service.work import Work

log = logging.getLogger(__name__)

ON_TRIAL = "A new model is on trial; ask again when that is over."
Change: TypeAlias = Wished | Reload | Rebuild | ModelAsked | ModelNews


class Helm:
    """Lets changes in, one at a time, and takes back those that do not work. Main thread only.

    A change of the configuration that is on probation holds up all others. A model on trial holds
    up none, since that takes minutes; its trial begins anew with every new pipeline.

    Args:
        steering: decides about configurations.
        models: decides about models.
        post: puts a change back into the inbox.
    """

    def __init__(
        self, steering: Steering, models: ModelUpdate, post: Callable[[Change], None]
    ) -> None:
        self._steering = steering
        self._models = models
        self._post = post
        self._later: list[Change] = []
        self._rebuild: Rebuild | None = None

    @property
    def config(self) -> Config:
        """What is in force, with the model in use."""
        return self._models.applied_to(self._steering.config)

    @property
    def busy(self) -> bool:
        """A configuration is on probation; changes must wait."""
        return self._steering.busy

    @property
    def needs_engine(self) -> bool:
        """The plain model will not do: the engine is what is on trial."""
        return self._models.on_trial and not self._steering.busy

    def start(self) -> None:
        """Tell what is in force, and go on with what was under way."""
        self._steering.tell()
        self._models.start(self._steering.config)

    def stop(self) -> None:
        """The daemon ends."""
        self._models.stop()

    def take_turn(self) -> Rebuild | None:
        """Before a pipeline is made: a new model may be due; whether a new engine was asked for."""
        before = self._models.in_use
        self._models.try_out()
        if self._models.in_use != before:
            self._steering.tell()
        rebuild, self._rebuild = self._rebuild, None
        return rebuild

    def begun(self, work: Work, moment: Moment, *, connected: bool) -> bool:
        """A pipeline has started; True: it is not what was promised, and another one is due."""
        self._steering.begun(moment.now_s, moment.figures, connected=connected)
        self._models.begun(moment, self.config)
        return self._steering.engine(work.loaded)

    def over(self) -> None:
        """All recordings are read: there is no more to prove."""
        self._steering.passed()

    def back(self, why: str) -> bool:
        """Something ended the pipeline; False where nothing is on trial that could be to blame."""
        # What was changed last is to blame: nothing else is put on trial during a probation.
        if self._steering.back(why):
            return True
        return self._told_if(self._models.back(why))

    def look(self, moment: Moment, trouble: dict[str, str], *, connected: bool) -> bool:
        """See how changes do; True: one does not work, and the pipeline before is due.

        What had to wait is let in one look after the report that it waited for: of two reports at
        once the link would only send the second.
        """
        if not self._steering.busy:
            later, self._later = self._later, []
            for change in later:
                self._post(change)
        if self._steering.look(moment.now_s, moment.figures, trouble, connected=connected):
            return True
        return not self._steering.busy and self._told_if(self._models.look(moment))

    def engine(self, news: EngineNews) -> bool:
        """How a build goes; True as for `begun`."""
        return self._steering.news(news)

    def unreadable(self, sentence: str) -> None:
        """Answer what is no wish at all."""
        self._steering.unreadable(sentence)

    def take(self, change: Change, adopt: Callable[[Config], None]) -> bool:
        """Take in a change; True: it takes a new pipeline.

        Args:
            change: that somebody asks for.
            adopt: brings a live change into force; may raise BadInputError.
        """
        if self.busy and not isinstance(change, Underway | Undelivered):
            if isinstance(change, Wished | Reload):  # the newest stands for all
                self._later = [other for other in self._later if type(other) is not type(change)]
            self._later.append(change)
            return False
        if isinstance(change, ModelAsked):
            return self._told_if(self._models.asked(change, self._steering.config))
        if isinstance(change, ModelNews):
            return self._models.heard(change, self._steering.config)
        if isinstance(change, Rebuild):
            return self._rebuilt(change)

        def adopted(config: Config) -> None:
            adopt(self._models.applied_to(config))

        if isinstance(change, Wished):
            return self._steering.wish(change.desired, adopted)
        return self._steering.reload(change.read, adopted)

    def _rebuilt(self, asked: Rebuild) -> bool:
        if self._models.on_trial:
            asked.reply.put(ON_TRIAL)
            return False
        self._rebuild = asked
        return True

    def _told_if(self, other_model: bool) -> bool:  # noqa: FBT001 (passed on)
        """Report the configuration where another model is in use now."""
        if other_model:
            self._steering.tell()
        return other_model
