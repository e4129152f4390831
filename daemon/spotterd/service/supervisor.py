"""The daemon: works on one configuration after another, watches over it, ends in order."""

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import TypeAlias

from spotterd import paths
from spotterd.config.load import Given
from spotterd.config.schema import Config
from spotterd.errors import SpotterdError
from spotterd.health.meters import Figures, Meters
from spotterd.publish.pictures import PictureRing
from spotterd.remote.changes import Changes
from spotterd.remote.modelroom import ModelRoom, models_folder
from spotterd.remote.overlay import Overlay, overlay_path
from spotterd.service.answer import BenchWanted, PictureWanted, Rebuild, Restart
from spotterd.service.delivery import ModelNews, Undelivered, Underway
from spotterd.service.engine import EngineNews
from spotterd.service.listen import HomeAssistantUp, Unreadable, Wished
from spotterd.service.outside import Outside, Said
from spotterd.service.pipeline import News, StageEnded
from spotterd.service.standing import Standing
from spotterd.service.steering import Steering
from spotterd.service.systemd import Notifier, watchdog_limit_s
from spotterd.service.trial import Moment
from spotterd.service.update import ModelAsked, ModelUpdate
from spotterd.service.watchdog import Progress as SignOfLife
from spotterd.service.watchdog import judge
from spotterd.service.work import Work

log = logging.getLogger(__name__)

LOOK_S = 1.0  # how often the supervisor looks at the progress of the stages
LOADING_S = 300.0  # a large plan on a slow card, before systemd loses patience with the start
NEVER = float("inf")
ON_TRIAL = "A new model is on trial; ask again when that is over."


@dataclass(frozen=True, slots=True)
class Stop:
    """Somebody asked the daemon to stop."""

    why: str


@dataclass(frozen=True, slots=True)
class PictureTaken:
    """A picture of an event, to be kept; written here, since a disk may take its time."""

    name: str
    jpeg: bytes


@dataclass(frozen=True, slots=True)
class Reload:
    """Somebody asked to read the configuration again, with this."""

    read: Callable[[], Given]


Note: TypeAlias = Stop | Reload | PictureTaken | Said | EngineNews | ModelNews | News


class Daemon:
    """One run of the daemon, from the first connection to the last message.

    Args:
        given: what to do, as the board's owner says; changes from afar are added.
        notifier: tells systemd.

    Attributes:
        running: set once it watches, or says in what way it cannot.
        left_behind: threads that would not end; they may crash when the interpreter winds up.
        restart: somebody asked for a new process after this run.

    Raises:
        BadInputError: a file that the configuration names is missing or wrong.
    """

    def __init__(self, given: Given, notifier: Notifier) -> None:
        changes = Changes(given, Overlay(overlay_path()))
        config = changes.at_start()
        self.left_behind: list[str] = []
        self.restart = False
        self._notifier = notifier
        self._started_s = time.monotonic()
        self._inbox: SimpleQueue[Note] = SimpleQueue()
        self._meters = Meters(time.monotonic_ns())
        post = self._inbox.put
        self._outside = Outside(
            config,
            self._meters,
            self.figures,
            post=post,
            keep=lambda name, jpeg: post(PictureTaken(name, jpeg)),
            ended=lambda name, error: post(StageEnded(name, error)),
        )
        report = self._report = self._outside.report
        self._standing = Standing(report, notifier)
        self.running = self._standing.running
        span_s = config.remote.models.canary_s
        self._models = ModelUpdate(ModelRoom(models_folder()), report, post, span_s)
        self._steering = Steering(changes, config, report.reported, self._models.applied_to)
        self._go_by(config)
        self._later: list[Note] = []
        self._rebuild: Rebuild | None = None

    def stop(self, why: str) -> None:
        """End the run soon; callable from signal handlers and any thread."""
        self._inbox.put(Stop(why))

    def reload(self, read: Callable[[], Given]) -> None:
        """Go on with another configuration, if it is good; callable like `stop`."""
        self._inbox.put(Reload(read))

    def figures(self) -> Figures:
        """The meters now; callable from any thread."""
        return self._meters.snapshot(time.monotonic_ns())

    def run(self, limit_s: float = NEVER) -> None:
        """Run until `stop`, the end of all recordings, or for `limit_s`.

        Raises:
            BadInputError: somebody has to change something first.
            RetryError: a stage gave up; a new start may help.
        """
        self._outside.start()
        self._steering.tell()
        self._standing.tell("starting", "Loading the detector.")
        self._models.start(self._steering.config)
        try:
            self._work_by_turns(limit_s)
        except SpotterdError as error:
            self._standing.tell("failed", str(error))
            raise
        finally:
            self._notifier.stopping("Saying goodbye.")
            self._models.stop()
            self._outside.stop()

    def _work_by_turns(self, limit_s: float) -> None:
        """Work on one configuration after another."""
        model = self._models.in_use
        while True:
            self._models.try_out()
            if model != self._models.in_use:
                model = self._models.in_use
                self._steering.tell()
            config = self._models.applied_to(self._steering.config)
            self._standing.anew(config.cameras)
            try:
                if not self._work(config, limit_s):
                    return
            except SpotterdError as error:
                # What was changed last is to blame: wishes wait while a model is put on trial.
                if not self._steering.back(str(error)) and not self._models.back(str(error)):
                    raise
            self._forget(config, self._steering.config)

    def _forget(self, before: Config, config: Config) -> None:
        """Let go of what was about the configuration before."""
        for _ in range(self._inbox.qsize()):
            note = self._inbox.get()
            if not isinstance(note, News | EngineNews):
                self._inbox.put(note)
        for gone in before.cameras.keys() - config.cameras.keys():
            self._report.forget(gone)
        self._outside.window.put_cameras(config.cameras)

    def _work(self, config: Config, limit_s: float) -> bool:
        """Work on a configuration; True: there is another one, False: the end."""
        self._notifier.extend_timeout(LOADING_S)
        rebuild, self._rebuild = self._rebuild, None
        work = Work(
            config,
            self._report,
            self._standing,
            self._meters,
            self._inbox.put,
            rebuild=rebuild,
            needs_engine=self._models.on_trial and not self._steering.busy,
        )
        work.start()
        try:
            connected = self._outside.link.connected
            self._steering.begun(time.monotonic(), self.figures(), connected=connected)
            self._models.begun(self._moment(), config)
            return self._steering.engine(work.loaded) or self._watch(work, limit_s)
        finally:
            self.left_behind += work.stop()
            self._tell_health(work)  # the last figures, for whoever adds up

    def _watch(self, work: Work, limit_s: float) -> bool:
        """The main loop: take notes, and look around once in a while; returns as `_work`."""
        end_s = self._started_s + limit_s
        look_s = health_s = time.monotonic()
        fed_every_s = (watchdog_limit_s() or 2 * LOOK_S) / 2
        while (now_s := time.monotonic()) < end_s:
            if now_s >= look_s:
                look_s = now_s + min(LOOK_S, fed_every_s)
                if not self._look(work):
                    return True
            if now_s >= health_s:
                health_s = now_s + self._steering.config.health.interval_s
                self._tell_health(work)
            try:
                note = self._inbox.get(timeout=max(0.0, min(look_s, health_s, end_s) - now_s))
            except Empty:
                continue
            anew = self._take(note, work)
            if anew is not None:
                return anew
        return False

    def _look(self, work: Work) -> bool:
        """Look around; False: what is on trial does not work, and the one before is due."""
        link = self._outside.link
        sign = SignOfLife("mqtt", link.progress_ns, link.patience_s)
        verdict = judge([*work.pipeline.progress(), sign], time.monotonic_ns())
        if verdict.feed:
            self._notifier.watchdog()
        self._standing.late(verdict.reason)
        self._standing.say()
        moment, trouble = self._moment(), self._standing.facts.cameras
        now_s, figures = moment.now_s, moment.figures
        if self._steering.look(now_s, figures, trouble, connected=link.connected):
            return False
        if self._steering.busy:
            return True
        if self._models.look(moment):
            return False
        later, self._later = self._later, []
        for note in later:
            self._inbox.put(note)
        return True

    def _take(self, note: Note, work: Work) -> bool | None:
        """Take in a note; None: the work goes on, else as `_work`."""
        if isinstance(note, Stop):
            log.info("Stopping: %s.", note.why)
            return False
        if isinstance(note, Restart):
            log.info("Restarting, as asked from afar.")
            self.restart = True
            return False
        if isinstance(note, News):
            return self._heard(note, work)
        if isinstance(note, EngineNews):
            work.engine(note)
            return True if self._steering.news(note) else None
        if isinstance(note, Wished | Reload | Rebuild | ModelAsked | ModelNews):
            return True if self._changed(note, work) else None
        self._serve(note, work)
        return None

    def _heard(self, note: News, work: Work) -> bool | None:
        """Take in news of the pipeline; returns as `_take`."""
        if not work.heard(note):
            return None
        self._steering.passed()
        return False

    def _serve(
        self,
        note: PictureTaken | PictureWanted | BenchWanted | Unreadable | HomeAssistantUp,
        work: Work,
    ) -> None:
        """What changes nothing for the pipeline."""
        if isinstance(note, PictureTaken):
            self._ring.add(note.name, note.jpeg)
        elif isinstance(note, PictureWanted):
            work.pipeline.ask_picture(note.camera, note.reply)
        elif isinstance(note, BenchWanted):
            work.bench(note, self.figures())
        elif isinstance(note, Unreadable):
            self._steering.unreadable(note.sentence)
        else:
            work.announce()

    def _changed(
        self, note: Wished | Reload | Rebuild | ModelAsked | ModelNews, work: Work
    ) -> bool:
        """Take in a change of what runs; True: it takes a new pipeline."""
        if self._steering.busy and not isinstance(note, Underway | Undelivered):
            if isinstance(note, Wished | Reload):  # the newest stands for all
                self._later = [other for other in self._later if type(other) is not type(note)]
            self._later.append(note)
            return False
        if isinstance(note, ModelAsked):
            return self._models.asked(note, self._steering.config)
        if isinstance(note, ModelNews):
            return self._models.heard(note, self._steering.config)
        if isinstance(note, Rebuild):
            if self._models.on_trial:
                note.reply.put(ON_TRIAL)
                return False
            self._rebuild = note
            return True
        return self._steered(note, work)

    def _steered(self, note: Wished | Reload, work: Work) -> bool:
        """Take in a change of the configuration; True: it takes a new pipeline."""

        def adopt(config: Config) -> None:
            work.adopt(self._models.applied_to(config))
            self._go_by(config)

        if isinstance(note, Wished):
            return self._steering.wish(note.desired, adopt)
        self._notifier.reloading("Reading the configuration.")
        if self._steering.reload(note.read, adopt):
            return True
        self._standing.due()  # the state is said again, as an answer
        self._standing.say()
        return False

    def _go_by(self, config: Config) -> None:
        """What is changed without a new pipeline."""
        logging.getLogger().setLevel(config.log.level.upper())
        pictures = config.events.pictures
        self._ring = PictureRing(
            paths.state_dir() / "pictures", pictures.keep, pictures.keep_mb << 20
        )

    def _moment(self) -> Moment:
        return Moment(time.monotonic(), self.figures(), self._report.objects)

    def _tell_health(self, work: Work) -> None:
        margin_c = self._steering.config.health.cool_margin_c
        heat = self._outside.tell_health(self.figures(), work.pipeline, margin_c)
        self._standing.facts.heat = heat
