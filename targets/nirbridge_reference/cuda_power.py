"""Energy of the GPU that kernels run on, from the counter of its driver (NVML), through ctypes."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any

from nirbridge_reference.power import Meter

LIBRARY = "libnvidia-ml.so.1"  # comes with the driver
IDLE_S = 0.5  # [s] a window of the idle power; three are taken
SHORTEST_S = 1.0  # [s] the counter is renewed some ten times a second
PROBLEMS = {
    2: "an argument it does not know",
    3: "not supported by this GPU",
    4: "no permission",
    6: "no GPU",
}


@dataclass(frozen=True, slots=True)
class GpuCounter:
    """``nvmlDeviceGetTotalEnergyConsumption`` of one device: mJ since its driver was loaded, 64 bit."""

    library: Any
    handle: Any
    range_uj: int = 1000 << 64

    def read(self) -> int:
        """The energy since the driver was loaded [µJ]. Raises OSError where NVML gives none."""
        millijoules = ctypes.c_ulonglong()
        _call(self.library, "nvmlDeviceGetTotalEnergyConsumption", self.handle, ctypes.byref(millijoules))
        return 1000 * int(millijoules.value)


def gpu_meter(device: Any, library: Any = None) -> Meter:
    """The meter of a device of numba, the whole board of the GPU; without a counter it says why.

    library: NVML, for tests.
    """
    found: list[GpuCounter] = []
    counted, reason = "", ""
    try:
        address = _address(device)
        library = library or ctypes.CDLL(LIBRARY)
        handle = ctypes.c_void_p()
        _call(library, "nvmlInit_v2")
        _call(library, "nvmlDeviceGetHandleByPciBusId_v2", address.encode(), ctypes.byref(handle))
        counter = GpuCounter(library, handle)
        counter.read()
        found, counted = [counter], f"NVML's energy counter of the GPU at {address}"
    except (AttributeError, OSError) as problem:  # no library, no such function in it, no permission
        reason = f"no energy counter of the GPU: {problem}"
    return Meter(found, reason, counted=counted, idle_s=IDLE_S, shortest_s=SHORTEST_S)


def _address(device: Any) -> str:
    """PCI address of a device: NVML numbers devices otherwise than CUDA_VISIBLE_DEVICES does."""
    if not hasattr(device, "get_device_identity"):
        raise OSError("the CUDA simulator is none")
    where = device.get_device_identity()
    return f"{where['pci_domain_id']:08x}:{where['pci_bus_id']:02x}:{where['pci_device_id']:02x}.0"


def _call(library: Any, function: str, *arguments: Any) -> None:
    code = getattr(library, function)(*arguments)
    if code != 0:
        raise OSError(f"{function} says {PROBLEMS.get(code, f'error {code}')}")
