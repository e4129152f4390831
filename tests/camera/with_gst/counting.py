"""The command `spotterd`, which at its end tells the height of every picture made from NV12."""

import atexit
import json
import sys
from collections import Counter

import cv2

from spotterd.cli.main import main

convert = cv2.cvtColorTwoPlane
heights: Counter[int] = Counter()


def counted(luma, *others, **options):  # as OpenCV's
    heights[luma.shape[0]] += 1
    return convert(luma, *others, **options)


cv2.cvtColorTwoPlane = counted
atexit.register(lambda: print("heights:", json.dumps(heights), file=sys.stderr))
main()
