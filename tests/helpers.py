"""What tests of several rooms need."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def shared(path: str) -> Path:
    """A file of the material beside the checkout (real clips, models, recipes), or skip."""
    named = os.environ.get("SPOTTERD_SHARED")
    places = [Path(named)] if named else [ROOT.parent / "shared", ROOT.parents[1] / "shared"]
    for place in places:
        if (place / path).exists():
            return place / path
    pytest.skip(f"shared/{path} is not beside the checkout; set SPOTTERD_SHARED to its folder")
