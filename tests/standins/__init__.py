"""Stand-ins for parts that no machine without an NVIDIA GPU has; thin, typed, and named as such.

`gpu` is the device's memory and streams; `pycuda_driver` and `libcuda` are the two libraries that
reach it; `trt10` and `trt11` are the two worlds of TensorRT, which run a plan through ONNX Runtime.
"""
