"""What joins the daemon to the world for as long as it lives, through all configurations."""

import logging
import secrets
from collections.abc import Callable
from typing import TypeAlias

from spotterd import paths
from spotterd.config.schema import Config
from spotterd.health.meters import Figures, Meters
from spotterd.health.web import open_web
from spotterd.health.window import Window
from spotterd.publish.base import Message
from spotterd.publish.build import Origin
from spotterd.publish.mqtt import MqttLink
from spotterd.publish.outbox import Outbox
from spotterd.publish.topics import Topics
from spotterd.service.answer import Answer, Asked
from spotterd.service.listen import Heard, Listen
from spotterd.service.pipeline import Pipeline
from spotterd.service.report import Report
from spotterd.service.stage import Stage
from spotterd.service.vitals import Vitals

Said: TypeAlias = Heard | Asked


class Outside:
    """Broker, page, and the thread that serves what strangers send.

    Args:
        config: to begin with; what matters here never changes.
        meters: shown, and fed by the thread.
        figures: the meters now; callable from any thread.
        post: takes what strangers want of the main thread; must not block.
        keep: takes name and JPEG of every event picture; must not block.
        ended: called when the thread gives up.

    Attributes:
        report: says things.
        link: to the broker.
        window: into the daemon.

    Raises:
        BadInputError: a file that the configuration names is missing or wrong.
    """

    def __init__(
        self,
        config: Config,
        meters: Meters,
        figures: Callable[[], Figures],
        *,
        post: Callable[[Said], None],
        keep: Callable[[str, bytes], None],
        ended: Callable[[str, Exception | None], None],
    ) -> None:
        self.window = Window(figures, config.cameras)
        self._web = open_web(config.web, self.window)
        topics, kept = Topics(config.root), config.publish.outbox
        self._outbox = Outbox(paths.state_dir() / "outbox.db", kept.max_messages, kept.max_mb << 20)
        ha = config.publish.homeassistant
        ha_status = f"{ha.prefix}/status" if ha.discovery else ""
        self.link = MqttLink(
            config.mqtt,
            f"spotterd-{config.node}",
            self._outbox,
            subscriptions=(*topics.incoming, *filter(None, [ha_status])),
            availability=topics.availability,
        )
        origin = Origin(config.node, secrets.token_hex(4))
        self.report = Report(origin, topics, self.link, self.window, keep)
        answer = Answer(self.report.response, post)
        logging.getLogger().addHandler(answer.lines)
        listen = Listen(self.link.inbox, topics, ha_status, answer.request, post)
        self._remote = Stage("remote", listen.turn, ended, meters)
        self._vitals = Vitals(self.report, self.window, self.link, self._outbox)

    def start(self) -> None:
        """Connect, and open the page."""
        self.report.ended_by_restart(self._outbox.left_open)
        self.link.start()
        self._web.start()
        self._remote.start()

    def tell_health(self, figures: Figures, pipeline: Pipeline, cool_margin_c: float) -> str:
        """Tell the figures; as `Vitals.tell`."""
        return self._vitals.tell(figures, pipeline, cool_margin_c)

    def stop(self, timeout_s: float) -> None:
        """Say goodbye; a broker that is there has so long to acknowledge it."""
        stopped = Message(self.report.topics.availability, b"stopped", qos=1, retain=True)
        self.link.stop(stopped, timeout_s)
        self._outbox.close()
        self._web.stop()
