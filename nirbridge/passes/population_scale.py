"""The one scale in which everything that arrives at a population is counted."""

from __future__ import annotations

from nirbridge.graph.quantization import quantization_of
from nirbridge.network import Network
from nirbridge.passes.row_scaling import refused


def population_scale(network: Network, at: int, counted: str) -> float | None:
    """The scale that all integer weights into a population share, or None where no weight arrives.

    counted: what is counted in its steps, such as "the biases", for the message. Raises `Unsupported`
    (NB212) for weights without integers, with several scales of their own, or with different ones.
    """
    name = network.populations[at].name
    scales: dict[str, float] = {}
    for stage in network.drives[at].stages:
        if not hasattr(stage.node, "weight"):
            continue
        q = quantization_of(stage.node, stage.name)
        if q is None or q.scale.size != 1:
            raise refused(
                "NB212",
                stage.name,
                f"node '{stage.name}' has no integer weights of one scale, and {counted} of '{name}' "
                "is to be counted in their steps",
                "run --pass quantize-weights first",
            )
        scales[stage.name] = float(q.scale[0])
    if len(set(scales.values())) > 1:
        parts = ", ".join(f"'{n}' {s:g}" for n, s in scales.items())
        raise refused(
            "NB212",
            name,
            f"node '{name}': weights that arrive have the scales {parts}, expected one for the population",
            "run --pass quantize-weights:granularity=population",
        )
    return next(iter(scales.values()), None)
