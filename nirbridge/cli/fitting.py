"""Whether a graph runs on a target, and how its layers compare with the reference there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from nirbridge.cli.output import Output

if TYPE_CHECKING:
    from nir import NIRGraph

    from nirbridge.errors import Finding


def fitted(spec: str, target: Any, graph: NIRGraph, file: Path) -> dict[str, Any]:
    """Findings of one target on the graph that its own passes make, and its limits."""
    from nirbridge.cli.failure import about, filled_finding
    from nirbridge.errors import DoesNotFit, Finding, Unsupported
    from nirbridge.passes import Pipeline

    result: dict[str, Any] = {"target": spec, "fits": True, "findings": [], "placement": None}
    findings: list[Finding] = []
    try:
        with about(file):
            lowered = Pipeline(tuple(target.passes(graph)))(graph)
            findings = list(target.check(lowered))
            placement = target.compile(lowered).placement
            result["placement"] = placement.as_dict()
            result["fits"] = placement.fits and not any(finding.level == "error" for finding in findings)
    except Unsupported as error:
        if isinstance(error, DoesNotFit) and error.placement is not None:
            result["placement"] = error.placement.as_dict()
        if not any(finding.level == "error" for finding in findings):
            message = error.message.removeprefix(f"{file}: ")
            extra = Finding(code=error.code, level="error", message=message, fix=error.fix)
            findings += [*([] if error.findings else [extra]), *error.findings]
        result["fits"] = False
    result["findings"] = [filled_finding(finding, file).as_dict() for finding in findings]
    return result


def layers(
    target: Any, graph: NIRGraph, file: Path, data: Path, samples: int | None, out: Output, spec: str
) -> list[dict[str, Any]]:
    """Each layer of the graph that the target's passes make, against the reference on the same graph."""
    from nirbridge.cli.failure import about
    from nirbridge.cli.inputs import data_of
    from nirbridge.evaluate import diagnose
    from nirbridge.passes import Pipeline

    lowered = Pipeline(tuple(target.passes(graph)))(graph)
    loaded = data_of(data, graph, samples)
    neurons = sum(hasattr(node, "r") for node in lowered.nodes.values())
    with about(file, data), out.progress(f"layers on {spec}", neurons) as progress:
        return [layer.as_dict() for layer in diagnose(lowered, target, loaded, progress=progress)]


def layer_row(layer: dict[str, Any]) -> tuple[str, ...]:
    def number(value: float | None, form: str = "{:.2f}") -> str:
        return "–" if value is None else form.format(value)

    own = [f"{key.partition('_')[2].replace('_', ' ')} {n:g}" for key, n in layer["counts"].items()
           if "wraps" in key or "overflows" in key]  # fmt: skip
    alone = number(layer["alone"], "{:.2%}")
    if layer["v_error"] is not None:
        alone = f"V within {layer['v_error']:.1g}"
    first = layer["first"]
    return (
        layer["node"],
        number(layer["reference_rate"]),
        number(layer["rate"]),
        number(layer["agree"], "{:.2%}"),
        alone,
        ", ".join([f"saturated {layer['counts'].get('saturated', 0.0):g}", *own]),
        "–" if first is None else f"sample {first['sample']} step {first['step']} [{first['neuron']}]",
    )


LAYERS = ("layer", "reference", "rate", "agree", "alone", "counts a sample", "first difference")


def tightest(fit: dict[str, Any]) -> str:
    limits = [limit for limit in (fit["placement"] or {}).get("limits", []) if limit["headroom"] is not None]
    if not limits:
        return ""
    least = min(limits, key=lambda limit: float(limit["headroom"]))
    return (
        f"; tightest limit: {least['name']} ({least['where']}), {least['used']:g} of {least['limit']:g} "
        f"{least['unit']}, headroom {100 * least['headroom']:.0f} %"
    )
