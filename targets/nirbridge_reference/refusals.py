"""What the reader of a profile cannot take, found in a network all at once (SEMANTICS.md §4)."""

from __future__ import annotations

from collections.abc import Iterator

import nir
import numpy as np

from nirbridge.errors import Finding
from nirbridge.network import Network, Population, Source
from nirbridge.validate.readers import READERS, Reader
from nirbridge_reference.profiles import WEIGHTS, WHOLE_NUMBERS, raw, sources_of


def refusals(network: Network) -> list[Finding]:
    """Everything in the network that the reader of its profile cannot take."""
    profile = network.semantics.profile
    reader = READERS.get(profile, Reader(release=""))
    nodes = {p.name: p.node for p in network.populations}
    nodes |= {stage.name: stage.node for drive in network.drives for stage in drive.stages}
    found: list[Finding] = []
    for name, node in sorted(nodes.items()):
        kind = type(node).__name__
        said = f"node '{name}' ({kind})"
        groups = getattr(node, "groups", 1)
        if kind in reader.refuses:
            found.append(_finding("NB201", name, f"{said} is a type that reader '{profile}' does not have"))
        elif groups != 1 and not reader.groups:
            found.append(_finding("NB209", name, f"{said}: reader '{profile}' takes groups=1, got {groups}"))
        elif kind.startswith("Conv") and not reader.conv_bias and np.any(getattr(node, "bias", 0)):
            found.append(
                _finding("NB207", name, f"{said}: reader '{profile}' takes no bias of a convolution")
            )
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
    if leak is not None and np.any(leak) and _no_leak(profile):
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


def _no_leak(profile: str) -> bool:
    """genn's reader has no biases, but the canonical ones are what its profile computes."""
    return profile in READERS and profile != "genn" and not READERS[profile].leak


def _label(p: Population) -> str:
    return f"node '{p.name}' ({type(p.node).__name__})"


def _finding(code: str, node: str, message: str) -> Finding:
    return Finding(
        code=code, level="error", node=node, message=message, fix="compare with a reader that does"
    )
