"""The last lines of the log, in memory, for whoever asks from afar."""

import logging
from collections import deque

from spotterd.camera.uri import mask_url


class LastLines(logging.Handler):
    """Keeps so many lines, secrets in addresses masked."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        self._lines: deque[str] = deque(maxlen=most)

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record."""
        try:
            self._lines.extend(mask_url(self.format(record)).splitlines())
        except (TypeError, ValueError):  # a log line must not end the daemon
            self.handleError(record)

    def latest(self, most: int) -> list[str]:
        """The latest lines, oldest first."""
        return list(self._lines)[-most:]
