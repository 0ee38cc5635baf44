"""Who takes part in `eventprop_peers.py`: one file a contender, all with the same three methods.

A contender is built from the path of a workload and keeps its weights and Adam. `restart()` goes back to the
file's weights; `step()` is one forward, backward and Adam 1e-3 on the whole batch and returns the mean loss;
`hidden_spikes()` counts the spikes of the file's weights over the batch. Only `step` is timed.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Protocol

RATE, BETA1, BETA2, EPS = 1e-3, 0.9, 0.999, 1e-8  # Adam, the same for all


class Contender(Protocol):
    """What the visits call."""

    def restart(self) -> None: ...

    def step(self) -> float: ...

    def hidden_spikes(self) -> float: ...


@dataclass(frozen=True)
class Entry:
    """Module and class of a contender, the packages that it needs, and the tolerances of its model.

    loss, spikes: largest difference of the first loss, and largest relative one of the hidden spikes, from a
    plain NumPy pass of the workload. model: in what the contender's network differs from the workload's.
    """

    module: str
    make: str
    packages: tuple[str, ...]
    loss: float
    spikes: float
    model: str = "the workload's own"

    def build(self, path: Path) -> Contender:
        made: Contender = getattr(import_module(f"peers.{self.module}"), self.make)(path)
        return made

    def missing(self) -> list[str]:
        """The packages that are not installed."""
        return [name for name in self.packages if _version(name) is None]

    def versions(self) -> dict[str, str]:
        return {name: found for name in self.packages if (found := _version(name))}


EXACT = "hidden spikes as in the workload; the read-out hears them in their own step, its mean is exact"
CONTENDERS = {
    "step": Entry("eventprop", "step", ("nirbridge", "numba", "numpy"), 1e-4, 1e-3, EXACT),
    "substep": Entry(
        "eventprop", "substep", ("nirbridge", "numba", "numpy"), 2e-2, 0.1,
        "spikes and resets inside the step (EventProp's `substep`)",
    ),
    "torch": Entry("torch_bptt", "eager", ("torch",), 1e-3, 1e-3),
    "torch-compile": Entry("torch_bptt", "compiled", ("torch",), 1e-3, 1e-3),
    "snntorch": Entry("snntorch_bptt", "SnnTorch", ("snntorch", "torch"), 1e-3, 1e-3),
    "jax": Entry("jax_scan", "JaxScan", ("jax", "jaxlib"), 1e-3, 1e-3),
    "spyx": Entry(
        "spyx_scan", "SpyxScan", ("spyx", "flax", "optax", "jax", "jaxlib"), 2e-2, 0.1,
        "reset by subtraction of the threshold: spyx has no other",
    ),
}  # fmt: skip
OURS = ("step", "substep")


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
