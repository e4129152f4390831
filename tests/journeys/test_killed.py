"""The whole daemon lives through kill -9 at random moments; the long form is `make kill-test`."""

from pathlib import Path

import killed
import pytest

from brokers import MOSQUITTO


@pytest.mark.timeout(600)
def test_nothing_is_lost_or_damaged(tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    if not MOSQUITTO:
        pytest.skip("no mosquitto here: sudo apt-get install mosquitto")
    verdict = killed.travel(tmp_path, kills=4, say=print)
    with capfd.disabled():
        print(f"\n  {verdict}")
    assert verdict.received > killed.LEAST_EVENTS
    assert verdict.good
