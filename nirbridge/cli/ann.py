"""An ANN from an ``.onnx`` file as a rate-coded graph: what `nirbridge convert` does with one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nirbridge.cli.output import Output, table
from nirbridge.errors import UsageError

if TYPE_CHECKING:
    from nir import NIRGraph
    from rich.console import Console

    from nirbridge.ann import RateCoding


def is_ann(source: Path) -> bool:
    """Whether a file is read as an ANN."""
    return source.name.lower().endswith(".onnx")


def refuse_ann_options(given: dict[str, Any]) -> None:
    """Refuse options that only an ANN takes (NB700)."""
    for name, value in given.items():
        if value is not None:
            raise UsageError(
                f"{name} is given, and the input is no ANN", code="NB700", fix=f"leave {name} out"
            )


def refuse_for_anns(given: dict[str, Any]) -> None:
    """Refuse options that only a graph takes (NB700)."""
    for name, value in given.items():
        if value:
            raise UsageError(
                f"{name} is given, and the input is an ANN", code="NB700", fix=f"leave {name} out"
            )


def rate_coded(
    out: Output,
    source: Path,
    *,
    calibration: Path | None,
    coding: str | None,
    data: Path | None,
    samples: int | None,
    dt: float | None,
) -> tuple[NIRGraph, dict[str, Any]]:
    """The spiking graph of the ANN in a file, and what was measured of it as plain values.

    Accuracy is measured on the first ``samples`` of ``data``, or on the calibration samples without it.
    """
    from nirbridge.ann import rate_code
    from nirbridge.cli.failure import about
    from nirbridge.evaluate.ann import evaluate_rate_coding
    from nirbridge.io.images import read_images
    from nirbridge.io.onnx_in import read, read_ann

    options = options_of(coding, dt)
    if calibration is None:
        read(source)  # says what is wrong with the file first, then that samples are missing
        raise UsageError(f"{source}: --calibration is missing", code="NB701")
    with about(source, calibration):
        ann = read_ann(source)
        images = read_images(calibration)
        with out.progress("calibrating", min(len(images), options.samples)) as progress:
            coded = rate_code(ann, images, options, progress=progress)
    with about(source, *(path for path in (calibration, data) if path is not None)):
        measured = read_images(data).head(samples) if data is not None else images.head(coded.samples)
        with out.progress("running", len(measured)) as progress:
            result = evaluate_rate_coding(ann, coded, measured, progress=progress)
    for note in ann.notes:
        out.note(f"{source}: {note}")
    value = {
        "options": {name: getattr(options, name) for name in options.__dataclass_fields__},
        "calibration": str(calibration),
        "calibration_samples": coded.samples,
        "data": str(data or calibration),
        "held_out": data is not None,
        "notes": list(ann.notes),
        "layers": [
            {
                "name": name,
                "scale": a.scale,
                "largest": a.largest,
                "active": a.active,
                "clipped": a.clipped,
                "spikes_per_neuron": result.spikes_per_neuron[name],
            }
            for name, a in coded.activations.items()
        ],
        **{k: v for k, v in result.as_dict().items() if k not in ("spikes_per_neuron", "seconds")},
    }
    return coded.graph, value


def options_of(coding: str | None, dt: float | None) -> RateCoding:
    """The options that ``--rate-coding`` and ``--dt`` state; raises `UsageError` (NB701)."""
    from nirbridge import plugins
    from nirbridge.ann import RateCoding

    stated: dict[str, str] = {}
    for part in (piece.strip() for piece in (coding or "").split(",") if piece.strip()):
        key, equals, text = part.partition("=")
        name = key.strip().replace("-", "_")
        if not equals or name in stated:
            raise UsageError(
                f"--rate-coding: '{part}' is {'given twice' if equals else 'no option'}",
                code="NB701",
                fix="give options as --rate-coding percentile=99.9,steps=128",
            )
        stated[name] = text.strip()
    options: RateCoding = plugins.build(RateCoding, stated, name="rate-coding")
    return options if dt is None else replace(options, dt=dt)


def show(console: Console, value: dict[str, Any]) -> None:
    """Scales of the layers, then accuracy against time steps."""
    from nirbridge.report.numbers import share

    layers = []
    for a in value["layers"]:
        spikes = f"{a['spikes_per_neuron']:.2f}"
        layers.append((a["name"], f"{a['scale']:.4g}", share(a["active"]), share(a["clipped"]), spikes))
    heads = ["spiking layer", "one spike is", "active", "clipped", "spikes per neuron"]
    console.print(table(heads, layers, right=heads[1:]))
    console.print()
    labelled = value["ann_accuracy"] is not None
    rows = []
    for row in value["curve"]:
        accuracy = (share(row["accuracy"]), share(row["lost"])) if labelled else ("", "")
        rows.append((str(row["steps"]), *accuracy, share(row["agreement"])))
    heads = ["steps", "accuracy", "lost", "same class as the ANN"]
    console.print(table(heads, rows, right=heads))
    where = value["data"] if value["held_out"] else f"the calibration samples of {value['data']}"
    own = f"the ANN itself: {share(value['ann_accuracy'])}; " if labelled else "no labels; "
    console.print(f"{own}{value['n_samples']} samples of {where}")
    if labelled and value["replaced_accuracy"] != value["ann_accuracy"]:
        console.print(f"with its max pools replaced: {share(value['replaced_accuracy'])}")
