"""The report's data: everything about one or several runs as plain values that JSON can hold."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from typing import Any

from nirbridge.analysis import (
    Agreement,
    Divergence,
    PairedChange,
    PassResult,
    Versus,
    WeightHistogram,
)
from nirbridge.errors import BadInput

SCHEMA = "nirbridge.report/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Beside:
    """Another way to bring the graph to the same target: what it would give.

    shown: it is the way of this result itself. spikes_agree: share that agrees with the first target.
    """

    way: str
    shown: bool
    accuracy: float | None
    correct: int | None
    spikes_agree: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetResult:
    """One target's run.

    target: as named, with options ("loihi2:board=oheo-gulch"). accuracy: share correct, None
    without labels. versus: against the first target. lowered: the reference on the same lowered
    graph, and this target against it (quantisation and arithmetic told apart). cost and
    placement: `Cost.as_dict`, `Placement.as_dict`. spikes_per_neuron: mean per sample, per node.
    beside: other ways to bring the graph here.
    """

    target: str
    n_samples: int
    correct: int | None
    accuracy: float | None
    accuracy_se: float | None
    verdict: str
    passes: tuple[PassResult, ...] = ()
    versus: Versus | None = None
    lowered: Versus | None = None
    lowered_accuracy: float | None = None
    cost: dict[str, Any] | None = None
    placement: dict[str, Any] | None = None
    findings: tuple[dict[str, Any], ...] = ()
    spikes_per_neuron: dict[str, float] = field(default_factory=dict)
    counts: dict[str, dict[str, float]] = field(default_factory=dict)
    beside: tuple[Beside, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Raster:
    """Aligned spikes of one node in one sample: per target, three lists of [step, neuron].

    targets: name -> {"matched", "missing", "extra"} -> list of [step, neuron].
    """

    sample: int
    label: str | None
    node: str
    neurons: int
    steps: int
    dt: float
    targets: dict[str, dict[str, list[list[int]]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Membrane:
    """V/θ of the first differing neuron on both sides, around the first difference (aligned steps)."""

    target: str
    node: str
    neuron: int
    sample: int
    at_step: int
    first_step: int
    first: list[float]
    second: list[float]


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphSummary:
    """The graph as the report shows it: nodes (name, type, shape, parameters), edges, digest."""

    file: str
    digest: str
    dt: float
    nodes: tuple[dict[str, Any], ...]
    edges: tuple[tuple[str, str], ...]
    readout: str
    training: dict[str, Any] | None
    history: tuple[dict[str, Any], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSummary:
    """The data of the run: file, samples, classes, units, duration [s], mean spikes per sample."""

    file: str
    n_samples: int
    classes: tuple[str, ...]
    n_units: int
    duration_s: float
    spikes_per_sample: float
    cut_spikes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """One comparison: graph, data, a result per target, what is drawn, the commands that repeat it.

    refused: target -> findings, of targets that cannot take the graph and were left out.
    """

    graph: GraphSummary
    data: DataSummary
    results: tuple[TargetResult, ...]
    rasters: tuple[Raster, ...] = ()
    membranes: tuple[Membrane, ...] = ()
    weights: tuple[WeightHistogram, ...] = ()
    commands: tuple[str, ...] = ()
    config: str = ""
    refused: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    created: str = ""

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON (schema ``nirbridge.report/1``)."""
        return {"schema": SCHEMA, **asdict(self)}

    @staticmethod
    def from_dict(value: dict[str, Any]) -> Report:
        """Read back what `as_dict` wrote; raises `BadInput` (NB506) for anything else."""
        try:
            if value["schema"] != SCHEMA:
                raise ValueError(f"schema is {value['schema']!r}, expected {SCHEMA!r}")
            return Report(
                graph=_build(GraphSummary, value["graph"]),
                data=_build(DataSummary, value["data"]),
                results=tuple(_result(item) for item in value["results"]),
                rasters=tuple(_build(Raster, item) for item in value["rasters"]),
                membranes=tuple(_build(Membrane, item) for item in value["membranes"]),
                weights=tuple(_build(WeightHistogram, item) for item in value["weights"]),
                commands=tuple(value["commands"]),
                config=value["config"],
                refused=value["refused"],
                versions=value["versions"],
                created=value["created"],
            )
        except (KeyError, TypeError, ValueError) as error:
            raise BadInput(
                f"not a nirbridge report: {error}", code="NB506", fix="give a JSON file that 'compare' wrote"
            ) from error


def _build(kind: Any, value: dict[str, Any]) -> Any:
    known = {f.name for f in fields(kind)}
    unknown = set(value) - known
    if unknown:
        raise ValueError(f"unknown field '{min(unknown)}'")
    lists = {k: tuple(tuple(x) if isinstance(x, list) else x for x in v) if isinstance(v, list) else v
             for k, v in value.items()} if kind in (GraphSummary, DataSummary) else value  # fmt: skip
    return kind(**lists)


def _versus(value: dict[str, Any] | None) -> Versus | None:
    if value is None:
        return None
    first = value["first_difference"]
    change = value["change"]
    return Versus(
        agreement=tuple(_build(Agreement, item) for item in value["agreement"]),
        spikes_agree=value["spikes_agree"],
        first_difference=None if first is None else _build(Divergence, first),
        change=None if change is None else _build(PairedChange, change),
        same_predictions=value["same_predictions"],
    )


def _result(value: dict[str, Any]) -> TargetResult:
    parts = dict(value)
    parts["passes"] = tuple(_build(PassResult, item) for item in value["passes"])
    parts["versus"] = _versus(value["versus"])
    parts["lowered"] = _versus(value["lowered"])
    parts["findings"] = tuple(value["findings"])
    parts["beside"] = tuple(_build(Beside, item) for item in value.get("beside", ()))
    return TargetResult(**parts)
