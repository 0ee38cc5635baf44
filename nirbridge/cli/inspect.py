"""`nirbridge inspect`: nodes, shapes, parameters, metadata and digest of a graph."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nirbridge.cli.options import DryRun, Graph, Json, Quiet
from nirbridge.cli.output import Output, table

if TYPE_CHECKING:
    import nir
    from rich.console import Console

    from nirbridge.errors import Finding

SCHEMA = "nirbridge.inspect/1"


def command(
    context: typer.Context,
    file: Graph,
    svg: Annotated[
        Path | None, typer.Option("--svg", "-o", metavar="NET.svg", help="Also draw the graph to this file.")
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
    dry_run: DryRun = False,
) -> None:
    """Show nodes, shapes, parameters and metadata of a graph.

    A broken graph is shown as far as it can be read; `nirbridge check` says what is wrong.
    """
    from nirbridge.cli.failure import about
    from nirbridge.cli.inputs import check_folder, lint_graph
    from nirbridge.report.graph_svg import graph_svg

    out = Output(json, quiet)
    if svg is not None:
        check_folder(svg)
    with about(file):
        whole, findings = lint_graph(file)
        graph = whole if whole is not None else lint_graph(file, partial=True)[0]
        if graph is None:
            raise TypeError(f"{file}: a format gave no graph")
        value = described(file, graph, findings)
        drawn = None if svg is None else graph_svg(graph, file.name)
    value["complete"] = whole is not None
    if svg is not None and drawn is not None and not dry_run:
        _draw(context, file, svg, drawn)
        out.note(f"wrote {svg}")
    out.result(value, lambda console: _show(console, value))
    if whole is None:
        out.note(f"{file}: not all nodes and edges can be read: see nirbridge check")


def _draw(context: typer.Context, file: Path, svg: Path, drawn: str) -> None:
    from nirbridge.cli.provenance import Provenance
    from nirbridge.io.atomic import write_text

    provenance = Provenance("inspect", context.obj, {"svg": str(svg)}, [file])
    write_text(svg, drawn)
    provenance.write(svg)


def described(file: Path, graph: nir.NIRGraph, findings: Sequence[Finding] = ()) -> dict[str, Any]:
    """The graph as plain values (schema ``nirbridge.inspect/1``)."""
    from nirbridge.graph import digest, execution_order, read_metadata, recurrent_edges

    metadata = read_metadata(graph)
    nodes = [_node(name, graph.nodes[name]) for name in _order(graph, execution_order(graph))]
    return {
        "schema": SCHEMA,
        "file": str(file),
        "digest": digest(graph),
        "nodes": nodes,
        "parameters": sum(node["parameters"] for node in nodes),
        "edges": sorted([a, b] for a, b in graph.edges),
        "recurrent": [list(edge) for edge in recurrent_edges(graph)],
        "findings": dict(Counter(finding.level for finding in findings)),
        "metadata": None if metadata is None else metadata.model_dump(by_alias=True, exclude_none=True),
    }


def _order(graph: nir.NIRGraph, order: list[str]) -> list[str]:
    """Execution order, then the nodes that it does not reach."""
    return [*order, *sorted(set(graph.nodes) - set(order))]


def _node(name: str, node: Any) -> dict[str, Any]:
    import nir
    import numpy as np

    from nirbridge.graph.digest import node_fields

    if isinstance(node, nir.NIRGraph):
        inner = [_node(child, node.nodes[child]) for child in sorted(node.nodes)]
        return {
            "name": name,
            "type": "NIRGraph",
            "input": None,
            "output": None,
            "parameters": sum(child["parameters"] for child in inner),
            "fields": {},
            "nodes": inner,
        }
    fields: dict[str, Any] = {}
    count = 0
    for key, value in sorted(node_fields(node).items()):
        if value is None or isinstance(value, str | bytes):
            fields[key] = value
            continue
        array = np.asarray(value)
        if array.dtype.kind in "iufb" and array.size and key not in ("shape", "input_shape"):
            numbers = array.astype(np.float64)
            fields[key] = {
                "shape": list(array.shape),
                "dtype": str(array.dtype),
                "min": float(numbers.min()),
                "max": float(numbers.max()),
                "mean": float(numbers.mean()),
            }
            count += int(array.size) if array.dtype.kind == "f" else 0
        else:
            fields[key] = array.tolist()
    return {
        "name": name,
        "type": type(node).__name__,
        "input": _shape(node.input_type, "input"),
        "output": _shape(node.output_type, "output"),
        "parameters": count,
        "fields": fields,
        "quantized": "nirbridge_q" in node.metadata,
    }


def _shape(ports: dict[str, Any] | None, port: str) -> list[int] | None:
    import numpy as np

    if not ports or ports.get(port) is None:
        return None
    return [int(n) for n in np.asarray(ports[port]).reshape(-1) if n is not None]


def _show(console: Console, value: dict[str, Any]) -> None:
    rows = []
    for node in value["nodes"]:
        rows.append(
            (
                node["name"],
                node["type"] + (" int" if node.get("quantized") else ""),
                f"{_dims(node['input'])} → {_dims(node['output'])}",
                f"{node['parameters']:,}" if node["parameters"] else "",
                "  ".join(
                    f"{key} {_field(field)}" for key, field in node["fields"].items() if key != "shape"
                ),
            )
        )
    console.print(table(("node", "type", "shape", "numbers", "parameters"), rows, right=("numbers",)))
    console.print()
    loops = {tuple(edge) for edge in value["recurrent"]}
    edges = [f"{a} → {b}" + (" (recurrent)" if (a, b) in loops else "") for a, b in value["edges"]]
    facts = [
        ("edges", ", ".join(edges)),
        ("digest", value["digest"]),
        ("numbers", f"{value['parameters']:,}"),
        *_facts(value["metadata"]),
    ]
    if value["findings"]:
        facts.append(("findings", _counted(value)))
    console.print(table(("", ""), facts))


def _counted(value: dict[str, Any]) -> str:
    from nirbridge.report.numbers import plural

    words = {"error": "error", "warning": "warning", "info": "note"}
    found = [plural(value["findings"][key], word) for key, word in words.items() if key in value["findings"]]
    return f"{', '.join(found)}: see nirbridge check {shlex.quote(value['file'])}"


def _facts(metadata: dict[str, Any] | None) -> list[tuple[str, str]]:
    if metadata is None:
        return [("metadata", "none: the file says no dt, state --dt to run it")]
    facts = [
        ("dt", f"{metadata['dt']:g} s"),
        ("time unit", f"{metadata.get('time_unit', 1.0):g} s"),
        ("profile", str(metadata.get("profile", "canonical"))),
    ]
    if metadata.get("semantics"):
        facts.append(("semantics", ", ".join(f"{k}={v}" for k, v in metadata["semantics"].items())))
    if metadata.get("readout"):
        facts.append(("read-out", str(metadata["readout"])))
    if metadata.get("classes"):
        facts.append(("classes", ", ".join(metadata["classes"])))
    if metadata.get("training"):
        short = {k: v for k, v in metadata["training"].items() if isinstance(v, str | int | float)}
        facts.append(("training", ", ".join(f"{k}={v}" for k, v in short.items())))
    for entry in metadata.get("history", []):
        options = ", ".join(f"{k}={v}" for k, v in entry["options"].items())
        facts.append(("pass", f"{entry['pass']}({options})  {entry['before'][:8]} → {entry['after'][:8]}"))
    return facts


def _dims(shape: list[int] | None) -> str:
    return "×".join(map(str, shape)) if shape else "?"


def _field(field: Any) -> str:
    if not isinstance(field, dict):
        return str(field)
    if field["min"] == field["max"]:
        return f"{field['min']:.4g}"
    return f"[{field['min']:.4g} … {field['max']:.4g}]"
