"""The daemon: works on one configuration after another, watches over it, ends in order."""

import logging
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import TypeAlias

from spotterd import paths
from spotterd.config.load import Given
from spotterd.config.schema import Config
from spotterd.errors import RestartError, SpotterdError
from spotterd.health.meters import Figures, Meters
from spotterd.publish.pictures import PictureRing
from spotterd.remote.changes import Changes
from spotterd.remote.modelroom import ModelRoom, models_folder
from spotterd.remote.overlay import Overlay, overlay_path
from spotterd.service.answer import BenchWanted, PictureWanted, Rebuild, Restart
from spotterd.service.bare import Bare
from spotterd.service.engine import EngineBroke, EngineNews, EngineReady
from spotterd.service.helm import Change, Helm
from spotterd.service.listen import HomeAssistantUp, Unreadable
from spotterd.service.notes import Measure, PictureTaken, Reload, Stop
from spotterd.service.outside import Outside, Said
from spotterd.service.pipeline import News, StageEnded
from spotterd.service.standing import Standing
from spotterd.service.steering import Steering
from spotterd.service.systemd import Notifier, watchdog_limit_s
from spotterd.service.trial import Moment
from spotterd.service.update import ModelUpdate
from spotterd.service.watchdog import Progress as SignOfLife
from spotterd.service.watchdog import judge
from spotterd.service.work import Work

log = logging.getLogger(__name__)

LOOK_S = 1.0  # how often the supervisor looks at the progress of the stages
LOADING_S = 300.0  # a large plan on a slow card, before systemd loses patience with the start
NEVER = float("inf")
STOP_S = 2.3  # from the wish to stop to the last message: all threads are to end within 3 s
GOODBYE_S = 1.0  # for a broker that is there to acknowledge `stopped`, at least
LEISURE_S = 10.0  # the same where nobody waits: at the end of a recording
Note: TypeAlias = Stop | PictureTaken | Measure | Said | Change | EngineNews | News


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
        self._end_by_s = NEVER
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
        models = ModelUpdate(ModelRoom(models_folder()), report, post, span_s)
        steering = Steering(changes, config, report.reported, models.applied_to)
        self._helm = Helm(steering, models, post)
        self._go_by(config)

    def stop(self, why: str) -> None:
        """End the run soon; callable from signal handlers and any thread."""
        self._end_by_s = min(self._end_by_s, time.monotonic() + STOP_S)
        self._inbox.put(Stop(why))

    def reload(self, read: Callable[[], Given]) -> None:
        """Go on with another configuration, if it is good; callable like `stop`."""
        self._inbox.put(Reload(read))

    def measure(self, seconds: float, reply: Callable[[Bare], None]) -> None:
        """Measure the backend alone, between two frames; callable like `stop`."""
        self._inbox.put(Measure(seconds, reply))

    def figures(self) -> Figures:
        """The meters now; callable from any thread."""
        return self._meters.snapshot(time.monotonic_ns())

    def run(self, limit_s: float = NEVER) -> None:
        """Run until `stop`, the end of all recordings, or for `limit_s`.

        Raises:
            BadInputError: somebody has to change something first.
            RetryError: a stage gave up; a new start may help.
            RestartError: only a new process helps.
        """
        self._outside.start()
        self._standing.tell("starting", "Loading the detector.")
        self._helm.start()
        try:
            self._work_by_turns(limit_s)
        except SpotterdError as error:
            self._standing.tell("failed", str(error))
            raise
        finally:
            self._notifier.stopping("Saying goodbye.")
            self._helm.stop()
            left_s = self._end_by_s - time.monotonic()
            self._outside.stop(min(LEISURE_S, max(GOODBYE_S, left_s)))

    def _work_by_turns(self, limit_s: float) -> None:
        """Work on one configuration after another."""
        while True:
            rebuild = self._helm.take_turn()
            config = self._helm.config
            self._standing.anew(config.cameras)
            try:
                if not self._work(config, rebuild, limit_s):
                    return
            except SpotterdError as error:
                if not self._helm.back(str(error)) or isinstance(error, RestartError):
                    raise
            self._forget(config, self._helm.config)

    def _forget(self, before: Config, config: Config) -> None:
        """Let go of what was about the configuration before.

        Raises:
            RestartError: that has lost what the next one needs, too.
        """
        for _ in range(self._inbox.qsize()):
            note = self._inbox.get()
            if isinstance(note, EngineReady):  # nobody waits for it any more
                note.loaded.detector.backend.close()
            elif isinstance(note, EngineBroke | StageEnded) and isinstance(
                note.error, RestartError
            ):
                raise note.error
            elif not isinstance(note, News | EngineNews):
                self._inbox.put(note)
        for gone in before.cameras.keys() - config.cameras.keys():
            self._report.forget(gone)
        self._outside.window.put_cameras(config.cameras)

    def _work(self, config: Config, rebuild: Rebuild | None, limit_s: float) -> bool:
        """Work on a configuration; True: there is another one, False: the end."""
        self._notifier.extend_timeout(LOADING_S)
        work = Work(
            config,
            self._report,
            self._standing,
            self._meters,
            self._inbox.put,
            rebuild=rebuild,
            needs_engine=self._helm.needs_engine,
        )
        work.start()
        try:
            connected = self._outside.link.connected
            return self._helm.begun(work, self._moment(), connected=connected) or self._watch(
                work, limit_s
            )
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
                health_s = now_s + self._helm.config.health.interval_s
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
        trouble = self._standing.facts.cameras
        return not self._helm.look(self._moment(), trouble, connected=link.connected)

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
            return True if self._helm.engine(note) else None
        if isinstance(note, Change):
            return True if self._changed(note, work) else None
        self._serve(note, work)
        return None

    def _heard(self, note: News, work: Work) -> bool | None:
        """Take in news of the pipeline; returns as `_take`."""
        if not work.heard(note):
            return None
        self._helm.over()
        return False

    def _serve(
        self,
        note: PictureTaken | PictureWanted | BenchWanted | Measure | Unreadable | HomeAssistantUp,
        work: Work,
    ) -> None:
        """What changes nothing for the pipeline."""
        if isinstance(note, PictureTaken):
            self._ring.add(note.name, note.jpeg)
        elif isinstance(note, PictureWanted):
            work.pipeline.ask_picture(note.camera, note.reply)
        elif isinstance(note, BenchWanted):
            work.bench(note, self.figures())
        elif isinstance(note, Measure):
            work.pipeline.ask_bench(note.seconds, note.reply)
        elif isinstance(note, Unreadable):
            self._helm.unreadable(note.sentence)
        else:
            work.announce()

    def _changed(self, note: Change, work: Work) -> bool:
        """Take in a change of what runs; True: it takes a new pipeline."""

        def adopt(config: Config) -> None:
            work.adopt(config)
            self._go_by(config)

        reloaded = isinstance(note, Reload) and not self._helm.busy
        if reloaded:
            self._notifier.reloading("Reading the configuration.")
        if self._helm.take(note, adopt):
            return True
        if reloaded:
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
        margin_c = self._helm.config.health.cool_margin_c
        heat = self._outside.tell_health(self.figures(), work.pipeline, margin_c)
        self._standing.facts.heat = heat
