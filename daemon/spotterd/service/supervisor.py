"""The daemon: makes the rooms, watches over them, says how it is, ends in order."""

import logging
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import TypeAlias

from spotterd import paths
from spotterd.builder.wire import Progress
from spotterd.config.load import Given
from spotterd.config.schema import Config
from spotterd.errors import BadInputError, RetryError, SpotterdError
from spotterd.health.meters import Figures, Meters
from spotterd.health.web import open_web
from spotterd.health.window import Window
from spotterd.publish.base import Message
from spotterd.publish.build import Origin
from spotterd.publish.mqtt import MqttLink
from spotterd.publish.outbox import Outbox
from spotterd.publish.pictures import PictureRing
from spotterd.publish.topics import Topics
from spotterd.remote.changes import Changes
from spotterd.remote.overlay import Overlay, overlay_path
from spotterd.service.answer import Answer, Asked, PictureWanted, Rebuild, Restart
from spotterd.service.condition import Facts, State, condition
from spotterd.service.engine import (
    Building,
    EngineKeeper,
    EngineNews,
    EngineReady,
    Loaded,
    NoEngine,
    thresholds,
)
from spotterd.service.listen import Heard, HomeAssistantUp, Listen, Unreadable, Wished
from spotterd.service.pipeline import CameraTold, FirstFrame, News, Pipeline, StageEnded
from spotterd.service.report import Report
from spotterd.service.stage import Stage
from spotterd.service.steering import Steering
from spotterd.service.systemd import Notifier, watchdog_limit_s
from spotterd.service.vitals import Vitals
from spotterd.service.watchdog import Progress as SignOfLife
from spotterd.service.watchdog import judge

log = logging.getLogger(__name__)

LOOK_S = 1.0  # how often the supervisor looks at the progress of the stages
LOADING_S = 300.0  # a large plan on a slow card, before systemd loses patience with the start
GOODBYE_S = 1.0  # for `stopped` to be acknowledged
NEVER = float("inf")


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


Note: TypeAlias = Stop | Reload | PictureTaken | Heard | Asked | EngineNews | News


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
        self.running = threading.Event()
        self.left_behind: list[str] = []
        self.restart = False
        self._notifier = notifier
        self._started_s = self._since_s = time.monotonic()
        self._ready_is_due = True
        self._inbox: SimpleQueue[Note] = SimpleQueue()
        self._meters = Meters(time.monotonic_ns())
        self._window = Window(self.figures, config.cameras)
        self._web = open_web(config.web, self._window)
        topics = Topics(config.root)
        kept = config.publish.outbox
        self._outbox = Outbox(paths.state_dir() / "outbox.db", kept.max_messages, kept.max_mb << 20)
        ha = config.publish.homeassistant
        ha_status = f"{ha.prefix}/status" if ha.discovery else ""
        self._link = MqttLink(
            config.mqtt,
            f"spotterd-{config.node}",
            self._outbox,
            subscriptions=(*topics.incoming, *filter(None, [ha_status])),
            availability=topics.availability,
        )
        self._report = Report(
            Origin(config.node, secrets.token_hex(4)),
            topics,
            self._link,
            self._window,
            lambda name, jpeg: self._inbox.put(PictureTaken(name, jpeg)),
        )
        answer = Answer(self._report.response, self._inbox.put)
        logging.getLogger().addHandler(answer.lines)
        listen = Listen(self._link.inbox, topics, ha_status, answer.request, self._inbox.put)
        self._remote = Stage("remote", listen.turn, self._ended, self._meters)
        self._steering = Steering(changes, config, self._report.reported)
        self._vitals = Vitals(self._report, self._window, self._link, self._outbox)
        self._go_by(config)
        self._later: dict[type, Note] = {}
        self._loaded: Loaded | None = None
        self._rebuild: Rebuild | None = None
        self._facts = Facts(waiting_for=set(config.cameras))
        self._built: Progress | None = None
        self._told: tuple[State, str, Progress | None] | None = None

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
        self._report.ended_by_restart(self._outbox.left_open)
        self._link.start()
        self._web.start()
        self._remote.start()
        self._steering.tell()
        self._tell("starting", "Loading the detector.")
        try:
            self._work_by_turns(limit_s)
        except SpotterdError as error:
            self._tell("failed", str(error))
            raise
        finally:
            self._notifier.stopping("Saying goodbye.")
            stopped = Message(self._report.topics.availability, b"stopped", qos=1, retain=True)
            self._link.stop(stopped, GOODBYE_S)
            self._outbox.close()
            self._web.stop()

    def _work_by_turns(self, limit_s: float) -> None:
        """Work on one configuration after another."""
        while True:
            try:
                if not self._work(limit_s):
                    return
            except SpotterdError as error:
                if not self._steering.back(str(error)):
                    raise
            self._begin_anew(self._config)

    def _begin_anew(self, config: Config) -> None:
        """Forget what was about the configuration before."""
        for _ in range(self._inbox.qsize()):
            note = self._inbox.get()
            if not isinstance(note, News | EngineNews):
                self._inbox.put(note)
        for gone in self._facts.cameras.keys() - config.cameras.keys():
            self._report.forget(gone)
        self._facts = Facts(waiting_for=set(config.cameras))
        self._built, self._told = None, None
        self._since_s = time.monotonic()
        self._window.put_cameras(config.cameras)
        self._ready_is_due = True

    @property
    def _config(self) -> Config:
        return self._steering.config

    def _work(self, limit_s: float) -> bool:
        """Work on the configuration in force; True: there is another one, False: the end."""
        self._notifier.extend_timeout(LOADING_S)
        keeper = EngineKeeper(self._config, self._inbox.put)
        if self._rebuild is not None:
            keeper.drop()
        loaded = keeper.open()
        self._use(loaded)
        detector = loaded.detector
        pipeline = Pipeline(self._config, detector, self._report, self._meters, self._inbox.put)
        pipeline.start()
        connected = self._link.connected
        self._steering.begun(time.monotonic(), self.figures(), connected=connected)
        if loaded.engine is None:
            self._facts.building = "Building the engine"
            keeper.build()
        else:
            self._rebuilt("")  # nothing to build, as FP32 on ONNX Runtime
        try:
            return self._watch(pipeline, limit_s)
        finally:
            keeper.cancel()
            self.left_behind += pipeline.stop()
            self._tell_health(pipeline)  # the last figures, for whoever adds up

    def _use(self, loaded: Loaded) -> None:
        """Say what detects from now on."""
        self._loaded = loaded
        self._report.info(loaded, tuple(self._config.cameras))
        self._announce()
        backend = loaded.detector.backend
        remarks = loaded.engine.sidecar.remarks if loaded.engine else ""
        self._facts.running = (
            f"Watching with {backend.model.name} ({backend.precision}) on {backend.name}, "
            f"{backend.device}. {remarks}".strip()
        )

    def _announce(self) -> None:
        if self._config.publish.homeassistant.discovery and self._loaded is not None:
            self._report.home_assistant(self._loaded, self._config)

    def _watch(self, pipeline: Pipeline, limit_s: float) -> bool:
        """The main loop: take notes, and look around once in a while; returns as `_work`."""
        end_s = self._started_s + limit_s
        look_s = health_s = time.monotonic()
        fed_every_s = (watchdog_limit_s() or 2 * LOOK_S) / 2
        while (now_s := time.monotonic()) < end_s:
            if now_s >= look_s:
                look_s = now_s + min(LOOK_S, fed_every_s)
                if not self._look(pipeline):
                    return True
            if now_s >= health_s:
                health_s = now_s + self._config.health.interval_s
                self._tell_health(pipeline)
            try:
                note = self._inbox.get(timeout=max(0.0, min(look_s, health_s, end_s) - now_s))
            except Empty:
                continue
            anew = self._take(note, pipeline)
            if anew is not None:
                return anew
        return False

    def _take(self, note: Note, pipeline: Pipeline) -> bool | None:
        """Take in a note; None: the work goes on, else as `_work`."""
        if isinstance(note, Stop):
            log.info("Stopping: %s.", note.why)
            return False
        if isinstance(note, Restart):
            log.info("Restarting, as asked from afar.")
            self.restart = True
            return False
        if isinstance(note, Reload | Wished | Rebuild):
            return True if self._steered(note, pipeline) else None
        if isinstance(note, News | EngineNews):
            return False if self._heard(note, pipeline) else None
        self._serve(note, pipeline)
        return None

    def _serve(
        self, note: PictureTaken | PictureWanted | Unreadable | HomeAssistantUp, pipeline: Pipeline
    ) -> None:
        """What changes nothing for the pipeline."""
        if isinstance(note, PictureTaken):
            self._ring.add(note.name, note.jpeg)
        elif isinstance(note, PictureWanted):
            pipeline.ask_picture(note.camera, note.reply)
        elif isinstance(note, Unreadable):
            self._steering.unreadable(note.sentence)
        else:
            self._announce()

    def _steered(self, note: Reload | Wished | Rebuild, pipeline: Pipeline) -> bool:
        """Take in a change of what runs; True: it takes a new pipeline."""
        if self._steering.busy:
            self._later[type(note)] = note
            return False
        if isinstance(note, Rebuild):
            self._rebuild = note
            return True

        def adopt(config: Config) -> None:
            pipeline.adopt(config)
            self._go_by(config)

        if isinstance(note, Wished):
            anew = self._steering.wish(note.desired, adopt)
        else:
            self._notifier.reloading("Reading the configuration.")
            anew = self._steering.reload(note.read, adopt)
        if anew:
            self._rebuilt("Another change of the configuration ended the build.")
        if anew or isinstance(note, Wished):
            return anew
        self._told, self._ready_is_due = None, True  # the state is said again, as an answer
        self._say_state()
        return False

    def _go_by(self, config: Config) -> None:
        """What is changed without a new pipeline."""
        logging.getLogger().setLevel(config.log.level.upper())
        pictures = config.events.pictures
        self._ring = PictureRing(
            paths.state_dir() / "pictures", pictures.keep, pictures.keep_mb << 20
        )

    def _proven(self) -> bool:
        """False: a change on probation does not work, and the one before is due again."""
        connected = self._link.connected
        trouble = self._facts.cameras
        if self._steering.look(time.monotonic(), self.figures(), trouble, connected=connected):
            return False
        if self._later and not self._steering.busy:
            for note in self._later.values():
                self._inbox.put(note)
            self._later.clear()
        return True

    def _heard(self, note: EngineNews | News, pipeline: Pipeline) -> bool:
        """Take in a piece of news; True when the work is done."""
        if isinstance(note, FirstFrame):
            self._facts.waiting_for.discard(note.camera)
        elif isinstance(note, CameraTold):
            online = note.status.state == "online"
            self._facts.cameras[note.name] = "" if online else note.status.reason
            self._report.camera(note.name, note.status)
            if pipeline.over:
                self._conclude(pipeline)
                return True
        elif isinstance(note, Building | EngineReady | NoEngine):
            self._engine_news(note, pipeline)
        else:
            raise RetryError(f"The stage {note.name} failed again and again: {note.error}.")
        self._say_state()
        return False

    def _engine_news(self, news: EngineNews, pipeline: Pipeline) -> None:
        self._built = None
        self._facts.building = ""
        if isinstance(news, Building):
            self._built = news.progress
            self._facts.building = f"Building the engine: {news.progress.step}"
        elif isinstance(news, EngineReady):
            news.loaded.detector.thresholds = thresholds(self._config)  # may be others by now
            pipeline.swap(news.loaded.detector)
            self._use(news.loaded)
            self._rebuilt("")
        else:
            self._facts.no_engine = f"There is no engine: {news.problem}" if news.problem else ""
            self._rebuilt(news.problem or "The build was ended.")

    def _rebuilt(self, problem: str) -> None:
        if self._rebuild is not None:
            self._rebuild.reply.put(problem)
            self._rebuild = None

    def _conclude(self, pipeline: Pipeline) -> None:
        """All recordings are over."""
        if pipeline.errors:
            raise BadInputError(" ".join(str(error) for error in pipeline.errors.values()))
        self._steering.passed()
        log.info("All recordings are over.")

    def _ended(self, name: str, error: Exception | None) -> None:
        self._inbox.put(StageEnded(name, error))

    def _look(self, pipeline: Pipeline) -> bool:
        """Look around; False: a change on probation does not work, and it is due to go back."""
        link = SignOfLife("mqtt", self._link.progress_ns, self._link.patience_s)
        verdict = judge([*pipeline.progress(), link], time.monotonic_ns())
        if verdict.feed:
            self._notifier.watchdog()
        if verdict.reason != self._facts.late:
            log.log(
                logging.ERROR if verdict.reason else logging.INFO,
                "%s",
                verdict.reason or "All stages get on again.",
            )
        self._facts.late = verdict.reason
        self._say_state()
        return self._proven()

    def _say_state(self) -> None:
        self._tell(*condition(self._facts, time.monotonic() - self._since_s))

    def _tell(self, state: State, reason: str) -> None:
        """Say the state where it is new."""
        built = self._built
        if (state, reason, built) == self._told:
            return
        news = self._told is None or self._told[0] != state or built is None
        self._told = (state, reason, built)
        self._report.state(state, reason, built)
        if news:
            grave = state in ("degraded", "failed")
            fields = {"SPOTTER_EVENT": "state", "STATE": state}
            level = logging.WARNING if grave else logging.INFO
            log.log(level, "%s: %s", state, reason, extra=fields)
        said = f"{state}: {reason}" if built is None else f"{state} {built.fraction:.0%}: {reason}"
        if state not in ("starting", "failed") and self._ready_is_due:
            self._ready_is_due = False
            self.running.set()
            self._notifier.ready(said)
        else:
            self._notifier.status(said)

    def _tell_health(self, pipeline: Pipeline) -> None:
        margin_c = self._config.health.cool_margin_c
        self._facts.heat = self._vitals.tell(self.figures(), pipeline, margin_c)
