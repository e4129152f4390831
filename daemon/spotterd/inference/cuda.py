"""The GPU and its primary context: the only file that imports pycuda, and only when one is opened.

The primary context is the one that TensorRT uses, too. It is current in a thread only inside
`with gpu:`: any one thread may use a `Gpu`, and none is left behind at exit (which would abort).
"""

import hashlib
import logging
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from typing_extensions import Self

from spotterd.errors import FallBackError
from spotterd.files import write_whole
from spotterd.inference.cuda_driver import DriverError, LibCuda

log = logging.getLogger(__name__)

MIB = 1 << 20


class GpuFault(Exception):  # noqa: N818 (not for people: whoever catches it says what to do)
    """The GPU, or the engine on it, failed while frames were on their way."""


@dataclass(frozen=True, slots=True)
class GpuMemory:
    """Bytes of device memory; on a board where CPU and GPU share it, of all memory."""

    free: int
    total: int

    def __str__(self) -> str:
        return f"{self.free // MIB} of {self.total // MIB} MiB are free"


class Gpu:
    """One GPU, its primary context retained until `close`.

    Attributes:
        drv: `pycuda.driver`.
        lib: the driver calls that pycuda does not wrap.
        name: e.g. "Orin".
        capability: compute capability, e.g. "8.7".
        integrated: CPU and GPU share the memory (every Jetson).
        errors: what a call that reaches CUDA may raise.

    Raises:
        FallBackError: no pycuda, no driver, a driver too old, or no GPU.
    """

    def __init__(self, ordinal: int = 0) -> None:
        self.drv = _started_driver()
        self.lib = LibCuda()
        self.errors: tuple[type[Exception], ...] = (self.drv.Error, DriverError, GpuFault)
        try:
            device = self.drv.Device(ordinal)
            self._context: Any = device.retain_primary_context()
            attributes = self.drv.device_attribute
            self.integrated = bool(device.get_attribute(attributes.INTEGRATED))
        except self.drv.Error as error:
            raise FallBackError(f"The GPU cannot be opened ({error}). {_advice(error)}") from error
        self.name: str = device.name()
        self.capability = "{}.{}".format(*device.compute_capability())

    def __enter__(self) -> Self:
        self._context.push()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.drv.Context.pop()

    def memory(self) -> GpuMemory:
        """How much memory there is; the context must be current."""
        return GpuMemory(*self.drv.mem_get_info())

    def lost(self) -> bool:
        """Whether an error has come to stay; the context must be current, and nothing in flight."""
        try:
            self.drv.Context.synchronize()
        except self.drv.Error:
            return True
        return False

    def kernels(self, source: Path, cache: Path) -> Any:
        """The module of a CUDA source; compiled once for this kind of GPU, then kept.

        Args:
            source: a .cu file.
            cache: folder that keeps the result.

        Raises:
            FallBackError: it cannot be compiled, or the driver is too old for the compiler.
        """
        code = source.read_text(encoding="utf-8")
        arch = "sm_" + self.capability.replace(".", "")
        digest = hashlib.sha256(code.encode()).hexdigest()[:12]
        cubin = cache / f"{source.stem}-{arch}-{digest}.cubin"
        try:
            if not cubin.exists():
                write_whole(cubin, _compiled(code, arch))
            return self.drv.module_from_buffer(cubin.read_bytes())
        except (self.drv.Error, OSError) as error:
            with suppress(OSError):
                cubin.unlink(missing_ok=True)  # so that a broken one is not met again
            reason = str(error).splitlines()[0]  # the compiler's own lines are in the traceback
            raise FallBackError(
                f"The kernel {source.name} cannot be used on {self.name} ({reason}). "
                "Frames are prepared by the CPU."
            ) from error

    def close(self) -> None:
        """Give the context back; pycuda's objects in it then free nothing any more."""
        if self._context is not None:
            # Current first, else pycuda leaks it in other threads than the opening one; and pycuda
            # leaves a released primary context current, as it does not expect to be followed.
            self._context.push()
            self._context.detach()
            self.lib.pop_context()
            self._context = None


def _started_driver() -> Any:
    try:
        import pycuda.driver as drv  # noqa: PLC0415 (exists on few machines, and loads libcuda)
    except ImportError as error:
        raise FallBackError(_why_no_pycuda(str(error))) from error
    try:
        drv.init()
    except drv.Error as error:
        raise FallBackError(
            f"The NVIDIA driver does not start ({error}). {_advice(error)}"
        ) from error
    return drv


def _compiled(code: str, arch: str) -> bytes:
    from pycuda.compiler import compile as nvcc  # noqa: PLC0415 (as above)

    # systemd's PATH lacks CUDA's folder.
    path = shutil.which("nvcc") or "/usr/local/cuda/bin/nvcc"
    cubin: bytes = nvcc(code, nvcc=path, arch=arch, no_extern_c=True, cache_dir=False)
    return cubin


def _why_no_pycuda(text: str) -> str:
    if "libcuda" in text:
        return (
            f"The NVIDIA driver is not installed ({text}). Install it (a Jetson has it with "
            "JetPack); in a container, start it with --runtime nvidia."
        )
    if "undefined symbol" in text:
        return (
            f"The NVIDIA driver is older than the CUDA that pycuda was built for ({text}). Update "
            "the driver, or build pycuda again on this machine."
        )
    return (
        f"pycuda is not installed for this Python ({text}). Install it with "
        "pip install 'spotterd[jetson]' (it is compiled: nvcc must be on the PATH)."
    )


def _advice(error: Exception) -> str:
    text = str(error).lower()
    if "insufficient" in text or "unsupported display driver" in text or "stub library" in text:
        return "The driver is older than CUDA wants: update it (on a Jetson: JetPack)."
    if "no cuda-capable device" in text or "invalid device ordinal" in text:
        return (
            "Check that a GPU is there (nvidia-smi, or ls /dev/nvhost-gpu /dev/nvidia0) and that "
            "this user may open it (groups video and render)."
        )
    if "out of memory" in text:
        return "Another program holds the GPU's memory: stop it, or use a smaller model."
    return "See the kernel's log (dmesg) for NVRM or nvgpu lines; a reboot usually helps."


def out_of_memory(what: str, wanted: int, memory: GpuMemory, error: Exception) -> FallBackError:
    """The sentence for memory that the GPU has not."""
    return FallBackError(
        f"The GPU has no memory for {what} ({wanted / MIB:.1f} MiB wanted, {memory}: {error}). "
        "Stop other programs, or use a smaller model or input_size."
    )
