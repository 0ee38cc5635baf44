"""The target `loihi2`: Lava's fixed-point arithmetic, the compiler's mapping, a cited cost model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, get_args, get_type_hints

import nir

from nirbridge.errors import DoesNotFit, Finding, NirbridgeError, Unsupported, UsageError
from nirbridge.graph import inline, read_metadata
from nirbridge.graph.delays import fold, is_folded
from nirbridge.network import Network, build
from nirbridge.passes import (
    FoldDelays,
    QuantizeBiases,
    QuantizeDecays,
    QuantizeThresholds,
    QuantizeWeights,
    RescaleLif,
    RoundDelays,
)
from nirbridge.placement import Placement
from nirbridge.protocols import Pass
from nirbridge_loihi2.fit import fit_findings
from nirbridge_loihi2.lowering import Lowered, lower
from nirbridge_loihi2.mapping import Board, place
from nirbridge_loihi2.partition import NEURONS_PER_CORE, Partition, Split, demands, partition
from nirbridge_loihi2.ranges import chip_findings, loop_findings, range_findings
from nirbridge_loihi2.rules import findings_of, network_findings, node_findings

if TYPE_CHECKING:
    from nirbridge_loihi2.program import Loihi2Program


@dataclass(frozen=True, kw_only=True)
class Loihi2:
    """Runs a quantised graph as Lava's fixed-point process models do, bit for bit.

    board: ``oheo-gulch`` (1 chip), ``kapoho-point`` (8), ``hala-point`` (1152).
    static_scope: static power that the energy contains: the share that published rows attribute to
    a network, or a whole idle chip. split: how a layer is spread over cores, as compiler logs show
    (``logged``) or over as few as fit (``packed``). neurons_per_core: at most so many on one, for trying
    other placements. threads: 0 takes every core. Spikes depend on none of the three.
    reset_interval, reset_offset: as NetX's arguments of these names, 0 for no reset: a layer k hops behind
    the first one starts anew (u = v = 0) before every step t with t mod interval = (offset + 1 + k) mod
    interval. No graph says so, and the reference does not do it.
    """

    board: Board = "oheo-gulch"
    static_scope: Literal["attributed", "chip"] = "attributed"
    split: Split = "logged"
    neurons_per_core: int = NEURONS_PER_CORE
    threads: int = 0
    reset_interval: int = 0
    reset_offset: int = 0
    name: ClassVar[str] = "loihi2"

    def __post_init__(self) -> None:
        for field, hint in get_type_hints(Loihi2).items():
            choices = get_args(hint) if getattr(hint, "__origin__", None) is Literal else ()
            if choices and getattr(self, field) not in choices:
                raise _bad_option(field, getattr(self, field), f"one of {', '.join(choices)}")
        for field in ("threads", "reset_interval", "reset_offset"):
            if not getattr(self, field) >= 0:
                raise _bad_option(field, getattr(self, field), "at least 0")
        if not 1 <= self.neurons_per_core <= NEURONS_PER_CORE:
            raise _bad_option("neurons_per_core", self.neurons_per_core, f"1 to {NEURONS_PER_CORE}")

    def passes(self, graph: nir.NIRGraph) -> Sequence[Pass]:
        """What the chip's integers need, each step a pass: delays in whole steps and per synapse, gains in
        the weights (Lava's form), int8 weights with one scale a population (that of the least squared
        error), decays of 4096, thresholds and biases in whole weight steps. Weights that run as they stand
        are left alone; a graph from a `.net` file that is legal needs nothing."""
        metadata = read_metadata(graph)
        deployed = metadata is not None and bool((metadata.model_extra or {}).get("in_steps"))
        legal = not any(f.level == "error" for f in self._lowered(graph)[0])
        if deployed and legal:
            return ()
        delays = any(isinstance(node, nir.Delay) for node in inline(graph).nodes.values())
        weights = QuantizeWeights(scheme="mse")  # never a larger squared error than scheme max
        grid = (QuantizeDecays(), QuantizeThresholds(), QuantizeBiases())
        integers = grid if legal else (RescaleLif(), weights, *grid)
        return (RoundDelays(), FoldDelays(), *integers) if delays else integers

    def check(self, graph: nir.NIRGraph) -> list[Finding]:
        """Everything that keeps the graph from running here, all at once.

        Also what only a chip refuses and `compile` simulates: a threshold of 2^17 that a `.net` file has.
        Whether it fits is judged on the graph that `passes` make of it.
        """
        found, network, lowered = self._lowered(graph)
        found += [] if network is None else chip_findings(network)
        every = self.reset_interval
        if every & (every - 1):
            found.append(
                Finding(
                    code="NB210",
                    level="warning",
                    message=f"reset_interval is {every}: simulated, but the chip wants a power of two",
                    fix=f"loihi2:reset_interval={1 << every.bit_length()}",
                )
            )
        if lowered is None and network is not None:
            lowered = self._lowered_after_passes(graph)
        if lowered is not None:
            found += fit_findings(*self._placed(lowered), self)
        return found

    def compile(self, graph: nir.NIRGraph) -> Loihi2Program:
        """Lower a quantised graph to integers (LOIHI2.md §3).

        Supports one Input, Linear, Affine and Conv2d (behind a Flatten or not) into LIF, CubaLIF and IF,
        recurrence and fan-in included, and LI, CubaLI and I as read-outs, which never spike. What an Input
        that feeds LIF, LI, IF or I neurons without weights sends are values that the host writes as bias
        mantissas: 1 is one weight step, at most 4095 in magnitude. Weights are q·s with one gain
        g = w_in·g_s·r·g_m for the whole population (1 after `rescale-lif`; any other positive value is
        taken into the quantum Δ = g·s); then v = 64·V/Δ.

        What is lost: decays are rounded to 1/4096, thresholds to whole Δ, biases to 13 bits times a
        power of two; a bias acts from the first tick, before a deep layer's input arrives, and behind a
        synapse at its steady value; products are truncated toward zero; ``V ≥ θ`` becomes a strict ``>``.

        Every synapse takes one step, so layer k comes k steps late (`Recording.lag`; not late at all where
        the graph's semantics have feedforward_delay 1); paths of unequal
        length are evened out by synaptic delays. Delay nodes in front of weights become delays of the
        synapses, 0 to 62 steps; behind the Input a longer one is a delay line: the host sends those
        messages late (`nirbridge_loihi2.late`), in copies at least 63 steps apart that count as input
        traffic, and the synapses wait for the rest.

        Raises `Unsupported` with every finding, and `DoesNotFit` with the placement.
        """
        found, network, lowered = self._lowered(graph)
        errors = [finding for finding in found if finding.level == "error"]
        if errors:
            rest = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
            raise Unsupported(
                errors[0].message + rest, code=errors[0].code, fix=errors[0].fix, findings=errors[1:]
            )
        assert network is not None and lowered is not None
        parts, placement = self._placed(lowered)
        over = fit_findings(parts, placement, self)
        if over:
            raise DoesNotFit(
                over[0].message, code=over[0].code, placement=placement, fix=over[0].fix, findings=over[1:]
            )
        from nirbridge_loihi2.program import Loihi2Program

        return Loihi2Program(self, graph, network, lowered, parts, placement)

    def _lowered(self, graph: nir.NIRGraph) -> tuple[list[Finding], Network | None, Lowered | None]:
        """Findings, the network where it could be built, its integers where no finding is an error."""
        try:
            folded = fold(inline(graph))
            found = node_findings(folded)
            if found:
                return found, None, None
            network = build(folded, keep_delays=True)
            found = network_findings(network)
            if not any(f.level == "error" and f.code in ("NB202", "NB106") for f in found):
                if is_folded(folded):
                    found += loop_findings(network, build(folded))
                found += range_findings(network)
        except NirbridgeError as raised:
            return findings_of(raised), None, None
        if any(f.level == "error" for f in found):
            return found, network, None
        return found, network, lower(network, self.reset_interval, self.reset_offset)

    def _lowered_after_passes(self, graph: nir.NIRGraph) -> Lowered | None:
        try:
            for change in self.passes(graph):
                graph = change(graph)
        except NirbridgeError:
            return None
        return self._lowered(graph)[2]

    def _placed(self, lowered: Lowered) -> tuple[list[Partition], Placement]:
        parts = [partition(demand, self.split, self.neurons_per_core) for demand in demands(lowered.network)]
        return parts, place(parts, self.board)


def _bad_option(field: str, value: object, expected: str) -> UsageError:
    return UsageError(
        f"target 'loihi2': option {field} is {value!r}, expected {expected}",
        code="NB701",
        fix=f"loihi2:{field}=…",
    )
