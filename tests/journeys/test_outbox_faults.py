"""Events survive whatever happens around them; the long form is `make fault-test`."""

import os
from pathlib import Path

import faults
import pytest

from brokers import MOSQUITTO


@pytest.mark.timeout(600)
def test_nothing_is_lost_and_order_is_kept(tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    if not MOSQUITTO or os.geteuid():
        pytest.skip("needs mosquitto, and root for a small disk to fill")
    with faults.small_disk(tmp_path) as disk:
        verdict = faults.travel(tmp_path, disk, rounds=1, kills=2, say=print)
    with capfd.disabled():
        print(f"\n  {verdict}")
    assert verdict.safe > 200
    assert verdict.lost == []
    assert verdict.out_of_order == 0
    assert verdict.source["dropped"] == verdict.source["crashes"] == verdict.source["left"] == 0
    assert verdict.growth_kib < faults.FLAT_KIB
