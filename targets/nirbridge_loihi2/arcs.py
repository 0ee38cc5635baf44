"""What arrives at a population, arc by arc: weights, kernels, and Inputs heard without weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray

from nirbridge.errors import BadInput, Finding, Unsupported
from nirbridge.graph.delays import steps_of
from nirbridge.network import Network, Source, Stage, dense, operator
from nirbridge_loihi2.convolution import Window


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Arc:
    """One weight node between two populations, or a plain edge (name, node and weight are None).

    source, target: indices into `Network.populations`; delay: steps that the graph's semantics give
    the arc, 0 or 1; wait: those of a Delay node in front of a convolution.
    weight: (n_post, n_pre) float64, or a kernel (O, C/G, kH, kW) where ``window`` is its geometry.
    bias: (n_post,) float64 or None, added in every step; on the first arc of a node with several sources.
    """

    name: str | None
    node: Any
    source: int
    target: int
    delay: int
    wait: int = 0
    weight: NDArray[np.float64] | None = None
    bias: NDArray[np.float64] | None = None
    window: Window | None = None

    @property
    def used(self) -> NDArray[np.bool_]:
        """Where synapses stand, (n_post, n_pre); (1, 1) for a convolution, which has one delay."""
        assert self.weight is not None
        return self.weight != 0 if self.window is None else np.ones((1, 1), np.bool_)

    @property
    def steps(self) -> NDArray[np.int64]:
        """Delays of the graph's own in steps, in the shape of `used`."""
        own = None if self.window is not None else steps_of(self.node, str(self.name))
        return (np.zeros(self.used.shape, np.int64) if own is None else own.astype(np.int64)) + self.wait


def arcs(network: Network, target: int) -> tuple[Arc, ...]:
    """All arcs into a population, in name order of their nodes; a Flatten changes nothing.

    Raises `Unsupported` (NB202) where two weight nodes stand in series, (NB201) for other nodes between
    populations, (NB208) for a Delay that is not the same for a whole convolution.
    """
    drive = network.drives[target]
    of_stage: list[list[Arc]] = []
    for stage in drive.stages:
        reached = [arc for item in stage.inputs for arc in _reached(network, target, item, of_stage, stage)]
        of_stage.append(reached if isinstance(stage.node, nir.Flatten) else _weighted(stage, reached))
    found: list[Arc] = []
    for item in drive.inputs:
        found += [_plain(network, target, item)] if isinstance(item, Source) else of_stage[item]
    return tuple(found)


def _reached(
    network: Network, target: int, item: Source | int, of_stage: list[list[Arc]], stage: Stage
) -> list[Arc]:
    """The plain arcs that one input of a pass-through node stands for."""
    if isinstance(item, Source):
        return [_plain(network, target, item)]
    for arc in of_stage[item]:
        if arc.name is not None:
            message = f"nodes '{arc.name}' and '{stage.name}' stand in series without a neuron between them"
            raise _refused("NB202", stage.name, message, "multiply their weights into one node")
    return of_stage[item]


def _plain(network: Network, target: int, item: Source) -> Arc:
    """The arc from a population, or from the one in front of a Delay that is the same everywhere."""
    p = network.populations[item.population]
    if p.kind != "delay":
        return Arc(name=None, node=None, source=item.population, target=target, delay=item.delay)
    before = network.drives[item.population]
    (source, *more) = before.inputs or (-1,)
    if more or not isinstance(source, Source) or np.ptp(p.delay_steps) != 0:
        raise _refused(
            "NB208",
            p.name,
            f"node '{p.name}' (Delay): expected one source and one delay for all channels in front of a "
            "convolution",
            "use the same delay for every channel",
        )
    arc = _plain(network, target, source)
    return Arc(
        name=None,
        node=None,
        source=arc.source,
        target=target,
        delay=max(item.delay, arc.delay),
        wait=arc.wait + int(p.delay_steps.flat[0]),
    )


def _weighted(stage: Stage, reached: list[Arc]) -> list[Arc]:
    node: Any = stage.node
    if isinstance(node, nir.Conv2d):
        window = window_of(node, stage.name, stage.in_shape)
        weight = np.asarray(node.weight, dtype=np.float64)
        bias = None
        if node.bias is not None:
            channels = np.broadcast_to(np.asarray(node.bias, np.float64).reshape(-1), window.target[:1])
            bias = np.repeat(channels, int(np.prod(window.target[1:])))
    elif isinstance(node, nir.Linear | nir.Affine):
        op = operator(node, stage.name, stage.in_shape)
        assert op.matrix is not None
        window, weight, bias = None, dense(op.matrix, stage), op.bias
    else:
        message = f"node '{stage.name}' ({type(node).__name__}) is no matrix of weights and no Conv2d"
        raise _refused("NB201", stage.name, message, "supported: Linear, Affine, Conv2d and Flatten")
    return [
        Arc(
            name=stage.name,
            node=node,
            source=arc.source,
            target=arc.target,
            delay=arc.delay,
            wait=arc.wait,
            weight=weight,
            bias=bias if at == 0 else None,
            window=window,
        )
        for at, arc in enumerate(reached)
    ]


def window_of(node: nir.Conv2d, name: str, in_shape: tuple[int, ...]) -> Window:
    """The integer convolution of a Conv2d over (C, H, W).

    Raises `Unsupported` (NB202) for padding 'same', which need not be alike on both sides, and `BadInput`
    (NB109) where kernel and input do not agree.
    """
    if isinstance(node.padding, str) and node.padding != "valid":
        message = f"node '{name}' (Conv2d): padding '{node.padding}'"
        raise _refused("NB202", name, message, "state it in pixels, the same on both sides")
    padding = (0, 0) if isinstance(node.padding, str) else node.padding
    pairs = [tuple(int(x) for x in np.broadcast_to(v, (2,))) for v in (node.stride, padding, node.dilation)]
    (s0, s1), (p0, p1), (d0, d1) = pairs
    channels, height, width = in_shape
    try:
        return Window.over(
            (channels, height, width),
            np.asarray(node.weight),
            stride=(s0, s1),
            padding=(p0, p1),
            dilation=(d0, d1),
            groups=int(node.groups),
        )
    except ValueError as error:
        raise BadInput(f"node '{name}' (Conv2d): {error}", code="NB109") from error


def _refused(code: str, node: str, message: str, fix: str) -> Unsupported:
    finding = Finding(code=code, level="error", node=node, message=message, fix=fix)
    return Unsupported(message, code=code, fix=fix, findings=[finding])
