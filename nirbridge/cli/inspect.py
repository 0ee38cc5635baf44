"""`nirbridge inspect`: nodes, shapes, parameters, metadata and digest of a graph."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nirbridge.cli.options import DryRun, Graph, Json, Quiet
from nirbridge.cli.output import Output, table

if TYPE_CHECKING:
    import nir
    from rich.console import Console

    from nirbridge.errors import Finding
    from nirbridge.validate.view import View

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
    """The graph as plain values (schema ``nirbridge.inspect/1``), metadata that cannot be read left out."""
    from nirbridge.graph import digest, execution_order, recurrent_edges
    from nirbridge.graph.metadata import KEY
    from nirbridge.validate.timing import exporter_step
    from nirbridge.validate.view import view_of

    view = view_of(graph)
    nodes = [_node(name, name, graph.nodes[name], view) for name in _order(graph, execution_order(graph))]
    metadata = view.metadata
    return {
        "schema": SCHEMA,
        "file": str(file),
        "digest": digest(graph),
        "nodes": nodes,
        "parameters": sum(node["parameters"] for node in nodes),
        "edges": sorted([a, b] for a, b in graph.edges),
        "recurrent": [list(edge) for edge in recurrent_edges(graph)],
        "findings": dict(Counter(finding.level for finding in findings)),
        "has_metadata": KEY in graph.metadata,
        "exporter_dt": exporter_step(graph),
        "metadata": None if metadata is None else metadata.model_dump(by_alias=True, exclude_none=True),
    }


def _order(graph: nir.NIRGraph, order: list[str]) -> list[str]:
    """Execution order, then the nodes that it does not reach."""
    return [*order, *sorted(set(graph.nodes) - set(order))]


def _node(name: str, full: str, node: Any, view: View) -> dict[str, Any]:
    """A node as plain values. full: its dotted name, by which the view knows its shapes."""
    import nir
    import numpy as np

    from nirbridge.graph import execution_order
    from nirbridge.graph.digest import node_fields

    if isinstance(node, nir.NIRGraph):
        order = _order(node, execution_order(node))
        inner = [_node(child, f"{full}.{child}", node.nodes[child], view) for child in order]
        ports = {item["type"]: item["output"] for item in inner}
        return {
            "name": name,
            "type": "NIRGraph",
            "input": ports.get("Input"),
            "output": ports.get("Output"),
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
        "input": _shape(view.arriving.get(full)),
        "output": _shape(view.out.get(full)),
        "parameters": count,
        "fields": fields,
        "quantized": "nirbridge_q" in node.metadata,
    }


def _shape(shape: tuple[int, ...] | None) -> list[int] | None:
    return None if shape is None or -1 in shape else list(shape)


def _rows(nodes: Sequence[dict[str, Any]], prefix: str = "") -> Iterator[tuple[str, ...]]:
    """A line a node; those of a subgraph follow it under their dotted names."""
    for node in nodes:
        yield (
            prefix + node["name"],
            node["type"] + (" int" if node.get("quantized") else ""),
            f"{_dims(node['input'])} → {_dims(node['output'])}",
            f"{node['parameters']:,}" if node["parameters"] else "",
            "  ".join(f"{key} {_field(field)}" for key, field in node["fields"].items() if key != "shape"),
        )
        yield from _rows(node.get("nodes", ()), f"{prefix}{node['name']}.")


def _show(console: Console, value: dict[str, Any]) -> None:
    rows = _rows(value["nodes"])
    console.print(table(("node", "type", "shape", "numbers", "parameters"), rows, right=("numbers",)))
    console.print()
    loops = {tuple(edge) for edge in value["recurrent"]}
    edges = [f"{a} → {b}" + (" (recurrent)" if (a, b) in loops else "") for a, b in value["edges"]]
    facts = [
        ("edges", ", ".join(edges)),
        ("digest", value["digest"]),
        ("numbers", f"{value['parameters']:,}"),
        *_facts(value),
    ]
    if value["findings"]:
        facts.append(("findings", _counted(value)))
    console.print(table(("", ""), facts))


def _counted(value: dict[str, Any]) -> str:
    from nirbridge.report.numbers import plural

    words = {"error": "error", "warning": "warning", "info": "note"}
    found = [plural(value["findings"][key], word) for key, word in words.items() if key in value["findings"]]
    return f"{', '.join(found)}: see nirbridge check {shlex.quote(value['file'])}"


def _facts(value: dict[str, Any]) -> list[tuple[str, str]]:
    metadata = value["metadata"]
    if metadata is None:
        none = "none: the file says no dt, state --dt to run it"
        if value["exporter_dt"] is not None:
            none += f" (its r are those of an exporter with dt = {value['exporter_dt']:g})"
        return [("metadata", "cannot be read: see nirbridge check" if value["has_metadata"] else none)]
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
