"""What the reader of a profile cannot take, found in a network all at once (SEMANTICS.md §4)."""

from __future__ import annotations

from collections.abc import Iterator

import nir
import numpy as np

from nirbridge.errors import Finding
from nirbridge.network import Network, Population, Source
from nirbridge_reference.profiles import WEIGHTS, WHOLE_NUMBERS, raw, sources_of

# profile: kinds of populations, then pass-through nodes, that its reader does not take
_KINDS = {
    "ode": ("i", "li", "if", "cubali", "cubalif", "delay"),
    "snntorch": ("i", "li", "cubali", "delay"),
    "norse": ("delay",),
    "spyx": ("delay",),
    "rockpool": ("if", "delay"),
    "sinabs": ("cubali", "cubalif"),
    "spinnaker2": ("delay",),
    "lava-dl": ("i", "li", "if", "lif", "delay"),
}
_NODES: dict[str, tuple[type[nir.NIRNode], ...]] = {
    "norse": (nir.Conv1d, nir.AvgPool2d),
    "spyx": (nir.Conv1d, nir.AvgPool2d),
    "rockpool": (nir.Conv1d, nir.Conv2d, nir.SumPool2d, nir.AvgPool2d),
    "lava-dl": (nir.SumPool2d, nir.AvgPool2d, nir.Scale, nir.Threshold),
}
_NO_LEAK = ("snntorch", "spyx", "rockpool", "sinabs", "nengo", "lava-dl")
_NO_GROUPS = ("norse",)


def refusals(network: Network) -> list[Finding]:
    """Everything in the network that the reader of its profile cannot take."""
    profile = network.semantics.profile
    found = [_finding("NB201", p.name, f"{_label(p)} is a type that reader '{profile}' does not have")
             for p in network.populations if p.kind in _KINDS.get(profile, ())]  # fmt: skip
    stages = {stage.name: stage for drive in network.drives for stage in drive.stages}
    for name, stage in sorted(stages.items()):
        kind = type(stage.node).__name__
        said = f"node '{name}' ({kind})"
        convolution = isinstance(stage.node, nir.Conv1d | nir.Conv2d)
        if isinstance(stage.node, _NODES.get(profile, ())):
            found.append(_finding("NB201", name, f"{said} is a type that reader '{profile}' does not have"))
        elif profile in _NO_GROUPS and getattr(stage.node, "groups", 1) != 1:
            groups = getattr(stage.node, "groups", 1)
            found.append(_finding("NB209", name, f"{said}: reader '{profile}' takes groups=1, got {groups}"))
        elif profile == "loihi" and convolution and np.any(getattr(stage.node, "bias", 0)):
            found.append(_finding("NB207", name, f"{said}: reader 'loihi' takes no bias of a convolution"))
    for at in network.neurons:
        found += _parameters(network, at)
        if profile in ("spinnaker2", "loihi"):
            found += _series(network, at)
    return found


def _series(network: Network, at: int) -> Iterator[Finding]:
    """NB202 for weights behind weights, and for pools behind weights where every row has its own scale."""
    profile, stages = network.semantics.profile, network.drives[at].stages
    for stage in stages:
        before = [stages[item] for item in stage.inputs if isinstance(item, int)]
        for other in before:
            pooled = profile == "loihi" and not isinstance(stage.node, nir.Flatten)
            if isinstance(other.node, WEIGHTS) and (isinstance(stage.node, WEIGHTS) or pooled):
                message = (
                    f"nodes '{other.name}' and '{stage.name}' stand in series: reader '{profile}' takes one"
                )
                yield _finding("NB202", stage.name, message)


def _parameters(network: Network, at: int) -> Iterator[Finding]:
    p, profile = network.populations[at], network.semantics.profile
    leak = getattr(p.node, "v_leak", None)
    if leak is not None and np.any(leak) and profile in _NO_LEAK:
        yield _finding("NB203", p.name, f"{_label(p)}: reader '{profile}' takes v_leak = 0")
    reset = getattr(p.node, "v_reset", None)
    if p.spiking and reset is not None and np.any(reset) and profile in WHOLE_NUMBERS:
        yield _finding("NB204", p.name, f"{_label(p)}: reader '{profile}' takes v_reset = 0")
    thresholds = p.threshold if p.spiking else np.zeros(1)
    if profile == "snntorch" and np.ptp(thresholds) > 0:
        yield _finding("NB206", p.name, f"{_label(p)}: reader 'snntorch' takes one threshold per node")
    if profile == "nengo" and any(np.ptp(a) > 0 for a in (p.a_m, p.b_m, p.a_s, p.b_s, thresholds)):
        yield _finding(
            "NB206", p.name, f"{_label(p)}: reader 'nengo' takes one value of a parameter per node"
        )
    if profile == "sinabs" and any(isinstance(s, Source) and s.delay for s in sources_of(network, at)):
        yield _finding("NB211", p.name, f"{_label(p)} is part of a loop: reader 'sinabs' takes none")
    if profile == "lava-dl" and p.cuba:
        steps = raw(p, "tau_mem") * network.semantics.time_unit / network.semantics.dt
        if not np.allclose(raw(p, "r"), steps, rtol=1e-5, atol=0):
            yield _finding("NB205", p.name, f"{_label(p)}: reader 'lava-dl' takes r = tau_mem/dt")


def _label(p: Population) -> str:
    return f"node '{p.name}' ({type(p.node).__name__})"


def _finding(code: str, node: str, message: str) -> Finding:
    return Finding(
        code=code, level="error", node=node, message=message, fix="compare with a reader that does"
    )
