"""The stand-in GPU and worlds, in place of pycuda and TensorRT."""

import pytest

from standins import libcuda, pycuda_driver
from standins.gpu import Gpu, fresh


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> Gpu:
    """A stand-in GPU as new, reached through the stand-in pycuda."""
    pycuda_driver.install(monkeypatch)
    monkeypatch.setattr(libcuda, "refuse_capture", False)
    return fresh()
