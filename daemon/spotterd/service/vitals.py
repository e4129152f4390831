"""How board and daemon are: sampled once an interval, told to everybody, and acted on for heat."""

from spotterd import paths
from spotterd.health.board import BoardProbe
from spotterd.health.cooling import hottest, next_part
from spotterd.health.host import HostFigures, HostProbe
from spotterd.health.meters import Figures
from spotterd.health.window import Window
from spotterd.publish.mqtt import MqttLink
from spotterd.publish.outbox import Outbox
from spotterd.service.figures import figures
from spotterd.service.pipeline import Pipeline
from spotterd.service.report import Report
from spotterd.service.threads import name_threads


class Vitals:
    """The probes of one daemon.

    Args:
        report: tells the broker.
        window: shows it to the local page and Prometheus.
        link, outbox: asked how they are.
    """

    def __init__(self, report: Report, window: Window, link: MqttLink, outbox: Outbox) -> None:
        self._report = report
        self._window = window
        self._link = link
        self._outbox = outbox
        self._host = HostProbe(paths.state_dir())
        self._board = BoardProbe()

    def tell(self, told: Figures, pipeline: Pipeline, cool_margin_c: float) -> str:
        """Sample and tell.

        Returns:
            A sentence where frames are left out to keep the board cool, else nothing.
        """
        name_threads()
        host, board = self._host.sample(), self._board.sample()
        self._window.put_sample(told, host, board)
        self._report.health(
            figures(
                told,
                host=host,
                board=board,
                link=self._link,
                outbox=self._outbox,
                cameras=pipeline.cameras,
            )
        )
        return _cool(pipeline, host, cool_margin_c)


def _cool(pipeline: Pipeline, host: HostFigures, margin_c: float) -> str:
    """Leave frames out before the board slows itself down, and say so."""
    zone = hottest(host.thermal)
    part = next_part(pipeline.thinning.part, zone.margin if zone else None, margin_c)
    pipeline.thinning.part = part
    if zone is None or part == 1:
        return ""
    return (
        f"Working on {part:.0%} of the frames: {zone.name} slows the board down at "
        f"{zone.throttles_at:.0f} °C. Cool the board better."
    )
