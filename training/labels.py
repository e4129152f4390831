"""Class names and the one rule about box margins.

Measured on 1200 boxes of the clips (object segmented against clear sky): a label is the object
plus about 20 pixels in width and in height, whatever the object's size. Caltech, COCO and
rendered craft are tight. One rule for all sources, in pixels of the network's input, keeps the
answer learnable: small craft get the clips' full margin, large craft a thin one, so that boxes of
50 pixels and more overlap well with loose and with tight labels alike.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

NAMES = ("airplane", "helicopter", "drone", "bird")
AIRPLANE, HELICOPTER, DRONE, BIRD = range(4)
AIRCRAFT = (AIRPLANE, HELICOPTER, DRONE)

CLIP_MARGIN_PX = 20.0
"""What a clip's label adds to the object's width and to its height at the clip's own scale."""
SMALLEST_PX = 4.0

_OBJECT_PX = (0.0, 16.0, 32.0, 64.0, 128.0, 256.0)
_MARGIN_PX = (20.0, 20.0, 16.0, 12.0, 8.0, 6.0)


def tight(xyxy: Floats) -> Floats:
    """Take the clips' margin off boxes Nx4 at the clips' own scale; never below SMALLEST_PX."""
    centre = (xyxy[:, :2] + xyxy[:, 2:]) / 2
    size = np.maximum(xyxy[:, 2:] - xyxy[:, :2] - CLIP_MARGIN_PX, SMALLEST_PX)
    return np.concatenate((centre - size / 2, centre + size / 2), 1).astype(np.float32)


def with_margin(xyxy: Floats, share: Floats | float = 1.0) -> Floats:
    """Give tight boxes Nx4 (input pixels) the margin to learn; `share` (N) scales it."""
    size = xyxy[:, 2:] - xyxy[:, :2]
    side = np.sqrt(np.maximum(size.prod(1), 1.0))
    grow = (np.interp(side, _OBJECT_PX, _MARGIN_PX) * share)[:, None] / 2
    return np.concatenate((xyxy[:, :2] - grow, xyxy[:, 2:] + grow), 1).astype(np.float32)
