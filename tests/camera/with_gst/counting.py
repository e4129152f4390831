"""The command `spotterd`, which at its end tells the height of every picture made from NV12."""

import atexit
import json
import sys
from collections import Counter

import cv2

from spotterd.cli.main import main

heights: Counter[int] = Counter()


def counted(convert):
    """The same conversion; both that `vision.pixels` uses have rows of the result's number."""

    def counting(picture, *others, **options):
        heights[picture.shape[0]] += 1
        return convert(picture, *others, **options)

    return counting


cv2.transform, cv2.cvtColorTwoPlane = counted(cv2.transform), counted(cv2.cvtColorTwoPlane)
atexit.register(lambda: print("heights:", json.dumps(heights), file=sys.stderr))
main()
