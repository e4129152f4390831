"""One configuration at work: its engine, its pipeline, and the news of both."""

import logging
from collections.abc import Callable
from typing import TypeAlias

from spotterd.config.schema import Config
from spotterd.errors import BadInputError, FallBackError, RestartError, RetryError
from spotterd.health.meters import Figures, Meters
from spotterd.service.answer import BenchWanted, Rebuild
from spotterd.service.bare import compared
from spotterd.service.engine import (
    Building,
    EngineBroke,
    EngineKeeper,
    EngineNews,
    EngineReady,
    Loaded,
    thresholds,
)
from spotterd.service.pipeline import CameraTold, FirstFrame, News, Pipeline
from spotterd.service.report import Report
from spotterd.service.standing import Standing

log = logging.getLogger(__name__)

Noticed: TypeAlias = EngineNews | News
ENDED = "Another change of the configuration ended the build."


class Work:
    """Begins with the engine that is there, or the plain model, and builds where none is.

    Args:
        config: what to do; `adopt` changes it.
        report: says what runs.
        standing: is told the facts.
        meters: fed by the pipeline.
        post: takes news; must not block.
        rebuild: somebody asked for a new engine, in the place of the one that is there.
        needs_engine: the plain model will not do.

    Attributes:
        loaded: what detects.
        pipeline: what it works in.

    Raises:
        BadInputError: somebody has to change something first.
        FallBackError: the engine that it needs is not there.
    """

    def __init__(
        self,
        config: Config,
        report: Report,
        standing: Standing,
        meters: Meters,
        post: Callable[[Noticed], None],
        *,
        rebuild: Rebuild | None,
        needs_engine: bool,
    ) -> None:
        self._config = config
        self._report = report
        self._standing = standing
        self._rebuild = rebuild
        self._keeper = EngineKeeper(config, post)
        if rebuild is not None:
            try:
                self._keeper.drop()
            except RetryError as error:
                self._rebuilt(str(error))
        loaded = self.loaded = self._keeper.open()
        if needs_engine and loaded.engine is None:
            loaded.detector.backend.close()
            raise FallBackError("The engine that was built for the model does not run.")
        try:
            self.pipeline = Pipeline(config, loaded.detector, report, meters, post)
        except BaseException:
            loaded.detector.backend.close()
            raise

    def start(self) -> None:
        """Start all threads, and the build where there is no engine."""
        self._use(self.loaded)
        self.pipeline.start()
        if self.loaded.given_up:
            self._standing.facts.no_engine = self.loaded.given_up
        elif self.loaded.engine is None:
            self._standing.build("Building the engine")
            self._keeper.build()
        else:
            self._rebuilt("")  # nothing to build, as FP32 on ONNX Runtime

    def adopt(self, config: Config) -> None:
        """Go by another configuration without a new pipeline; as `Pipeline.adopt`."""
        self.pipeline.adopt(config)
        self._config = config

    def announce(self) -> None:
        """Tell Home Assistant, where it is wanted."""
        if self._config.publish.homeassistant.discovery:
            self._report.home_assistant(self.loaded, self._config)

    def bench(self, note: BenchWanted, figures: Figures) -> None:
        """Measure the engine that runs, between two frames."""
        loaded = self.loaded
        self.pipeline.ask_bench(
            note.seconds, lambda bare: note.reply.put(compared(bare, loaded, figures))
        )

    def heard(self, note: News) -> bool:
        """Take in news of the pipeline; True when all recordings are over.

        Raises:
            BadInputError: a camera will never work.
            RestartError: the engine has broken what only a new process can have again.
            RetryError: a stage gave up.
        """
        if isinstance(note, FirstFrame):
            self._standing.facts.waiting_for.discard(note.camera)
        elif isinstance(note, CameraTold):
            online = note.status.state == "online"
            self._standing.facts.cameras[note.name] = "" if online else note.status.reason
            self._report.camera(note.name, note.status)
            if self.pipeline.over:
                self._conclude()
                return True
        elif isinstance(note.error, RestartError):
            self._keeper.faulted()
            raise note.error
        else:
            raise RetryError(f"The stage {note.name} failed again and again: {note.error}.")
        self._standing.say()
        return False

    def engine(self, news: EngineNews) -> None:
        """Take in news of the build.

        Raises:
            RestartError: as `heard`.
        """
        if isinstance(news, EngineBroke):
            raise news.error
        if isinstance(news, Building):
            self._standing.build(f"Building the engine: {news.progress.step}", news.progress)
            if self._rebuild is not None:
                self._rebuild.tell(news.progress.fraction, news.progress.step)
        elif isinstance(news, EngineReady):
            self._standing.build("")
            news.loaded.detector.thresholds = thresholds(self._config)  # may be others by now
            self.pipeline.swap(news.loaded.detector)
            self._use(news.loaded)
            self._rebuilt("")
        else:
            self._standing.build("")
            problem = news.problem
            self._standing.facts.no_engine = f"There is no engine: {problem}" if problem else ""
            self._rebuilt(problem or "The build was ended.")
        self._standing.say()

    def stop(self) -> list[str]:
        """End everything; the names of threads that would not."""
        self._keeper.cancel()
        left = self.pipeline.stop()
        self._rebuilt(ENDED)
        return left

    def _use(self, loaded: Loaded) -> None:
        """Say what detects from now on."""
        self.loaded = loaded
        self._report.info(loaded, tuple(self._config.cameras))
        self.announce()
        backend = loaded.detector.backend
        remarks = loaded.engine.sidecar.remarks if loaded.engine else ""
        self._standing.facts.running = (
            f"Watching with {backend.model.name} ({backend.precision}) on {backend.name}, "
            f"{backend.device}. {remarks}".strip()
        )

    def _conclude(self) -> None:
        if self.pipeline.errors:
            raise BadInputError(" ".join(str(error) for error in self.pipeline.errors.values()))
        log.info("All recordings are over.")

    def _rebuilt(self, problem: str) -> None:
        if self._rebuild is not None:
            self._rebuild.reply.put(problem)
            self._rebuild = None
