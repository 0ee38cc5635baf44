"""A made-up report that holds everything the page can draw; its numbers mean nothing."""

from __future__ import annotations

import math
import random
from typing import Any

from nirbridge.report import (
    Agreement,
    DataSummary,
    Divergence,
    GraphSummary,
    Membrane,
    PairedChange,
    PassResult,
    Raster,
    Report,
    TargetResult,
    Versus,
    WeightHistogram,
)

RANGE = {"shape": [64, 5], "min": -2.1, "max": 2.4}
NASTY = '<script>alert("x")</script>'


def cost(target: str, energy: float, basis: str, *, per: str = "sample") -> dict[str, Any]:
    def term(name: str, kind: str, value: float | None, unit: str) -> dict[str, Any]:
        bounds = (None, None) if value is None else (value * 0.8, value * 1.3)
        return {
            "name": name,
            "kind": kind,
            "quantity": 12345.0,
            "quantity_unit": "synops",
            "coefficient": "e_syn",
            "value": value,
            "low": bounds[0],
            "high": bounds[1],
            "unit": unit,
            "basis": basis,
            "source": f"table 2 {NASTY}",
            "note": "",
        }

    def total(value: float, unit: str, per: str) -> dict[str, Any]:
        return {
            "value": value,
            "low": value * 0.8,
            "high": value * 1.35,
            "unit": unit,
            "basis": basis,
            "source": "arXiv 2503.04341",
            "per": per,
        }

    shares = {"base": 0.3, "idle-cores": 0.2, "synaptic-ops": 0.35, "neuron-updates": 0.15}
    return {
        "schema": "nirbridge.cost/1",
        "target": target,
        "energy": total(energy, "J", "sample"),
        "latency": total(2.3e-3, "s", per),
        "energy_terms": [
            *(term(n, "static" if "-" not in n else "dynamic", energy * s, "J") for n, s in shares.items()),
            term("host-io", "dynamic", None, "J"),
        ],
        "latency_terms": [term("active-cycles", "dynamic", 2.3e-3, "s")],
        "scope": "chip",
        "batch": 64,
        "ticks": 100,
        "tick_s": 1e-3,
        "scenario": {"idle_pes": "sleep", "board_mw": 0},
        "extrapolated": basis == "fitted",
        "residuals": [
            {
                "row": "512-b1",
                "quantity": "latency_ms",
                "published": (2.37, 2.37),
                "unit": "ms",
                "model": 2.4,
                "error_pct": 1.3,
                "role": "validation",
                "source": "poster",
            },
            {
                "row": "256-b1",
                "quantity": "latency_ms",
                "published": (2.3, 2.36),
                "unit": "ms",
                "model": 2.33,
                "error_pct": 0.0,
                "role": "calibration",
                "source": "poster",
            },
        ],
        "notes": ["a note of the model"],
        "static_share": 0.55,
        "edp": {"edp_batch_latency_js": 4.4e-7, "edp_amortised_js": 7e-9},
    }


def placed(target: str, cores: int) -> dict[str, Any]:
    def limit(name: str, used: float, bound: float | None) -> dict[str, Any]:
        room = None if bound is None else 1 - used / bound
        return {
            "name": name,
            "used": used,
            "limit": bound,
            "unit": "byte",
            "basis": "published",
            "where": f"core {int(used) % 7}",
            "headroom": room,
        }

    return {
        "target": target,
        "core_name": "core",
        "available": 120,
        "used": cores,
        "fits": True,
        "cores": [
            {
                "index": k,
                "node": "hidden" if k < cores - 1 else NASTY,
                "first": 32 * k,
                "neurons": 32,
                "memory": (k + 1) / (cores + 1),
                "detail": {"axons": 12.0},
            }
            for k in range(cores)
        ],
        "limits": [
            limit("neurons", 290, 8192),
            limit("synaptic memory", 120000, 131072),
            limit("memory", 9e6, None),
        ],
    }


def versus(shift: int) -> Versus:
    return Versus(
        agreement=(
            Agreement(node="hidden", matched=9800, missing=90 * shift, extra=40 * shift),
            Agreement(node=NASTY, matched=310, missing=2, extra=1),
        ),
        spikes_agree=0.987,
        first_difference=Divergence(
            sample=3, step=42, node="hidden", neuron=17, spiked="second", v_first=0.99
        ),
        change=PairedChange(n=160, change=-shift, gained=1, lost=1 + shift, se=1.3),
        same_predictions=0.98,
    )


def raster(neurons: int = 64, steps: int = 100, spikes: int = 900) -> Raster:
    rng = random.Random(0)

    def some(n: int) -> list[list[int]]:
        return [[rng.randrange(steps), rng.randrange(neurons)] for _ in range(n)]

    targets = {
        name: {"matched": some(spikes), "missing": [[42, 17], *some(few)], "extra": some(few // 2)}
        for name, few in (("loihi2:board=oheo-gulch", 24), ("spinnaker2", 6))
    }
    return Raster(
        sample=3, label=NASTY, node="hidden", neurons=neurons, steps=steps, dt=1e-3, targets=targets
    )


def synthetic(*, spikes: int = 900) -> Report:
    centres = [(-127 + 4 * k) / 50 for k in range(64)]
    counts = [int(4000 * math.exp(-(c**2) * 2)) for c in centres[:-1]]
    nodes = (
        {"name": "input", "type": "Input", "shape": [5], "parameters": 0, "fields": {}},
        {
            "name": "w_in",
            "type": "Affine",
            "shape": [64, 5],
            "parameters": 384,
            "fields": {"weight": RANGE},
        },
        {
            "name": "hidden",
            "type": "CubaLIF",
            "shape": [64],
            "parameters": 128,
            "fields": {"tau_mem": {"shape": [64], "min": 0.02, "max": 0.02}},
        },
        {
            "name": "w_rec",
            "type": "Linear",
            "shape": [64, 64],
            "parameters": 4096,
            "fields": {"weight": {"min": -1.0, "max": 1.0}},
        },
        {"name": "w_out", "type": "Linear", "shape": [3, 64], "parameters": 0, "fields": {}},
        {"name": NASTY, "type": "CubaLI", "shape": [3], "parameters": 3, "fields": {NASTY: NASTY}},
        {"name": "output", "type": "Output", "shape": [3], "parameters": 0, "fields": {}},
    )
    edges = (
        ("input", "w_in"),
        ("w_in", "hidden"),
        ("hidden", "w_rec"),
        ("w_rec", "hidden"),
        ("hidden", "w_out"),
        ("w_out", NASTY),
        (NASTY, "output"),
    )
    rates = {"hidden": 7.9, NASTY: 1.2}
    activity = {
        "hidden": {
            "spikes": 505.0,
            "synops": 32000.0,
            "updates": 6400.0,
            "saturated": 0.0,
            "chip_peak_pe": 3.5,
        },
        NASTY: {"spikes": 3.6, "synops": 1500.0, "updates": 300.0, "saturated": 2.0},
    }
    quantised = PassResult(
        name="quantize-weights",
        options={"bits": 8},
        changed="4 arrays",
        law="error ≤ half a step where not clipped",
        result="scale 0.0131  clipped 0.9 %  38 dB",
    )
    finding = {
        "code": "NB207",
        "level": "warning",
        "node": NASTY,
        "message": f"bias of {NASTY} moved",
        "fix": None,
    }

    def target(name: str, at: int, basis: str, energy: float | None) -> TargetResult:
        return TargetResult(
            target=name,
            n_samples=160,
            correct=141 - at,
            accuracy=(141 - at) / 160,
            accuracy_se=0.026,
            verdict=f"accuracy {(141 - at) / 160:.3f}; it fits; {NASTY} differs; energy is {basis}.",
            passes=() if at == 0 else (quantised,),
            versus=None if at == 0 else versus(at),
            lowered=None if at == 0 else versus(1),
            lowered_accuracy=None if at == 0 else 0.878,
            cost=None if energy is None else cost(name, energy, basis),
            placement=placed(name, 6 + 30 * at),
            findings=() if at == 0 else (finding,),
            spikes_per_neuron=rates,
            counts=activity,
        )

    trace = [0.9 * math.sin(k / 6) for k in range(40)]
    return Report(
        graph=GraphSummary(
            file="digits.nir",
            digest="11ec87" + "0" * 58,
            dt=1e-3,
            nodes=nodes,
            edges=edges,
            readout="exp-mean",
            training={"trainer": "eventprop", "seed": 1, "epochs": 50, "valid_accuracy": 0.97},
            history=({"pass": "rescale-lif", "options": {}, "tool": NASTY, "before": "4b", "after": "11"},),
        ),
        data=DataSummary(
            file="valid.h5.gz",
            n_samples=160,
            classes=("zero", "fünf", NASTY),
            n_units=5,
            duration_s=0.1,
            spikes_per_sample=505.0,
            cut_spikes=3,
        ),
        results=(
            target("reference", 0, "measured", 0.003),
            target("loihi2:board=oheo-gulch", 1, "fitted", 1.9e-4),
            target("spinnaker2", 2, "assumed", 2.4e-2),
        ),
        rasters=(raster(spikes=spikes),),
        membranes=(
            Membrane(
                target="loihi2:board=oheo-gulch",
                node="hidden",
                neuron=17,
                sample=3,
                at_step=42,
                first_step=20,
                first=trace,
                second=[v + (0.15 if k > 20 else 0.0) for k, v in enumerate(trace)],
            ),
        ),
        weights=(
            WeightHistogram(
                node="w_in",
                target="loihi2:board=oheo-gulch",
                edges=centres,
                before=counts,
                after=[c if k % 2 else 0 for k, c in enumerate(counts)],
                scale=0.0131,
                clipped_share=0.009,
            ),
        ),
        commands=("nirbridge compare digits.nir --targets reference,loihi2,spinnaker2 --data valid.h5.gz",),
        config="[trainer]\nepochs = 50\n",
        versions={"nirbridge": "0.1.0", "python": "3.11"},
        created="2026-01-01T00:00:00+00:00",
    )
