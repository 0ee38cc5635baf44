"""The target `reference`: what a graph does by definition, and what every other target is held against."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Literal, get_args, get_origin, get_type_hints

import nir

from nirbridge.errors import Finding, NirbridgeError, Unsupported, UsageError
from nirbridge.network import build
from nirbridge.protocols import Pass
from nirbridge.semantics import Semantics, semantics_of

if TYPE_CHECKING:
    from nirbridge_reference.lower import Lowered
    from nirbridge_reference.program import ReferenceProgram


MOST_THREADS = 1024  # of a block, on every NVIDIA GPU
# fields of a reading that its framework's user can choose
READING_OPTIONS: Mapping[str, tuple[str, ...]] = {
    "canonical": ("decay", "reset"),
    "genn": ("reset",),
    "snntorch": ("reset", "reset_at"),
    "norse": ("reset",),
    "spinnaker2": ("decay", "reset"),
    "loihi": ("weight_scale",),
}


@dataclass(frozen=True, kw_only=True)
class Reference:
    """Runs a graph under the semantics in its metadata (SEMANTICS.md §1-3) on CPU threads or a GPU.

    semantics: run it instead as the named reader would compute the file (SEMANTICS.md §4); its spikes
    are then compared with the feed-forward steps of that reading removed. decay, reset, reset_at,
    weight_scale: what a user of that reader can choose; None takes the graph's own reset where the
    reader has the choice and the reader's default otherwise; for ``loihi`` the weight_scale at which the
    largest weight becomes 127. arithmetic: ``float32`` or ``float64``; None takes what the graph's
    semantics say. backend: ``cuda`` runs a batch on one GPU, a block of threads per sample, with the
    same spikes; it is refused (NB608) where there is none. A block runs on one multiprocessor, so a single
    sample, however large its network, uses one of them: a GPU pays for batches. threads: of the CPU, 0 takes
    every core; with ``cuda`` of a block, 0 takes one per neuron of the widest node. Results do not depend on
    either. device: whose cost is stated: ``host`` is measured while running, ``jetson-orin-nano`` is the
    model fitted to published rows (ENERGY.md §4) at ``batch`` samples a batch.
    """

    semantics: Literal[
        "canonical", "ode", "genn", "snntorch", "norse", "spyx", "rockpool", "sinabs", "spinnaker2",
        "nengo", "lava-dl", "loihi",
    ] | None = None  # fmt: skip
    decay: Literal["euler", "exact"] | None = None
    reset: Literal["value", "subtract"] | None = None
    reset_at: Literal["same-step", "next-step"] | None = None
    weight_scale: float | None = None
    arithmetic: Literal["float32", "float64"] | None = None
    backend: Literal["cpu", "cuda"] = "cpu"
    threads: int = 0
    device: Literal["host", "jetson-orin-nano"] = "host"
    batch: int = 1
    name: ClassVar[str] = "reference"

    def __post_init__(self) -> None:
        for field, hint in get_type_hints(Reference).items():
            parts = (hint, *get_args(hint))
            choices = [c for part in parts if get_origin(part) is Literal for c in get_args(part)]
            value = getattr(self, field)
            if choices and value not in choices and not (value is None and type(None) in parts):
                raise _bad_option(field, value, f"one of {', '.join(choices)}")
        for field, least in (("threads", 0), ("batch", 1)):
            if not getattr(self, field) >= least:
                raise _bad_option(field, getattr(self, field), f"at least {least}")
        if self.backend == "cuda" and self.threads > MOST_THREADS:
            raise _bad_option("threads", self.threads, f"at most {MOST_THREADS} in a block of backend=cuda")
        allowed = READING_OPTIONS.get(self.semantics or "", ())
        for field in ("decay", "reset", "reset_at", "weight_scale"):
            if getattr(self, field) is not None and field not in allowed:
                takers = ", ".join(name for name, fields in READING_OPTIONS.items() if field in fields)
                raise _bad_option(field, getattr(self, field), f"none here: semantics {takers} take it")
        if self.weight_scale is not None and not 0 < self.weight_scale < float("inf"):
            raise _bad_option("weight_scale", self.weight_scale, "a positive number")

    def passes(self, graph: nir.NIRGraph) -> Sequence[Pass]:
        """None: the reference runs a graph as it is."""
        return ()

    def check(self, graph: nir.NIRGraph) -> list[Finding]:
        """What keeps the graph from running here: the first reason that lowering meets."""
        try:
            self._lowered(graph)
        except NirbridgeError as error:
            own = Finding(code=error.code, level="error", message=error.message, fix=error.fix)
            return list(error.findings) or [own]
        return []

    def compile(self, graph: nir.NIRGraph) -> ReferenceProgram:
        """Lower the graph to one compiled time loop; loses nothing.

        Raises `Unsupported` for a node or a semantics profile that is not supported.
        """
        from nirbridge_reference.program import ReferenceProgram

        return ReferenceProgram(self, self._lowered(graph), graph)

    def _lowered(self, graph: nir.NIRGraph) -> Lowered:
        from nirbridge_reference.lower import lower
        from nirbridge_reference.refusals import refusals

        network = build(graph, self._reading(graph))
        refused = refusals(network)
        if self.backend == "cuda":
            refused += _without_gpu()
        if refused:
            raise Unsupported(refused[0].message, code=refused[0].code, fix=refused[0].fix, findings=refused)
        return lower(network)

    def _reading(self, graph: nir.NIRGraph) -> Semantics:
        """The graph's own semantics, or those of the reader that the options name."""
        own = semantics_of(graph)
        if self.semantics is None:
            semantics = own
        else:
            from nirbridge_reference.profiles import largest_weight

            allowed = READING_OPTIONS.get(self.semantics, ())
            chosen = {name: getattr(self, name) for name in allowed if getattr(self, name) is not None}
            if own.profile == self.semantics:
                semantics = replace(own, **chosen)
            else:
                kept = {"reset": own.reset} if "reset" in allowed else {}
                semantics = Semantics.of_profile(
                    self.semantics, dt=own.dt, time_unit=own.time_unit, **(kept | chosen)
                )
                if self.semantics == "loihi" and self.weight_scale is None:
                    largest = largest_weight(build(graph, semantics))
                    semantics = replace(semantics, weight_scale=127.0 / largest if largest else 1.0)
        if self.arithmetic is not None:
            semantics = replace(semantics, arithmetic=self.arithmetic)
        return semantics


def _without_gpu() -> list[Finding]:
    """NB608 where no kernel can run on a GPU here; nothing runs on the CPU instead."""
    from nirbridge.kernels.gpu import find_gpu

    gpu = find_gpu()
    if gpu.device is not None:
        return []
    message = f"target 'reference': backend=cuda needs an NVIDIA GPU, found {gpu.reason}"
    fix = f"{gpu.fix}; or use reference:backend=cpu"
    return [Finding(code="NB608", level="error", message=message, fix=fix)]


def _bad_option(field: str, value: object, expected: str) -> UsageError:
    return UsageError(
        f"target 'reference': option {field} is {value!r}, expected {expected}",
        code="NB701",
        fix=f"reference:{field}=…",
    )
