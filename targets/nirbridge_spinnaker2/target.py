"""The target `spinnaker2`: int8 inference on SpiNNaker2's processing elements, one tick a hop."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, get_args, get_type_hints

import nir

from nirbridge.errors import DoesNotFit, Finding, NirbridgeError, Unsupported, UsageError
from nirbridge.graph import inline
from nirbridge.graph.quantization import quantization_of
from nirbridge.network import Network, build
from nirbridge.protocols import Pass
from nirbridge_spinnaker2.legality import node_findings, semantics_findings
from nirbridge_spinnaker2.lowering import Lowered, lower
from nirbridge_spinnaker2.overruns import overrun_findings
from nirbridge_spinnaker2.partition import Partition, fit_findings, partition
from nirbridge_spinnaker2.power import Scenario
from nirbridge_spinnaker2.timing import timing_findings
from nirbridge_spinnaker2.training_program import TrainingProgram, check_training, training_program

if TYPE_CHECKING:
    from nirbridge_spinnaker2.program import Spinnaker2Program


@dataclass(frozen=True, kw_only=True)
class Spinnaker2:
    """Runs a graph as the py-spinnaker2 NIR import does; not bit-accurate to silicon.

    rounding: of w·w_scale to int8; ``truncate`` is what the chip path does, ``nearest`` what rounding
    in the graph before import would give. scale_weights: spread weights over ±127 (off: q = trunc(w)).
    v_reset: ``ignore`` takes a nonzero v_reset as 0 with a warning. max_atoms: neurons per PE at
    most. record_ticks: ticks of spikes (read-outs: of V) that every PE keeps room for. tick_s: wall
    time of a tick [s], apart from the model's dt. used_rail, idle_pes, board_mw: the power scenario.
    chips: chips of 148 application PEs. arithmetic: of V and I. threads: of this emulation, 0 takes
    every core; results depend on neither threads nor partition.

    phase ``training`` places and costs a batch of on-chip EventProp instead, one PE a sample for the input,
    each layer and the loss; weights stay as they are, a run is the forward pass in float32. batch: of
    samples. train_ticks: of the forward and of the backward phase, 0 takes steps + layers + 1 of the
    graph's last training, else 30 as published. optimiser_pes: 0 takes as many as the parameters need.

    Read-outs (I, LI, CubaLI) run as IF, LIF, CubaLIF whose threshold is never reached; their V is the
    output.
    """

    rounding: Literal["truncate", "nearest"] = "truncate"
    scale_weights: bool = True
    v_reset: Literal["refuse", "ignore"] = "refuse"
    max_atoms: int = 256
    record_ticks: int = 0
    tick_s: float = 1e-3
    used_rail: Literal["0.8V", "0.5V"] = "0.8V"
    idle_pes: Literal["off", "sleep-0.5V", "sleep-0.8V"] = "sleep-0.5V"
    board_mw: float = 0.0
    chips: int = 1
    arithmetic: Literal["float64", "float32"] = "float32"
    threads: int = 0
    phase: Literal["inference", "training"] = "inference"
    batch: int = 22
    train_ticks: int = 0
    optimiser_pes: int = 0
    name: ClassVar[str] = "spinnaker2"

    def __post_init__(self) -> None:
        for field, hint in get_type_hints(Spinnaker2).items():
            choices = get_args(hint) if getattr(hint, "__origin__", None) is Literal else ()
            if choices and getattr(self, field) not in choices:
                raise _bad_option(field, getattr(self, field), f"one of {', '.join(choices)}")
        for field, least in (
            ("max_atoms", 1),
            ("chips", 1),
            ("threads", 0),
            ("record_ticks", 0),
            ("board_mw", 0),
            ("batch", 1),
            ("train_ticks", 0),
            ("optimiser_pes", 0),
        ):
            if not getattr(self, field) >= least:
                raise _bad_option(field, getattr(self, field), f"at least {least}")
        if not 0 < self.tick_s < float("inf"):
            raise _bad_option("tick_s", self.tick_s, "a positive number of seconds")

    @property
    def scenario(self) -> Scenario:
        """The power scenario that the options name."""
        return Scenario(
            used_rail=self.used_rail, idle_pes=self.idle_pes, board_mw=self.board_mw, chips=self.chips
        )

    def passes(self, graph: nir.NIRGraph) -> Sequence[Pass]:
        """int8 weights with one scale per population, rounded to nearest before the import; none to train."""
        if self.phase == "training":
            return []
        from nirbridge.passes.quantize_weights import QuantizeWeights

        return [QuantizeWeights()]

    def beside(self, graph: nir.NIRGraph) -> Sequence[tuple[str, Sequence[Pass]]]:
        """The graph as it is, which the import truncates as the chip path does, and rounded before."""
        flat = inline(graph)
        stored = all(
            quantization_of(node, name) is not None
            for name, node in flat.nodes.items()
            if isinstance(node, nir.Linear | nir.Affine | nir.Conv2d)
        )
        if self.phase == "training" or self.rounding == "nearest" or stored:
            return []
        from nirbridge.passes.quantize_weights import QuantizeWeights

        return [
            ("weights truncated by the import", []),
            ("weights rounded to nearest before the import", [QuantizeWeights()]),
        ]

    def check(self, graph: nir.NIRGraph) -> list[Finding]:
        """Everything that keeps the graph from running here, and what would run otherwise than it says."""
        found: list[Finding] = []
        try:
            if self.phase == "training":
                found += check_training(build(inline(graph)), self)
            else:
                self._lowered(graph, found)
        except NirbridgeError as error:
            own = Finding(code=error.code, level="error", message=error.message, fix=error.fix)
            found += error.findings or [own]
        return sorted(found, key=lambda finding: finding.node or "")

    def compile(self, graph: nir.NIRGraph) -> Spinnaker2Program | TrainingProgram:
        """Lower a graph to int8 rows on PEs, or place a batch of its training (``phase="training"``).

        What it loses: weights become q/w_scale, q = trunc(w·w_scale) (a step of max|w|/127 at most;
        nothing where all nodes into a population carry ``nirbridge_q`` with one scale); every arc into
        a neuron takes one tick, so node n comes ``depth`` ticks late and an arc back from a deeper layer
        later than the graph says; a CubaLIF's bias enters V at its steady state; V > θ also where the
        graph says ≥; a nonzero v_reset with ``v_reset="ignore"``.

        Raises `Unsupported` for what cannot run, `DoesNotFit` (with the placement) for what does not fit,
        `BadInput` for a graph without dt or with edited integers.
        """
        if self.phase == "training":
            return training_program(build(inline(graph)), graph, self)
        return self.compile_inference(graph)

    def compile_inference(self, graph: nir.NIRGraph) -> Spinnaker2Program:
        """`compile` where the phase is ``inference``."""
        from nirbridge_spinnaker2.program import Spinnaker2Program

        found: list[Finding] = []
        lowered, part = self._lowered(graph, found)
        errors = [finding for finding in found if finding.level == "error"]
        if errors:
            first, rest = errors[0], errors[1:]
            if part is not None:
                raise DoesNotFit(
                    first.message, code=first.code, fix=first.fix, findings=rest, placement=part.placement
                )
            raise Unsupported(first.message, code=first.code, fix=first.fix, findings=rest)
        if lowered is None or part is None:
            raise Unsupported("the graph holds nothing to run", code="NB202", fix="nirbridge check FILE")
        return Spinnaker2Program(self, lowered, part)

    def _lowered(self, graph: nir.NIRGraph, found: list[Finding]) -> tuple[Lowered | None, Partition | None]:
        """The lowered network and its partition, as far as errors allow; findings go to ``found``."""
        lowered: Lowered | None = None
        part: Partition | None = None
        found += node_findings(inline(graph), v_reset=self.v_reset)
        network = self._network(graph, found)
        if network is not None:
            found += semantics_findings(network) + timing_findings(network)
            lowered, wrong = lower(network, self)
            found += wrong
        if lowered is not None and not any(finding.level == "error" for finding in found):
            part = partition(lowered, self)
            found += fit_findings(lowered, self, part) + overrun_findings(lowered, self, part)
        return lowered, part

    @staticmethod
    def _network(graph: nir.NIRGraph, found: Sequence[Finding]) -> Network | None:
        """The network, or None where a node is of a kind or shape that cannot be lowered."""
        broken = {"NB201", "NB208", "NB209"}
        return None if any(finding.code in broken for finding in found) else build(graph)


def _bad_option(field: str, value: object, expected: str) -> UsageError:
    return UsageError(
        f"target 'spinnaker2': option {field} is {value!r}, expected {expected}",
        code="NB701",
        fix=f"spinnaker2:{field}=…",
    )
