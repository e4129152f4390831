"""Builds the engine for this machine: wanted -> calibrated -> made -> judged -> kept.

`wanted` says what the configuration asks for here, `store` whether it is there; if not, `supervise`
has a `child` go down the `ladder` on one of the roads (`road_onnx`, `road_tensorrt`).
"""
