"""What tests of several rooms need."""

import os
from pathlib import Path

import cv2
import numpy as np
import pytest

from spotterd.data import Image, Pixels

ROOT = Path(__file__).parents[1]


def shared(path: str) -> Path:
    """A file of the material beside the checkout (real clips, models, recipes), or skip."""
    named = os.environ.get("SPOTTERD_SHARED")
    places = [Path(named)] if named else [ROOT.parent / "shared", ROOT.parents[1] / "shared"]
    for place in places:
        if (place / path).exists():
            return place / path
    pytest.skip(f"shared/{path} is not beside the checkout; set SPOTTERD_SHARED to its folder")


def nv12(bgr: Image) -> Pixels:
    """What a camera with that picture before it gives; its sides must be even."""
    height, width = bgr.shape[:2]
    planar = cv2.cvtColor(bgr, cv2.COLOR_BGR2YUV_I420)
    pairs = planar[height:].reshape(2, -1).T.reshape(height // 2, width)
    return np.vstack([planar[:height], pairs])


def real_pictures(size_wh: tuple[int, int], most: int = 12) -> list[Image]:
    """Skies with craft, as pictures of that size."""
    files = sorted((ROOT / "calibration").glob("*.jpg"))[:most]
    return [
        cv2.resize(cv2.imread(str(file)), size_wh, interpolation=cv2.INTER_AREA) for file in files
    ]
