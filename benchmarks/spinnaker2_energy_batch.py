"""Energy of on-chip training against the batch size: 5-120-3 with the published activity, modelled.

Run: python benchmarks/spinnaker2_energy_batch.py
Nothing is timed: `nirbridge_spinnaker2.training_cost` gives energy a training sample, power and time of a
batch of 1 … 36 samples, all that one chip holds, in all cost corners and under the other idle policies.
Writes results/spinnaker2_energy_batch.json and .svg; the published run (batch 22) is the hollow mark.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

from nirbridge.report.markup import Markup, h, raw
from nirbridge.report.style import CSS
from nirbridge.report.svg import Scale, axis_x, line, stroke
from nirbridge_spinnaker2.memory import coefficients
from nirbridge_spinnaker2.power import IdlePolicy, Scenario
from nirbridge_spinnaker2.published import published_residuals
from nirbridge_spinnaker2.training_cost import training_cost
from nirbridge_spinnaker2.training_layout import TrainingJob
from nirbridge_spinnaker2.training_limits import largest_batch
from nirbridge_spinnaker2.training_work import work

RESULTS = Path(__file__).parent / "results"
SPIKES = (5.0, 25.3, 1.2)  # a sample: input, hidden, output, of the trained network
JOB = TrainingJob(
    names=("input", "hidden", "output"),
    layers=(5, 120, 3),
    recurrent=(False, False),
    batch=1,
    ticks_forward=30,
    ticks_backward=30,
    tick_s=1e-3,
)
POLICIES: tuple[IdlePolicy, ...] = ("off", "sleep-0.5V", "sleep-0.8V")
WIDTH, HEIGHT = 640, 400
LEFT, RIGHT, TOP, BOTTOM = 60, 620, 46, 340


def point(batch: int) -> dict[str, Any]:
    """Figures of one batch size in the default scenario, and mJ a sample under every idle policy."""
    job, scenario = replace(JOB, batch=batch), Scenario()
    cost = training_cost(job, scenario, SPIKES)
    if cost.energy is None:
        raise RuntimeError("the model gives no energy")
    values = coefficients().corner_values()["central"]
    done = work(values, job, scenario, SPIKES)
    policies = {}
    for policy in POLICIES:
        other = replace(scenario, idle_pes=policy)
        policies[policy] = 1e3 * sum(done.joules(values, other).values()) / batch
    seconds = cost.latency.value
    return {
        "batch": batch,
        "pes": job.pes,
        "update_ticks": done.update_ticks,
        "time_ms": 1e3 * seconds,
        "power_mw": 1e3 * cost.energy.value * batch / seconds,
        "energy_per_sample_mj": [1e3 * x for x in (cost.energy.low, cost.energy.value, cost.energy.high)],
        "static_share": cost.static_share,
        "by_idle_policy_mj": policies,
    }


def log_axis(scale: Scale, x: float) -> Markup:
    """A vertical axis of decades and their 2 and 5; ``scale`` maps log10."""
    marks = []
    for value in (1, 2, 5, 10, 20, 50):
        if scale.low <= math.log10(value) <= scale.high:
            y = scale(math.log10(value))
            grid = {"stroke": "var(--line)", "stroke_width": 0.7, "fill": "none"}
            marks.append(h("path", d=f"M{x:.1f} {y:.1f}H{RIGHT}", **grid))
            marks.append(h("text", f"{value}", x=x - 7, y=y + 4, text_anchor="end", class_="soft"))
    return h("g", marks)


def picture(points: Sequence[dict[str, Any]]) -> Markup:
    """mJ a training sample over the batch, log-scaled: the interval as a band, idle policies as lines."""
    across = Scale(0, points[-1]["batch"] + 1, LEFT, RIGHT)
    up = Scale(math.log10(0.7), math.log10(45), BOTTOM, TOP)

    def place(batch: float, mj: float) -> tuple[float, float]:
        return across(batch), up(math.log10(mj))

    lines = []
    dashes = {"off": "2 4", "sleep-0.5V": None, "sleep-0.8V": "8 4"}
    labels = {"off": "unused PEs off", "sleep-0.5V": "asleep at 0.5 V (default)", "sleep-0.8V": "at 0.8 V"}
    keys = []
    for at, policy in enumerate(POLICIES):
        path = line([place(p["batch"], p["by_idle_policy_mj"][policy]) for p in points])
        lines.append(h("path", d=path, **stroke(f"c{at}", 2, dash=dashes[policy])))
        x = LEFT + (0, 150, 350)[at]
        keys.append(h("path", d=f"M{x} 20h26", **stroke(f"c{at}", 2, dash=dashes[policy])))
        keys.append(h("text", labels[policy], x=x + 32, y=24))
    band = [place(p["batch"], p["energy_per_sample_mj"][2]) for p in points]
    band += [place(p["batch"], p["energy_per_sample_mj"][0]) for p in reversed(points)]
    area = h("path", d=line(band) + "Z", fill="var(--c1)", fill_opacity=0.35)
    row = next(r for r in published_residuals() if r.quantity == "energy_per_sample_mj")
    x, y = place(22, sum(row.published) / 2)
    mark = h("circle", cx=x, cy=y, r=5, fill="var(--bg)", stroke="var(--fg)", stroke_width=1.5)
    leader = h("path", d=f"M{x:.1f} {y - 6:.1f}V{y - 58:.1f}", **stroke("soft", 1))
    note = h("g", leader, h("text", "published run, batch 22", x=x, y=y - 63, text_anchor="middle"))
    steps = [(a, b) for a, b in pairwise(points) if b["update_ticks"] > a["update_ticks"]]
    jumps = []
    for _, after in steps:
        sx, sy = place(after["batch"], after["energy_per_sample_mj"][1])
        text = f"batch {after['batch']}: {after['time_ms']:.0f} ms"
        jumps.append(h("text", text, x=sx, y=sy + 20, text_anchor="end"))
        jumps.append(h("circle", cx=sx, cy=sy, r=3, fill="var(--fg)"))
    title = h("text", "mJ a training sample", x=LEFT - 40, y=TOP - 8, class_="soft")
    style = raw(f"<style>{CSS}text{{font:12px system-ui,sans-serif;fill:var(--fg)}}</style>")
    ground = h("rect", width=WIDTH, height=HEIGHT, fill="var(--bg)")
    parts = [style, ground, log_axis(up, LEFT), axis_x(across, BOTTOM, "batch"), title, area]
    return h(
        "svg", *parts, *lines, *keys, *jumps, mark, note,
        xmlns="http://www.w3.org/2000/svg", viewBox=f"0 0 {WIDTH} {HEIGHT}", width=WIDTH, height=HEIGHT,
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--output", type=Path, default=RESULTS, metavar="FOLDER")
    folder = parser.parse_args().output
    points = [point(batch) for batch in range(1, largest_batch(JOB, Scenario()) + 1)]
    for p in points:
        if p["batch"] in (1, 10, 22, 35, 36):
            low, middle, high = p["energy_per_sample_mj"]
            print(
                f"batch {p['batch']:2d}: {p['pes']:3d} PEs, {p['time_ms']:.0f} ms, {p['power_mw']:.1f} mW, "
                f"{middle:.3f} mJ a sample [{low:.3f}–{high:.3f}], {100 * p['static_share']:.1f} % static"
            )
    value = {
        "network": "5-120-3",
        "spikes_per_sample": SPIKES,
        "basis": "modelled; cycle costs assumed, scenario chosen after seeing the published run",
        "coefficients": coefficients().version,
        "published": [
            {"quantity": r.quantity, "published": r.published, "model": r.model, "error_pct": r.error_pct}
            for r in published_residuals()
            if r.row.startswith("eventprop")
        ],
        "points": points,
    }
    (folder / "spinnaker2_energy_batch.json").write_text(json.dumps(value, indent=1) + "\n")
    (folder / "spinnaker2_energy_batch.svg").write_text(picture(points) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
