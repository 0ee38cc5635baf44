"""Whether kernels can run on a GPU here, or what was found: one answer for `doctor` and for targets."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """device: its name, or None; reason: why there is none, fix: the next step (both None with a device)."""

    device: str | None
    reason: str | None = None
    fix: str | None = None


NO_DRIVER = "run where an NVIDIA driver is installed (nvidia-smi lists the devices)"
NO_COMPILER = 'pip install "nirbridge[cuda12]" (or [cuda13], for compute capability 7.5 and newer)'


def find_gpu() -> Gpu:
    """The device that numba's CUDA kernels would run on; imports numba's CUDA target.

    numba-cuda, where it is installed, stands in for numba's built-in target by itself.
    """
    import numba

    if numba.config.ENABLE_CUDASIM:
        return Gpu(device="CUDA simulator")
    try:
        from numba import cuda
        from numba.cuda.cudadrv import nvvm
        from numba.cuda.cudadrv.driver import driver
    except ImportError as problem:
        return Gpu(device=None, reason=f"numba has no CUDA target: {_line(problem)}", fix=NO_COMPILER)
    try:
        if not driver.is_available:
            return Gpu(device=None, reason="no NVIDIA driver", fix=NO_DRIVER)
        if not len(cuda.gpus):
            return Gpu(device=None, reason="an NVIDIA driver, but no device", fix=NO_DRIVER)
        name = cuda.get_current_device().name
        name = name.decode() if isinstance(name, bytes) else str(name)
        if not nvvm.is_available():
            return Gpu(device=None, reason=f"{name}, but no CUDA compiler (libNVVM)", fix=NO_COMPILER)
    except Exception as problem:  # whatever a broken driver raises, the answer is: no device
        return Gpu(device=None, reason=f"{type(problem).__name__}: {_line(problem)}", fix=NO_DRIVER)
    return Gpu(device=name)


def _line(problem: Exception) -> str:
    return " ".join(str(problem).split())
