"""What a built engine is valid for. Pure.

An engine is used only if its identity equals what is wanted now, field by field; nothing is ever
"close enough" (a plan of another driver may crash, a calibration of another model collapses).
"""

import hashlib
import json

from pydantic import BaseModel, ConfigDict

BUILDER_VERSION = 3  # count up when the same inputs would now give another engine
KEY_CHARS = 16


class Identity(BaseModel):
    """All that decides what comes out of a build.

    Attributes:
        model_sha256: of the ONNX file's bytes.
        labels: class names by index.
        input_hw: height and width of the input in pixels.
        preprocessing: how a frame becomes an input, in words that change with the function.
        backend: "onnxruntime" or "tensorrt".
        precision: what was asked for: "auto", "fp32", "fp16" or "int8".
        flags: everything else that was asked for, sorted ("dla_core=0", "threads=2").
        calibration: hash of the hashes of what INT8 is calibrated by; "" where nothing is.
        runtime: name and version of the inference library.
        device: name of the GPU or CPU.
        capability: compute capability of the GPU, or the CPU features that choose the form.
        driver: GPU driver, "" on a CPU.
        system: L4T release, "" elsewhere.
        builder: version of this room.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    model_sha256: str
    labels: tuple[str, ...]
    input_hw: tuple[int, int]
    preprocessing: str
    backend: str
    precision: str
    flags: tuple[str, ...]
    calibration: str
    runtime: str
    device: str
    capability: str
    driver: str = ""
    system: str = ""
    builder: int = BUILDER_VERSION

    @property
    def key(self) -> str:
        """Short name of this identity, made of every field; fit for a file name."""
        text = json.dumps(self.model_dump(mode="json"), sort_keys=True, ensure_ascii=True)
        return hashlib.sha256(text.encode("ascii")).hexdigest()[:KEY_CHARS]

    def differences(self, other: "Identity") -> tuple[str, ...]:
        """What is not the same, as "runtime: TensorRT 10.3.0 -> TensorRT 10.7.0"."""
        old, new = other.model_dump(), self.model_dump()
        return tuple(
            f"{name}: {old[name]} -> {new[name]}" for name in new if old[name] != new[name]
        )


def hash_of_hashes(hashes: list[str]) -> str:
    """One hash for a set of things known by theirs; their order does not matter."""
    return hashlib.sha256("\n".join(sorted(hashes)).encode("ascii")).hexdigest()
