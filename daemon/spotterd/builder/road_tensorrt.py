"""TensorRT on this GPU."""

from dataclasses import dataclass, replace
from pathlib import Path

from spotterd.config.schema import Engines, Precision
from spotterd.errors import FallBackError
from spotterd.inference.base import Backend, ModelInfo
from spotterd.inference.tensorrt import open_tensorrt
from spotterd.inference.trt_world import World
from spotterd.paths import state_dir

WORKSPACE_SHARE = 0.5  # of the memory that is free when the build begins


@dataclass(frozen=True, slots=True)
class TensorRtRoad:
    """One TensorRT and one GPU.

    Attributes:
        workspace_share: of the free memory; less after a build was killed.
    """

    world: World
    model: Path
    info: ModelInfo
    engines: Engines
    workspace_share: float = WORKSPACE_SHARE
    ladder: tuple[Precision, ...] = ("int8", "fp16", "fp32")
    suffix: str = ".plan"
    runs_models: bool = False

    def smaller(self) -> "TensorRtRoad | None":
        """As `Road.smaller`: half of the workspace, once."""
        if self.workspace_share < WORKSPACE_SHARE:
            return None
        return replace(self, workspace_share=self.workspace_share / 2)

    def open(self, path: Path | None, precision: Precision) -> Backend:
        """As `Road.open`."""
        if path is None:
            raise FallBackError("TensorRT cannot run an ONNX file as it is")
        return open_tensorrt(
            self.world,
            path,
            self.info,
            precision,
            engines=self.engines,
            kernels=state_dir() / "kernels",
        )
